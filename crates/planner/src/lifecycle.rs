//! ECR lifecycle policies: reading one, and which images it expires.
//!
//! <https://docs.aws.amazon.com/AmazonECR/latest/userguide/LifecyclePolicies.html>: every rule counts over all images it
//! selects, as if none had expired; an image can expire only by the first rule (lowest priority number) that selects it.

use longshore_types::Timestamp;
use longshore_types::ecr::matches;
use serde::Deserialize;
use std::time::Duration;

const RULES_MAX: usize = 50;
const WILDCARDS_MAX: usize = 4;
const DAY: Duration = Duration::from_secs(24 * 3600);

/// A policy that is as AWS demands. Rules are in the order of their priority.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    rules: Vec<Rule>,
}

#[derive(Clone, Debug, PartialEq)]
struct Rule {
    priority: u32,
    tags: TagSelection,
    count: Count,
}

#[derive(Clone, Debug, PartialEq)]
enum TagSelection {
    /// An image must have a tag for each of these patterns.
    Tagged(Vec<String>),
    Untagged,
    Any,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Count {
    MoreThan(u32),
    DaysSincePushed(u32),
    /// Of an image that was never pulled, days since it was pushed.
    DaysSincePulled(u32),
}

/// An image as rules see it.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate<'a> {
    pub digest: &'a str,
    pub tags: Vec<&'a str>,
    pub pushed_at: Timestamp,
    pub pulled_at: Option<Timestamp>,
    /// Listed by an index, or attached to another image: such images go with the others, never alone.
    pub is_part: bool,
}

/// An image to expire, and by which rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expired<'a> {
    pub digest: &'a str,
    pub priority: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PolicyText {
    rules: Vec<RuleText>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RuleText {
    rule_priority: u32,
    #[serde(default, rename = "description")]
    _description: Option<String>,
    selection: SelectionText,
    action: ActionText,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SelectionText {
    tag_status: String,
    tag_prefix_list: Option<Vec<String>>,
    tag_pattern_list: Option<Vec<String>>,
    storage_class: Option<String>,
    count_type: String,
    count_unit: Option<String>,
    count_number: u32,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ActionText {
    #[serde(rename = "type")]
    kind: String,
    target_storage_class: Option<String>,
}

impl Policy {
    /// Reads a policy's text; an error says what is wrong with it.
    pub fn parse(text: &str) -> Result<Policy, String> {
        let read: PolicyText = serde_json::from_str(text).map_err(|error| error.to_string())?;
        if read.rules.is_empty() || read.rules.len() > RULES_MAX {
            return Err(format!("a policy has 1 to {RULES_MAX} rules, not {}", read.rules.len()));
        }
        let mut rules = read.rules.into_iter().map(Rule::read).collect::<Result<Vec<_>, _>>()?;
        rules.sort_by_key(|rule| rule.priority);
        if let Some(twice) = rules.windows(2).find(|pair| pair[0].priority == pair[1].priority) {
            return Err(format!("rulePriority {} is used by several rules", twice[0].priority));
        }
        if let Some(early) = rules.split_last().and_then(|(_, rest)| rest.iter().find(|r| r.tags == TagSelection::Any))
        {
            return Err(format!("rule {} has tagStatus=any and must have the highest rulePriority", early.priority));
        }
        for (at, rule) in rules.iter().enumerate() {
            // Two rules with the same tags may differ in what they do, archiving and expiring; we only expire.
            if let Some(same) = rules[..at].iter().find(|other| other.tags == rule.tags) {
                return Err(format!("rules {} and {} select the same tags", same.priority, rule.priority));
            }
        }
        Ok(Policy { rules })
    }

    /// What the policy expires at `now`, oldest first within each rule.
    pub fn evaluate<'a>(&self, images: &[Candidate<'a>], now: Timestamp) -> Vec<Expired<'a>> {
        let mut oldest_first: Vec<&Candidate> = images.iter().filter(|image| !image.is_part).collect();
        oldest_first.sort_by_key(|image| (image.pushed_at, image.digest));
        let first_rule =
            |image: &Candidate| self.rules.iter().find(|rule| rule.tags.selects(image)).map(|rule| rule.priority);
        let mut expired = Vec::new();
        for rule in &self.rules {
            let selected: Vec<_> = oldest_first.iter().filter(|image| rule.tags.selects(image)).collect();
            let surplus = match rule.count {
                Count::MoreThan(keep) => selected.len().saturating_sub(keep as usize),
                _ => selected.len(),
            };
            let is_over = |image: &Candidate| match rule.count {
                Count::MoreThan(_) => true,
                Count::DaysSincePushed(days) => now.since(image.pushed_at) > DAY * days,
                Count::DaysSincePulled(days) => now.since(image.pulled_at.unwrap_or(image.pushed_at)) > DAY * days,
            };
            let marked = selected[..surplus].iter().filter(|image| is_over(image));
            let own = marked.filter(|image| first_rule(image) == Some(rule.priority));
            expired.extend(own.map(|image| Expired { digest: image.digest, priority: rule.priority }));
        }
        expired
    }
}

impl Rule {
    fn read(text: RuleText) -> Result<Rule, String> {
        let RuleText { rule_priority: priority, selection, action, .. } = text;
        let wrong = |what: &str| Err(format!("rule {priority}: {what}"));
        if priority == 0 {
            return wrong("rulePriority must be at least 1");
        }
        match (action.kind.as_str(), &action.target_storage_class) {
            ("expire", None) => {}
            ("expire", Some(_)) => return wrong("action.targetStorageClass is for the type transition"),
            ("transition", _) => {
                return wrong("action.type transition is not supported by Longshore: nothing is archived");
            }
            _ => return wrong("action.type must be expire"),
        }
        match selection.storage_class.as_deref() {
            None | Some("standard") => {}
            Some(_) => return wrong("selection.storageClass other than standard is not supported by Longshore"),
        }
        let tags = match (selection.tag_status.as_str(), selection.tag_prefix_list, selection.tag_pattern_list) {
            ("tagged", Some(_), Some(_)) => return wrong("tagPrefixList and tagPatternList exclude each other"),
            ("tagged", Some(prefixes), None) => {
                if prefixes.iter().any(|prefix| prefix.contains('*')) {
                    return wrong("a prefix cannot contain wildcards");
                }
                TagSelection::Tagged(prefixes.into_iter().map(|prefix| prefix + "*").collect())
            }
            ("tagged", None, Some(patterns)) => {
                if patterns.iter().any(|pattern| pattern.matches('*').count() > WILDCARDS_MAX) {
                    return wrong("a pattern can contain at most 4 wildcards");
                }
                TagSelection::Tagged(patterns)
            }
            ("tagged", None, None) => return wrong("tagStatus=tagged needs a tagPrefixList or a tagPatternList"),
            ("untagged", None, None) => TagSelection::Untagged,
            ("any", None, None) => TagSelection::Any,
            ("untagged" | "any", ..) => return wrong("tagPrefixList and tagPatternList are for tagStatus=tagged"),
            _ => return wrong("tagStatus must be tagged, untagged or any"),
        };
        if let TagSelection::Tagged(list) = &tags
            && (list.is_empty() || list.iter().any(String::is_empty))
        {
            return wrong("the list of tags is empty or has an empty entry");
        }
        let tags = match tags {
            TagSelection::Tagged(mut list) => {
                list.sort();
                list.dedup();
                TagSelection::Tagged(list)
            }
            other => other,
        };
        let number = selection.count_number;
        if number == 0 {
            return wrong("countNumber must be at least 1");
        }
        let count = match (selection.count_type.as_str(), selection.count_unit.as_deref()) {
            ("imageCountMoreThan", None) => Count::MoreThan(number),
            ("imageCountMoreThan", Some(_)) => return wrong("countUnit does not go with imageCountMoreThan"),
            ("sinceImagePushed", Some("days")) => Count::DaysSincePushed(number),
            ("sinceImagePulled", Some("days")) => Count::DaysSincePulled(number),
            ("sinceImagePushed" | "sinceImagePulled", _) => return wrong("countUnit must be days"),
            ("sinceImageTransitioned", _) => {
                return wrong("countType sinceImageTransitioned is not supported by Longshore: nothing is archived");
            }
            _ => return wrong("countType must be imageCountMoreThan, sinceImagePushed or sinceImagePulled"),
        };
        Ok(Rule { priority, tags, count })
    }
}

impl TagSelection {
    fn selects(&self, image: &Candidate) -> bool {
        match self {
            Self::Any => true,
            Self::Untagged => image.tags.is_empty(),
            Self::Tagged(patterns) => {
                !image.tags.is_empty()
                    && patterns.iter().all(|pattern| image.tags.iter().any(|tag| matches(pattern, tag)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_000 * 24 * 3_600_000);

    fn image<'a>(digest: &'a str, days: u64, tags: &[&'a str]) -> Candidate<'a> {
        let pushed_at = NOW - DAY * (days as u32);
        Candidate { digest, tags: tags.to_vec(), pushed_at, pulled_at: None, is_part: false }
    }

    fn rule(priority: u32, selection: &str) -> String {
        format!(r#"{{"rulePriority":{priority},"selection":{{{selection}}},"action":{{"type":"expire"}}}}"#)
    }

    fn policy(rules: &[String]) -> Policy {
        Policy::parse(&format!(r#"{{"rules":[{}]}}"#, rules.join(","))).expect("a policy")
    }

    fn expired(rules: &[String], images: &[Candidate]) -> Vec<(String, u32)> {
        policy(rules).evaluate(images, NOW).iter().map(|e| (e.digest.to_owned(), e.priority)).collect()
    }

    fn tagged(prefix: &str, count: &str) -> String {
        format!(r#""tagStatus":"tagged","tagPrefixList":[{prefix}],{count}"#)
    }

    const MORE_THAN_1: &str = r#""countType":"imageCountMoreThan","countNumber":1"#;

    /// The examples of the user guide.
    #[test]
    fn an_image_expires_only_by_the_first_rule_that_selects_it() {
        let images =
            [image("a", 10, &["beta-1", "prod-1"]), image("b", 9, &["beta-2", "prod-2"]), image("c", 8, &["beta-3"])];
        let prod_first = [rule(1, &tagged(r#""prod""#, MORE_THAN_1)), rule(2, &tagged(r#""beta""#, MORE_THAN_1))];
        assert_eq!(expired(&prod_first, &images), [("a".to_owned(), 1)]);
        let beta_first = [rule(1, &tagged(r#""beta""#, MORE_THAN_1)), rule(2, &tagged(r#""prod""#, MORE_THAN_1))];
        assert_eq!(expired(&beta_first, &images), [("a".to_owned(), 1), ("b".to_owned(), 1)]);
    }

    #[test]
    fn any_counts_all_and_takes_what_no_rule_before_it_selects() {
        let images = [image("old", 40, &[]), image("a", 30, &["prod"]), image("b", 20, &["x"]), image("c", 10, &["y"])];
        let any = format!(r#""tagStatus":"any",{MORE_THAN_1}"#);
        let rules = [rule(1, &tagged(r#""prod""#, MORE_THAN_1)), rule(9, &any)];
        assert_eq!(expired(&rules, &images), [("old".to_owned(), 9), ("b".to_owned(), 9)]);
    }

    #[test]
    fn all_prefixes_and_patterns_of_a_rule_must_be_there() {
        let images =
            [image("a", 3, &["alpha-1"]), image("b", 2, &["alpha-2", "beta-2"]), image("c", 1, &["beta-1", "alpha"])];
        let rules = [rule(1, &tagged(r#""alpha","beta""#, MORE_THAN_1))];
        assert_eq!(expired(&rules, &images), [("b".to_owned(), 1)]);
        let patterns = format!(
            r#""tagStatus":"tagged","tagPatternList":["*-2","al*a*"],{}"#,
            r#""countType":"sinceImagePushed","countUnit":"days","countNumber":1"#
        );
        assert_eq!(expired(&[rule(1, &patterns)], &images), [("b".to_owned(), 1)]);
    }

    #[test]
    fn age_counts_from_push_or_pull_and_parts_stay() {
        let pushed = r#""tagStatus":"untagged","countType":"sinceImagePushed","countUnit":"days","countNumber":14"#;
        let mut part = image("part", 90, &[]);
        part.is_part = true;
        let images = [image("a", 14, &[]), image("b", 15, &[]), image("c", 99, &["kept"]), part];
        assert_eq!(expired(&[rule(1, pushed)], &images), [("b".to_owned(), 1)]);
        let pulled = pushed.replace("Pushed", "Pulled");
        let used = Candidate { pulled_at: Some(NOW - DAY), ..image("used", 99, &[]) };
        assert_eq!(expired(&[rule(1, &pulled)], &[image("b", 15, &[]), used]), [("b".to_owned(), 1)]);
    }

    #[test]
    fn evaluating_what_is_left_expires_nothing_more() {
        let rules = [
            rule(1, &tagged(r#""v""#, r#""countType":"imageCountMoreThan","countNumber":3"#)),
            rule(2, &format!(r#""tagStatus":"any",{MORE_THAN_1}"#)),
        ];
        let names: Vec<String> = (0..20).map(|n| format!("{n:02}")).collect();
        let mut images: Vec<_> = names
            .iter()
            .enumerate()
            .map(|(n, d)| image(d, 20 - n as u64, if n % 3 == 0 { &["v1"] } else { &[] }))
            .collect();
        let policy = policy(&rules);
        let gone: Vec<_> = policy.evaluate(&images, NOW).iter().map(|e| e.digest).collect();
        images.retain(|image| !gone.contains(&image.digest));
        assert!(!gone.is_empty());
        assert_eq!(policy.evaluate(&images, NOW), []);
    }

    #[test]
    fn mistakes_are_named() {
        let untagged = format!(r#""tagStatus":"untagged",{MORE_THAN_1}"#);
        let any = format!(r#""tagStatus":"any",{MORE_THAN_1}"#);
        for (rules, part) in [
            (vec![], "1 to 50"),
            (vec![rule(1, &untagged), rule(1, &any)], "several rules"),
            (vec![rule(1, &any), rule(2, &untagged)], "highest rulePriority"),
            (vec![rule(1, &untagged), rule(2, &untagged)], "same tags"),
            (vec![rule(0, &any)], "at least 1"),
            (vec![rule(1, &any.replace(":1", ":0"))], "countNumber"),
            (vec![rule(1, &any.replace("any", "tagged"))], "tagPrefixList"),
            (vec![rule(1, &any.replace("MoreThan", "LessThan"))], "countType"),
            (vec![rule(1, r#""tagStatus":"any","countType":"sinceImagePushed","countNumber":1"#)], "countUnit"),
            (vec![rule(1, &any).replace("expire", "transition")], "transition"),
            (vec![rule(1, &any).replace("selection", "selektion")], "selektion"),
        ] {
            let error = Policy::parse(&format!(r#"{{"rules":[{}]}}"#, rules.join(","))).expect_err(part);
            assert!(error.contains(part), "{error}");
        }
    }
}
