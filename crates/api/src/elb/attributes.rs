//! Attributes: key and value, with defaults. A row keeps those that differ from their defaults.

use super::error;
use longshore_aws_model::AwsError;
use std::collections::BTreeMap;

/// One attribute: its key, its default, and what it may be set to.
pub type Known = (&'static str, &'static str, Allowed);

#[derive(Clone, Copy)]
pub enum Allowed {
    /// The data plane does not obey it yet: the default only.
    Default,
    Flag,
    Number(u32, u32),
    /// Zero or within bounds.
    OffOr(u32, u32),
    OneOf(&'static [&'static str]),
    Text,
}

/// All attributes with their values.
pub fn all(known: &[Known], set: &BTreeMap<String, String>) -> Vec<(String, String)> {
    let value = |key: &str, default: &str| set.get(key).cloned().unwrap_or_else(|| default.to_owned());
    known.iter().map(|(key, default, _)| ((*key).to_owned(), value(key, default))).collect()
}

/// Sets attributes, all or none.
pub fn set(known: &[Known], row: &mut BTreeMap<String, String>, given: Vec<(String, String)>) -> Result<(), AwsError> {
    let mut changed = row.clone();
    for (key, value) in given {
        let (_, default, allowed) = known
            .iter()
            .find(|(name, ..)| *name == key)
            .ok_or_else(|| error::validation(format!("The attribute '{key}' is not recognized, or not supported by Longshore yet")))?;
        if value == *default {
            changed.remove(&key);
            continue;
        }
        let number = |least: u32, most: u32| value.parse::<u32>().is_ok_and(|n| (least..=most).contains(&n));
        let good = match allowed {
            Allowed::Default => {
                return Err(error::validation(format!("The attribute '{key}' cannot be set to '{value}': it is not supported by Longshore yet")));
            }
            Allowed::Flag => matches!(value.as_str(), "true" | "false"),
            Allowed::Number(least, most) => number(*least, *most),
            Allowed::OffOr(least, most) => value == "0" || number(*least, *most),
            Allowed::OneOf(words) => words.contains(&value.as_str()),
            Allowed::Text => !value.is_empty(),
        };
        if !good {
            return Err(error::validation(format!("'{value}' is not a valid value for the attribute '{key}'")));
        }
        changed.insert(key, value);
    }
    *row = changed;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &[Known] =
        &[("a.flag", "false", Allowed::Flag), ("a.number", "60", Allowed::Number(1, 4000)), ("a.later", "", Allowed::Default)];

    #[test]
    fn what_is_not_obeyed_is_refused_and_nothing_is_half_set() {
        let mut row = BTreeMap::new();
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        assert!(set(KNOWN, &mut row, vec![pair("a.flag", "true"), pair("a.later", "x")]).is_err());
        assert!(row.is_empty());
        assert!(set(KNOWN, &mut row, vec![pair("a.number", "4001")]).is_err());
        set(KNOWN, &mut row, vec![pair("a.flag", "true"), pair("a.number", "60")]).expect("allowed");
        assert_eq!(all(KNOWN, &row), [pair("a.flag", "true"), pair("a.number", "60"), pair("a.later", "")]);
    }
}
