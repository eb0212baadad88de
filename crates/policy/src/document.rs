//! A policy document, read and made ready for deciding.

use crate::condition::{Condition, Operator};
use crate::pattern::Pattern;
use crate::principal::Names;
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::fmt;

/// A policy. The default one has no statements: it allows nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Policy {
    pub(crate) statements: Vec<Statement>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    Allow,
    Deny,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Statement {
    pub sid: Option<String>,
    pub effect: Effect,
    /// `None` in a policy of an identity.
    pub principals: Option<Not<Names>>,
    pub actions: Not<Actions>,
    /// `None` in a trust policy.
    pub resources: Option<Not<Vec<Pattern>>>,
    pub conditions: Vec<Condition>,
}

/// An element, or its negation: `Action`, `NotAction`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Not<T> {
    pub negated: bool,
    pub inner: T,
}

/// Action patterns in lower case. A policy such as ReadOnlyAccess has more than a thousand: they are found by service.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Actions {
    by_service: HashMap<String, Vec<Pattern>>,
    /// `*`, `ec*:Get*`.
    others: Vec<Pattern>,
}

impl Actions {
    fn new(texts: &[&str]) -> Self {
        let mut actions = Self::default();
        for text in texts {
            let text = text.to_ascii_lowercase();
            match text.split_once(':').filter(|(service, _)| !service.contains(['*', '?'])) {
                Some((service, name)) => {
                    actions.by_service.entry(service.to_owned()).or_default().push(Pattern::compile(name, false));
                }
                None => actions.others.push(Pattern::compile(&text, false)),
            }
        }
        actions
    }

    /// `action` in lower case.
    pub fn cover(&self, action: &str) -> bool {
        let none = &crate::NoContext;
        if self.others.iter().any(|pattern| pattern.is_like(action, none)) {
            return true;
        }
        let Some((service, name)) = action.split_once(':') else { return false };
        let of_service = self.by_service.get(service);
        of_service.is_some_and(|patterns| patterns.iter().any(|pattern| pattern.is_like(name, none)))
    }
}

/// What is wrong with a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyError(pub String);

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for PolicyError {}

fn error<T>(text: impl Into<String>) -> Result<T, PolicyError> {
    Err(PolicyError(text.into()))
}

impl Policy {
    /// Reads a document. What each kind of policy must and must not have is checked by whoever takes it in.
    pub fn parse(text: &str) -> Result<Self, PolicyError> {
        let document: Value = serde_json::from_str(text).map_err(|e| PolicyError(e.to_string()))?;
        // Without a version it is one of 2008, which has no variables.
        let has_variables = document.get("Version").is_some_and(|version| version == "2012-10-17");
        let statements = match document.get("Statement") {
            Some(Value::Array(statements)) => statements.iter().collect(),
            Some(statement @ Value::Object(_)) => vec![statement],
            _ => return error("a policy has statements"),
        };
        let read = |statement: &Value| match statement {
            Value::Object(statement) => read_statement(statement, has_variables),
            _ => error("a statement is an object"),
        };
        Ok(Self { statements: statements.into_iter().map(read).collect::<Result<_, _>>()? })
    }

    /// The context's keys that the policy asks for, as it spells them, sorted.
    pub fn keys(&self) -> Vec<&str> {
        let mut keys: Vec<&str> = Vec::new();
        for statement in &self.statements {
            for condition in &statement.conditions {
                keys.push(&condition.key);
                keys.extend(condition.values.iter().flat_map(Pattern::keys));
            }
            let resources = statement.resources.iter().flat_map(|resources| &resources.inner);
            keys.extend(resources.flat_map(Pattern::keys));
        }
        keys.sort_unstable();
        keys.dedup();
        keys
    }
}

fn read_statement(statement: &Map<String, Value>, has_variables: bool) -> Result<Statement, PolicyError> {
    let effect = match statement.get("Effect").and_then(Value::as_str) {
        Some("Allow") => Effect::Allow,
        Some("Deny") => Effect::Deny,
        _ => return error("a statement's effect is Allow or Deny"),
    };
    let Some((negated, actions)) = one_of(statement, "Action", "NotAction")? else {
        return error("a statement has actions");
    };
    let actions = Not { negated, inner: Actions::new(&actions) };
    let resources = one_of(statement, "Resource", "NotResource")?.map(|(negated, resources)| Not {
        negated,
        inner: resources.iter().map(|text| Pattern::compile(text, has_variables)).collect(),
    });
    let principals = match (statement.get("Principal"), statement.get("NotPrincipal")) {
        (Some(_), Some(_)) => return error("a statement has Principal or NotPrincipal"),
        (Some(names), None) => Some(Not { negated: false, inner: read_names(names)? }),
        (None, Some(names)) => Some(Not { negated: true, inner: read_names(names)? }),
        (None, None) => None,
    };
    let conditions = statement.get("Condition").map_or(Ok(Vec::new()), |c| read_conditions(c, has_variables))?;
    let sid = statement.get("Sid").and_then(Value::as_str).map(str::to_owned);
    Ok(Statement { sid, effect, principals, actions, resources, conditions })
}

fn read_names(value: &Value) -> Result<Names, PolicyError> {
    let mut names = Names::default();
    let kinds = match value {
        Value::String(all) if all == "*" => {
            names.everyone = true;
            return Ok(names);
        }
        Value::Object(kinds) => kinds,
        _ => return error("a principal is \"*\" or an object"),
    };
    for (kind, value) in kinds {
        let list = texts(value)?.into_iter().map(str::to_owned);
        match kind.as_str() {
            "AWS" => names.aws.extend(list),
            "Service" => names.services.extend(list),
            _ => names.others.extend(list),
        }
    }
    Ok(names)
}

fn read_conditions(value: &Value, has_variables: bool) -> Result<Vec<Condition>, PolicyError> {
    let Value::Object(operators) = value else { return error("a condition is an object") };
    let mut conditions = Vec::new();
    for (name, keys) in operators {
        let operator = Operator::parse(name).ok_or_else(|| PolicyError(format!("Invalid Condition type : {name}.")))?;
        let Value::Object(keys) = keys else { return error(format!("{name} has keys")) };
        for (key, values) in keys {
            let values = match values {
                Value::Array(values) => values.iter().collect(),
                value => vec![value],
            };
            let pattern = |value: &Value| {
                let text = match value {
                    Value::String(text) => text.clone(),
                    Value::Bool(_) | Value::Number(_) => value.to_string(),
                    _ => return error(format!("the values of {key} are texts")),
                };
                Ok(Pattern::compile(&text, has_variables))
            };
            let values = values.into_iter().map(pattern).collect::<Result<_, _>>()?;
            conditions.push(Condition { operator, key: key.clone(), values });
        }
    }
    Ok(conditions)
}

/// Whether it is the negation, and its texts.
fn one_of<'a>(
    statement: &'a Map<String, Value>,
    name: &str,
    negation: &str,
) -> Result<Option<(bool, Vec<&'a str>)>, PolicyError> {
    match (statement.get(name), statement.get(negation)) {
        (Some(_), Some(_)) => error(format!("a statement has {name} or {negation}")),
        (Some(value), None) => Ok(Some((false, texts(value)?))),
        (None, Some(value)) => Ok(Some((true, texts(value)?))),
        (None, None) => Ok(None),
    }
}

/// A single text stands for a list of one.
fn texts(value: &Value) -> Result<Vec<&str>, PolicyError> {
    let text = |value: &'_ Value| value.as_str().is_some();
    match value {
        Value::String(text) => Ok(vec![text]),
        Value::Array(values) if values.iter().all(text) => Ok(values.iter().filter_map(Value::as_str).collect()),
        _ => error("a text or a list of texts is wanted"),
    }
}
