//! From a signed request to its caller.

use super::{Authority, lock, remember};
use crate::sts::session;
use crate::{Caller, Principal};
use longshore_aws_wire::sigv4::{BadSignature, Credential, Mode, SignedRequest, SigningKey, check};
use longshore_store::{Snapshot, Store, Tx};
use longshore_types::iam::LastUsed;
use longshore_types::{Scope, Timestamp, arn};
use std::time::Duration;

/// A use is written down when the last one written is this old: GetAccessKeyLastUsed promises no more.
const USE_INTERVAL: Duration = Duration::from_secs(15 * 60);

/// Verifies a signature for a service (its signing name).
pub fn authenticate(
    authority: &Authority,
    state: &Snapshot,
    scope: &Scope,
    request: &SignedRequest<'_>,
    credential: Option<&Credential>,
    service: &str,
    now: Timestamp,
) -> Result<Caller, BadSignature> {
    let credential = credential.ok_or(BadSignature::Missing)?;
    let token = credential.session_token.as_deref();
    let (caller, secret) = holder(authority, state, scope, &credential.access_key, token, now)?;
    let Credential { access_key, date, region, service: of, .. } = credential;
    let name = format!("{access_key}/{date}/{region}/{of}");
    let known = lock(&authority.signing_keys).get(&name).cloned();
    let key = known.clone().unwrap_or_else(|| SigningKey::derive(&secret, date, region, of));
    let now = longshore_aws_model::Timestamp(now.0);
    check(request, credential, &key, service, Mode::Normalized, now)?;
    // Only the key's holder decides what is kept, and how long a name it has.
    if known.is_none() {
        remember(&authority.signing_keys, name, key);
    }
    Ok(caller)
}

/// Whose key it is, where something that only its holder can have been given (a registry's password) stands for a
/// signature. `None` when the key is deleted, inactive or over.
pub fn caller_of_key(
    authority: &Authority,
    state: &Snapshot,
    scope: &Scope,
    id: &str,
    now: Timestamp,
) -> Option<Caller> {
    let token = state.role_sessions().get(&id.to_owned()).map(|session| session.session_token.clone());
    holder(authority, state, scope, id, token.as_deref(), now).ok().map(|(caller, _)| caller)
}

/// Whose key it is, and its secret.
fn holder(
    authority: &Authority,
    state: &Snapshot,
    scope: &Scope,
    id: &str,
    token: Option<&str>,
    now: Timestamp,
) -> Result<(Caller, String), BadSignature> {
    if let Some(session) = state.role_sessions().get(&id.to_owned()) {
        if token != Some(session.session_token.as_str()) {
            return Err(BadSignature::BadToken);
        }
        if session.expires_at <= now {
            return Err(BadSignature::TokenExpired);
        }
        let secret = session.secret_access_key.clone();
        return Ok((session::caller(state, session), secret));
    }
    // A token is of temporary credentials only.
    if token.is_some() {
        return Err(BadSignature::BadToken);
    }
    if id == authority.root.access_key_id {
        return Ok((Caller::root(scope, id), authority.root.secret_access_key.clone()));
    }
    let key = state.access_keys().get(&id.to_owned()).filter(|key| key.is_active).ok_or(BadSignature::UnknownKey)?;
    let user = state.users().get(&(key.account.clone(), key.user.clone())).ok_or(BadSignature::UnknownKey)?;
    let caller = Caller {
        arn: arn::iam(&key.account, "user", &user.path, &user.name),
        user_id: user.id.clone(),
        access_key_id: id.to_owned(),
        principal: Principal::User(user.name.clone()),
        session: None,
    };
    Ok((caller, key.secret_access_key.clone()))
}

/// Writes down that a key, or a role by its session, was used; at most every quarter of an hour. Nobody waits for it.
pub fn record_use(store: &Store, state: &Snapshot, caller: &Caller, scope: &Scope, service: &str, now: Timestamp) {
    let is_old = |last: &Option<LastUsed>| last.as_ref().is_none_or(|last| now.since(last.at) >= USE_INTERVAL);
    let used = LastUsed { at: now, service: service.to_owned(), region: scope.region.to_string() };
    match &caller.principal {
        Principal::User(_) if caller.session.is_none() => {
            let id = caller.access_key_id.clone();
            if state.access_keys().get(&id).is_some_and(|key| is_old(&key.last_used)) {
                write(store, move |tx| tx.access_keys().update(&id, |key| key.last_used = Some(used)));
            }
        }
        Principal::Role(name) => {
            let key = (scope.account.clone(), name.clone());
            if state.roles().get(&key).is_some_and(|role| is_old(&role.last_used)) {
                write(store, move |tx| tx.roles().update(&key, |role| role.last_used = Some(used)));
            }
        }
        _ => {}
    }
}

/// A use that cannot be written down is one that is not shown.
fn write(store: &Store, change: impl FnOnce(&mut Tx) -> Option<()> + Send + 'static) {
    let store = store.clone();
    tokio::spawn(async move {
        let written = store
            .write(move |tx| {
                // One that was deleted meanwhile is not missed.
                let _ = change(tx);
                Ok::<(), ()>(())
            })
            .await;
        if let Err(error) = written {
            tracing::debug!(%error, "the use of a key could not be written down");
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::RootKey;
    use crate::testing::Fixture;
    use longshore_aws_wire::sigv4::{authorization, parse_header, timestamp};

    #[test]
    fn a_forged_request_leaves_no_signing_key_behind() {
        let fixture = Fixture::new();
        let root = RootKey { access_key_id: "AKIAROOT".to_owned(), secret_access_key: "secret".to_owned() };
        let authority = Authority::new(root);
        let now = Timestamp(1_700_000_000_000);
        let time = timestamp(longshore_aws_model::Timestamp(now.0));
        let headers = [("host", "localhost"), ("x-amz-date", time.as_str())];
        let request = SignedRequest { method: "POST", path: "/", query: "", headers: &headers, body: b"" };
        let signed = |secret: &str, region: &str| {
            let header = authorization(&request, "AKIAROOT", secret, region, "ecs");
            Credential { timestamp: Some(time.clone()), ..parse_header(&header).expect("a credential") }
        };
        let ask = |credential: Credential| {
            let ask = |state: &Snapshot, cx: &crate::Cx| {
                authenticate(&authority, state, &cx.scope, &request, Some(&credential), "ecs", now).is_ok()
            };
            fixture.read(ask)
        };
        assert!(!ask(signed("another's", &"r".repeat(100_000))));
        assert_eq!(lock(&authority.signing_keys).len(), 0);
        assert!(ask(signed("secret", "us-east-1")));
        assert_eq!(lock(&authority.signing_keys).len(), 1);
    }
}
