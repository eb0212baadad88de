//! Transforms of rules: one rewrite of the host header and one of the URL.

use super::conditions::is_regex;
use super::error;
use longshore_aws_model::AwsError;
use longshore_aws_model::elbv2::{HostHeaderRewriteConfig, RewriteConfig, RuleTransform, UrlRewriteConfig};
use longshore_types::elbv2::Transform;

pub fn parse(given: Vec<RuleTransform>) -> Result<Vec<Transform>, AwsError> {
    let transforms: Vec<Transform> = given.into_iter().map(transform).collect::<Result<_, _>>()?;
    for (n, transform) in transforms.iter().enumerate() {
        let kind = std::mem::discriminant(transform);
        if transforms[..n].iter().any(|earlier| std::mem::discriminant(earlier) == kind) {
            return Err(error::validation("A rule can only have one transform of each type"));
        }
    }
    Ok(transforms)
}

fn transform(given: RuleTransform) -> Result<Transform, AwsError> {
    let host = given.host_header_rewrite_config.and_then(|config| config.rewrites);
    let url = given.url_rewrite_config.and_then(|config| config.rewrites);
    match (given.r#type.as_deref().unwrap_or_default(), host, url) {
        ("host-header-rewrite", rewrites, None) => {
            let (regex, replace) = rewrite("host-header-rewrite", rewrites)?;
            Ok(Transform::HostHeaderRewrite { regex, replace })
        }
        ("url-rewrite", None, rewrites) => {
            let (regex, replace) = rewrite("url-rewrite", rewrites)?;
            Ok(Transform::UrlRewrite { regex, replace })
        }
        (kind @ ("host-header-rewrite" | "url-rewrite"), ..) => Err(error::validation(format!(
            "A transform of type '{kind}' cannot have the configuration of another type"
        ))),
        (kind, ..) => Err(error::validation(format!(
            "Transform type '{kind}' must be one of '[host-header-rewrite, url-rewrite]'"
        ))),
    }
}

fn rewrite(kind: &str, rewrites: Option<Vec<RewriteConfig>>) -> Result<(String, String), AwsError> {
    let mut rewrites = rewrites.unwrap_or_default();
    let (Some(only), true) = (rewrites.pop(), rewrites.is_empty()) else {
        return Err(error::validation(format!("A transform of type '{kind}' must have exactly one rewrite")));
    };
    let (regex, replace) = (only.regex.unwrap_or_default(), only.replace.unwrap_or_default());
    if regex.is_empty() || !is_regex(&regex) {
        return Err(error::validation(format!("Transform regex '{regex}' is not valid")));
    }
    if replace.len() > 1024 || !replace.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(error::validation(format!("Transform replacement '{replace}' is not valid")));
    }
    Ok((regex, replace))
}

/// As the API shows them; `None` where there are none.
pub fn view(transforms: &[Transform]) -> Option<Vec<RuleTransform>> {
    let rewrites = |regex: &String, replace: &String| {
        Some(vec![RewriteConfig { regex: Some(regex.clone()), replace: Some(replace.clone()) }])
    };
    let shown = transforms.iter().map(|transform| match transform {
        Transform::HostHeaderRewrite { regex, replace } => RuleTransform {
            r#type: Some("host-header-rewrite".to_owned()),
            host_header_rewrite_config: Some(HostHeaderRewriteConfig { rewrites: rewrites(regex, replace) }),
            url_rewrite_config: None,
        },
        Transform::UrlRewrite { regex, replace } => RuleTransform {
            r#type: Some("url-rewrite".to_owned()),
            host_header_rewrite_config: None,
            url_rewrite_config: Some(UrlRewriteConfig { rewrites: rewrites(regex, replace) }),
        },
    });
    (!transforms.is_empty()).then(|| shown.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(regex: &str, replace: &str) -> RuleTransform {
        view(&[Transform::UrlRewrite { regex: regex.to_owned(), replace: replace.to_owned() }]).expect("some").remove(0)
    }

    #[test]
    fn transforms_are_shown_as_they_were_given() {
        let given = vec![url("^/a/(.*)$", "/$1")];
        let parsed = parse(given.clone()).expect("good");
        assert_eq!(view(&parsed), Some(given));
        assert_eq!(view(&[]), None);
    }

    #[test]
    fn refusals_name_what_is_wrong() {
        let message = |given: Vec<RuleTransform>| parse(given).expect_err("it is refused").message;
        assert_eq!(message(vec![url("(", "/")]), "Transform regex '(' is not valid");
        assert_eq!(message(vec![url("a", "b c")]), "Transform replacement 'b c' is not valid");
        assert_eq!(message(vec![url("a", "b"), url("c", "d")]), "A rule can only have one transform of each type");
        let host = RuleTransform { r#type: Some("host-header-rewrite".to_owned()), ..url("a", "b") };
        assert!(message(vec![host]).contains("cannot have the configuration of another type"));
        let none = RuleTransform { url_rewrite_config: None, ..url("a", "b") };
        assert_eq!(message(vec![none]), "A transform of type 'url-rewrite' must have exactly one rewrite");
        assert!(message(vec![RuleTransform::default()]).contains("must be one of"));
    }
}
