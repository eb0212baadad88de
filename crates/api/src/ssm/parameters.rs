//! Rows of parameters as operations read them, and values as the node's tasks need them.

use super::error;
use super::names::{self, Selector};
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_store::Snapshot;
use longshore_types::Scope;
use longshore_types::ssm::{Parameter, ParameterValue, ParameterVersion};
use std::sync::Arc;

/// A parameter with the version that was asked for.
#[derive(Debug)]
pub struct Found<'a> {
    pub parameter: Arc<Parameter>,
    pub version: Arc<ParameterVersion>,
    pub selector: Selector<'a>,
}

/// What `given` (a name or an ARN, perhaps with a version or a label) refers to.
pub fn find<'a>(state: &Snapshot, scope: &Scope, given: &'a str) -> Result<Found<'a>, AwsError> {
    let (name, selector) = names::find(state, scope, given).ok_or_else(|| error::not_found(given))?;
    let parameter = state.parameters().get(&(scope.clone(), name.clone())).ok_or_else(|| error::not_found(given))?;
    let by_number = |version| state.parameter_versions().get(&(scope.clone(), name.clone(), version));
    let version = match selector {
        Selector::Latest => by_number(parameter.latest).ok_or_else(|| error::not_found(given))?,
        Selector::Version(version) => by_number(version).ok_or_else(|| error::version_not_found(version, &name))?,
        Selector::Label(label) => versions(state, scope, &name)
            .find(|version| version.labels.contains(label))
            .ok_or_else(|| error::label_not_found(label, &name))?,
    };
    Ok(Found { parameter, version, selector })
}

/// Newest versions of all parameters, by name.
pub fn newest<'a>(
    state: &'a Snapshot,
    scope: &'a Scope,
) -> impl Iterator<Item = (Arc<Parameter>, Arc<ParameterVersion>)> + 'a {
    state.parameters().prefix(scope).filter_map(|parameter| {
        let version = state.parameter_versions().get(&(scope.clone(), parameter.name.clone(), parameter.latest))?;
        Some((parameter, version))
    })
}

/// All versions of a parameter, oldest first.
pub fn versions<'a>(
    state: &'a Snapshot,
    scope: &Scope,
    name: &str,
) -> impl Iterator<Item = Arc<ParameterVersion>> + 'a {
    state.parameter_versions().prefix(&(scope.clone(), name.to_owned()))
}

/// What a version's sealed value is bound to.
fn place(scope: &Scope, name: &str, version: u64) -> String {
    format!("{}:{version}", names::arn(scope, name))
}

pub fn seal(cx: &Cx, name: &str, version: u64, value: &str) -> ParameterValue {
    ParameterValue::Sealed(cx.settings.vault.seal(&place(&cx.scope, name, version), value.as_bytes()))
}

/// The value in plain.
pub fn open(cx: &Cx, name: &str, version: &ParameterVersion) -> Result<String, AwsError> {
    match &version.value {
        ParameterValue::Plain(text) => Ok(text.clone()),
        ParameterValue::Sealed(sealed) => {
            let bytes = cx.settings.vault.open(&place(&cx.scope, name, version.version), sealed);
            bytes.ok().and_then(|bytes| String::from_utf8(bytes).ok()).ok_or_else(error::cannot_decrypt)
        }
    }
}

/// The value as answered: without decryption a SecureString is its ciphertext.
pub fn shown(cx: &Cx, name: &str, version: &ParameterVersion, decrypted: bool) -> Result<String, AwsError> {
    match &version.value {
        ParameterValue::Sealed(sealed) if !decrypted => Ok(sealed.0.clone()),
        _ => open(cx, name, version),
    }
}
