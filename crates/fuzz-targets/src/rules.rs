//! The balancer's configuration and what its rules make of requests.

use longshore_balancer::Config;
use longshore_balancer::fuzzing::{redirect, rules as evaluate};

use crate::input::{FIELD, Input};

/// Host, target and one header of a request, then a configuration.
///
/// Holds: a configuration written and read again is the same; every rule can be asked; what a rewrite or a redirect makes
/// can be carried in one header line.
pub fn rules(data: &[u8]) {
    let mut input = Input::new(data);
    let (host, target) = (input.text(FIELD), input.text(FIELD));
    let (name, value) = (input.text(FIELD), input.text(FIELD));
    let template = input.text(FIELD);
    let (path, query) = target.split_once('?').map_or((&*target, None), |(path, query)| (path, Some(query)));
    if let Some(location) = redirect(&template, &host, path, query) {
        assert!(!location.as_bytes().iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)));
    }
    let Ok(config) = serde_json::from_slice::<Config>(input.rest()) else { return };
    crate::same_again(&config);
    let request = http::Request::builder().uri(&*target).header("host", &*host).header(&*name, &*value).body(());
    let Ok(request) = request else { return };
    let (_, targets) = evaluate(&config, &request.into_parts().0);
    assert!(targets.iter().all(|target| target.starts_with('/') && !target.contains([' ', '\r', '\n'])), "{targets:?}");
}
