//! Filters of DescribeParameters and GetParametersByPath.
//! <https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_ParameterStringFilter.html>

use super::error;
use longshore_aws_model::AwsError;
use longshore_aws_model::ssm::{ParameterStringFilter, codes};
use longshore_types::ssm::{Parameter, ParameterVersion};

/// Keys that DescribeParameters takes, besides `tag:…`.
pub const DESCRIBE: &[&str] = &["Path", "Name", "Type", "KeyId", "Tier", "DataType"];
/// Keys that GetParametersByPath takes.
pub const BY_PATH: &[&str] = &["Type", "KeyId", "Label"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    Equals,
    BeginsWith,
    Contains,
    OneLevel,
    Recursive,
}

#[derive(Debug)]
struct Filter {
    key: String,
    how: How,
    values: Vec<String>,
}

/// All must hold; of one filter's values, any.
#[derive(Debug)]
pub struct Filters(Vec<Filter>);

impl Filters {
    pub fn parse(given: Vec<ParameterStringFilter>, keys: &[&str]) -> Result<Self, AwsError> {
        let mut filters: Vec<Filter> = Vec::new();
        for filter in given {
            let key = filter.key.unwrap_or_default();
            let takes_tags = keys == DESCRIBE && key.starts_with("tag:");
            if !takes_tags && !keys.contains(&key.as_str()) {
                let text = format!(
                    "The following filter key is not valid: {key}. Valid filter keys include: [{}].",
                    keys.join(", ")
                );
                return Err(AwsError::new(codes::INVALID_FILTER_KEY, text));
            }
            if filters.iter().any(|other| other.key == key) {
                let text = format!("The following filter key is used more than once: {key}.");
                return Err(AwsError::new(codes::INVALID_FILTER_KEY, text));
            }
            let how = how(&key, filter.option.as_deref())?;
            let values = filter.values.unwrap_or_default();
            // A tag's key alone asks for any value.
            if values.is_empty() && !takes_tags {
                let text = format!("The following filter values are missing : null for filter key {key}.");
                return Err(AwsError::new(codes::INVALID_FILTER_VALUE, text));
            }
            check_values(&key, &values)?;
            filters.push(Filter { key, how, values });
        }
        Ok(Self(filters))
    }

    pub fn allow(&self, parameter: &Parameter, version: &ParameterVersion) -> bool {
        self.0.iter().all(|filter| filter.allows(parameter, version))
    }

    /// The labels asked for, if any are.
    pub fn labels(&self) -> Option<Vec<String>> {
        self.0.iter().find(|filter| filter.key == "Label").map(|filter| filter.values.clone())
    }
}

impl Filter {
    fn allows(&self, parameter: &Parameter, version: &ParameterVersion) -> bool {
        let any = |text: &str| self.values.iter().any(|value| self.fits(text, value));
        match self.key.as_str() {
            "Type" => any(version.kind.as_str()),
            "Tier" => any(version.tier.as_str()),
            "DataType" => any(&version.data_type),
            "KeyId" => version.key_id.as_deref().is_some_and(any),
            "Label" => version.labels.iter().any(|label| any(label)),
            "Path" => {
                let recursive = self.how == How::Recursive;
                self.values.iter().any(|path| is_below(&parameter.name, path, recursive))
            }
            // `name` and `/name` are looked for alike.
            "Name" => {
                let name = parameter.name.trim_start_matches('/');
                self.values.iter().any(|value| self.fits(name, value.trim_start_matches('/')))
            }
            key => {
                let tag = key.strip_prefix("tag:").and_then(|key| parameter.tags.get(key));
                tag.is_some_and(|value| self.values.is_empty() || any(value))
            }
        }
    }

    fn fits(&self, text: &str, value: &str) -> bool {
        match self.how {
            How::BeginsWith => text.starts_with(value),
            How::Contains => text.contains(value),
            How::Equals | How::OneLevel | How::Recursive => text == value,
        }
    }
}

fn how(key: &str, option: Option<&str>) -> Result<How, AwsError> {
    let valid: &[(&str, How)] = match key {
        "Path" => &[("OneLevel", How::OneLevel), ("Recursive", How::Recursive)],
        "Name" => &[("Equals", How::Equals), ("BeginsWith", How::BeginsWith), ("Contains", How::Contains)],
        "Label" | "DataType" => &[("Equals", How::Equals)],
        _ => &[("Equals", How::Equals), ("BeginsWith", How::BeginsWith)],
    };
    let Some(option) = option else { return Ok(valid[0].1) };
    valid.iter().find(|(name, _)| *name == option).map(|(_, how)| *how).ok_or_else(|| {
        let names: Vec<&str> = valid.iter().map(|(name, _)| *name).collect();
        let text = format!(
            "The following filter option is not valid: {option}. Valid options include: [{}].",
            names.join(", ")
        );
        AwsError::new(codes::INVALID_FILTER_OPTION, text)
    })
}

fn check_values(key: &str, values: &[String]) -> Result<(), AwsError> {
    let valid: &[&str] = match key {
        "Type" => &["String", "StringList", "SecureString"],
        "Tier" => &["Standard", "Advanced", "Intelligent-Tiering"],
        "Path" => {
            return values.iter().try_for_each(|path| check_path(path));
        }
        _ => return Ok(()),
    };
    match values.iter().find(|value| !valid.contains(&value.as_str())) {
        None => Ok(()),
        Some(value) => {
            let text = format!(
                "The following filter value is not valid: {value}. Valid values include: [{}].",
                valid.join(", ")
            );
            Err(AwsError::new(codes::INVALID_FILTER_OPTION, text))
        }
    }
}

/// An error unless `path` can be a level of a hierarchy.
pub fn check_path(path: &str) -> Result<(), AwsError> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b".-_/".contains(&b);
    let first = path.trim_start_matches('/').to_ascii_lowercase();
    let reserved = first.starts_with("aws") || first.starts_with("ssm");
    if path.starts_with('/') && path.bytes().all(allowed) && !path.contains("//") && !reserved {
        return Ok(());
    }
    Err(error::validation(
        r#"The parameter doesn't meet the parameter name requirements. The parameter name must begin with a forward slash "/". It can't be prefixed with "aws" or "ssm" (case-insensitive). It must use only letters, numbers, or the following symbols: . (period), - (hyphen), _ (underscore). Special characters are not allowed. All sub-paths, if specified, must use the forward slash symbol "/". Valid example: /get/parameters2-/by1./path0_."#,
    ))
}

/// Whether `name` is a child of `path`, or below it. Names without a slash are children of the root.
pub fn is_below(name: &str, path: &str, recursive: bool) -> bool {
    let name = name.strip_prefix('/').unwrap_or(name);
    let path = path.trim_matches('/');
    let rest = match path {
        "" => Some(name),
        _ => name.strip_prefix(path).and_then(|rest| rest.strip_prefix('/')),
    };
    rest.is_some_and(|rest| recursive || !rest.contains('/'))
}
