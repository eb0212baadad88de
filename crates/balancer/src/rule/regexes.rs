//! Regular expressions of conditions and transforms. They run in time linear to the text.

use regex::bytes::{Regex, RegexBuilder, RegexSet, RegexSetBuilder};

use super::ConditionError;
use super::glob::Case;

/// A compiled expression may take so much memory, each.
const SIZE_BYTES_MAX: usize = 1 << 20;

/// Values of a condition, of which any may be found.
#[derive(Debug)]
pub(crate) struct Regexes(Option<RegexSet>);

impl Regexes {
    pub(super) fn compile(values: &[String], case: Case) -> Result<Regexes, ConditionError> {
        if values.is_empty() {
            return Ok(Regexes(None));
        }
        for value in values {
            compile(value, case)?;
        }
        let set = RegexSetBuilder::new(values)
            .unicode(false)
            .case_insensitive(case == Case::Insensitive)
            // Each has been found small enough by itself.
            .size_limit(SIZE_BYTES_MAX * values.len())
            .build();
        set.map(|set| Regexes(Some(set))).map_err(|error| ConditionError::Regex(values.join(" "), error.to_string()))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    pub(super) fn find_in(&self, text: &[u8]) -> bool {
        self.0.as_ref().is_some_and(|set| set.is_match(text))
    }
}

/// One expression.
pub(crate) fn compile(value: &str, case: Case) -> Result<Regex, ConditionError> {
    RegexBuilder::new(value)
        .unicode(false)
        .case_insensitive(case == Case::Insensitive)
        .size_limit(SIZE_BYTES_MAX)
        .build()
        .map_err(|error| ConditionError::Regex(value.to_owned(), error.to_string()))
}
