//! `query-string`: parameters as sent, case-insensitive; without a key any parameter's value counts.

use super::RequestView;
use super::glob::{Case, Glob};
use crate::config::QueryPattern;

#[derive(Debug)]
pub(crate) struct QueryString(Vec<Pattern>);

#[derive(Debug)]
struct Pattern {
    key: Option<Glob>,
    value: Glob,
}

impl QueryString {
    pub(super) fn compile(values: &[QueryPattern]) -> QueryString {
        let compile = |text: &String| Glob::compile(text, Case::Insensitive, true);
        QueryString(
            values
                .iter()
                .map(|pattern| Pattern { key: pattern.key.as_ref().map(compile), value: compile(&pattern.value) })
                .collect(),
        )
    }

    pub(super) fn holds(&self, request: &RequestView<'_>) -> bool {
        let Some(query) = request.query else { return false };
        query.split('&').any(|parameter| {
            let (key, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            self.0.iter().any(|pattern| {
                pattern.key.as_ref().is_none_or(|glob| glob.matches(key.as_bytes()))
                    && pattern.value.matches(value.as_bytes())
            })
        })
    }
}
