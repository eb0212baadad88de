//! Parameter names and how requests refer to a version: `/db/password`, `/db/password:3`, `/db/password:prod`, or an ARN.
//! <https://docs.aws.amazon.com/systems-manager/latest/userguide/sysman-paramstore-su-create.html>

use super::error;
use longshore_aws_model::AwsError;
use longshore_aws_model::ssm::codes;
use longshore_store::Snapshot;
use longshore_types::Scope;
use longshore_types::arn::Arn;

/// A name has at most this many characters together with the rest of its ARN.
const ARN_MAX: usize = 1011;
const LEVELS_MAX: usize = 15;

/// Which version of a parameter is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selector<'a> {
    Latest,
    Version(u64),
    Label(&'a str),
}

impl Selector<'_> {
    /// As answers repeat it: with its colon.
    pub fn text(&self) -> Option<String> {
        match self {
            Self::Latest => None,
            Self::Version(version) => Some(format!(":{version}")),
            Self::Label(label) => Some(format!(":{label}")),
        }
    }
}

pub fn arn(scope: &Scope, name: &str) -> String {
    let slash = if name.starts_with('/') { "" } else { "/" };
    format!("arn:aws:ssm:{}:{}:parameter{slash}{name}", scope.region, scope.account)
}

/// The stored name and the selector that `given` means; `None` if no such parameter is in this account and region.
pub fn find<'a>(state: &Snapshot, scope: &Scope, given: &'a str) -> Option<(String, Selector<'a>)> {
    let (candidates, selector) = match Arn::parse(given) {
        Some(arn) => {
            let here =
                arn.service == "ssm" && arn.region == scope.region.as_str() && arn.account == scope.account.as_str();
            let (path, selector) = split(arn.resource.strip_prefix("parameter").filter(|_| here)?);
            // One slash ends the word, which may be the name's own: the ARNs of `name` and `/name` are the same text. Were
            // none or two taken for it as well, a policy that knows the one ARN of a parameter would not meet the others.
            let name = path.strip_prefix('/').filter(|name| !name.starts_with('/'))?;
            (vec![path, name], selector)
        }
        None => {
            let (name, selector) = split(given);
            (vec![name], selector)
        }
    };
    let there = |name: &&str| state.parameters().contains(&(scope.clone(), (*name).to_owned()));
    candidates.into_iter().find(there).map(|name| (name.to_owned(), selector))
}

/// The stored name that `given` means to operations on a parameter as a whole, for which no version is chosen in it.
pub fn whole(state: &Snapshot, scope: &Scope, given: &str) -> Result<String, AwsError> {
    let text = Arn::parse(given).map_or(given, |arn| arn.resource);
    match split(text) {
        (_, Selector::Latest) => find(state, scope, given).map(|(name, _)| name).ok_or_else(|| error::not_found(given)),
        (_, Selector::Version(_) | Selector::Label(_)) => Err(malformed()),
    }
}

fn malformed() -> AwsError {
    error::validation(
        r#"Parameter name: can't be prefixed with "ssm" (case-insensitive). If formed as a path, it can consist of sub-paths divided by slash symbol; each sub-path can be formed as a mix of letters, numbers and the following 3 symbols .-_"#,
    )
}

fn split(text: &str) -> (&str, Selector<'_>) {
    match text.split_once(':') {
        None => (text, Selector::Latest),
        Some((name, selector)) => match selector.parse() {
            Ok(version) => (name, Selector::Version(version)),
            Err(_) => (name, Selector::Label(selector)),
        },
    }
}

/// Whether a parameter may have this name.
pub fn check(scope: &Scope, name: &str) -> Result<(), AwsError> {
    let lower = name.to_ascii_lowercase();
    let levels: Vec<&str> = name.split('/').collect();
    let is_path = levels.len() > 2;
    let reserved = |word: &str| lower.trim_start_matches('/').starts_with(word);
    if is_path && lower.starts_with("/aws") {
        let text = format!("No access to reserved parameter name: {name}.");
        return Err(AwsError::new("AccessDeniedException", text));
    }
    if !is_path && (reserved("aws") || reserved("ssm")) {
        return Err(error::validation(r#"Parameter name: can't be prefixed with "aws" or "ssm" (case-insensitive)."#));
    }
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b".-_/".contains(&b);
    let empty_level = name.ends_with('/') || name.contains("//");
    if reserved("ssm") || !name.bytes().all(allowed) || empty_level || name.is_empty() {
        return Err(malformed());
    }
    if name.contains('/') && !name.starts_with('/') {
        return Err(error::validation("Parameter name must be a fully qualified name."));
    }
    if levels.len() > LEVELS_MAX + 1 {
        return Err(AwsError::new(
            codes::HIERARCHY_LEVEL_LIMIT_EXCEEDED_EXCEPTION,
            "A hierarchy can have a maximum of 15 levels. For more information, see Requirements and constraints for parameter names in the AWS Systems Manager User Guide.",
        ));
    }
    if arn(scope, name).len() > ARN_MAX {
        return Err(error::validation(format!(
            "Parameter name: with the rest of its ARN it can have at most {ARN_MAX} characters."
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_letters_digits_and_three_symbols_in_fully_qualified_paths() {
        let scope = Scope::new("123456789012", "us-east-1");
        for good in ["a", "/a", "/a/b.c-d_e", "A9", "/my/aws", "/awesome"] {
            assert!(check(&scope, good).is_ok(), "{good}");
        }
        let text = |name: &str| check(&scope, name).expect_err("it is refused").to_string();
        assert!(text("aws-x").starts_with("ValidationException: Parameter name: can't be prefixed with \"aws\" or"));
        assert!(
            text("/SSM/x").starts_with("ValidationException: Parameter name: can't be prefixed with \"ssm\" (case")
        );
        assert_eq!(text("/aws/x"), "AccessDeniedException: No access to reserved parameter name: /aws/x.");
        assert_eq!(text("a/b"), "ValidationException: Parameter name must be a fully qualified name.");
        for bad in ["a b", "/a//b", "/a/", "ä", "a:1"] {
            assert!(text(bad).contains("each sub-path can be formed"), "{bad}");
        }
        let deep = "/a".repeat(15);
        assert!(check(&scope, &deep).is_ok());
        assert!(text(&format!("{deep}/a")).starts_with("HierarchyLevelLimitExceededException: "));
        assert!(text(&"a".repeat(1000)).contains("1011 characters"));
    }

    #[test]
    fn a_parameter_has_one_arn() {
        use crate::ssm::put_parameter::put_parameter;
        use crate::ssm::testing::put;
        let fixture = crate::testing::Fixture::new();
        for name in ["/prod/db", "foo"] {
            fixture.try_write(|tx, cx| put_parameter(tx, cx, put(name, "1"))).expect("stored");
        }
        fixture.read(|state, cx| {
            let name = |rest: &str| {
                let arn = format!("arn:aws:ssm:us-east-1:123456789012:parameter{rest}");
                find(state, &cx.scope, &arn).map(|(name, _)| name)
            };
            assert_eq!(name("/prod/db").as_deref(), Some("/prod/db"));
            assert_eq!(name("/foo:1").as_deref(), Some("foo"));
            for other in ["//prod/db", "foo", "prod/db", "//foo", "///prod/db"] {
                assert_eq!(name(other), None, "{other}");
            }
        });
    }

    #[test]
    fn a_selector_is_a_number_or_a_label() {
        assert_eq!(split("/a"), ("/a", Selector::Latest));
        assert_eq!(split("/a:3"), ("/a", Selector::Version(3)));
        assert_eq!(split("/a:prod"), ("/a", Selector::Label("prod")));
        assert_eq!(Selector::Label("prod").text().as_deref(), Some(":prod"));
    }
}
