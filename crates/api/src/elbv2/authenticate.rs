//! Actions that let requests in before another one decides: `authenticate-oidc` and `jwt-validation`.

use super::error;
use crate::vault::Vault;
use longshore_aws_model::AwsError;
use longshore_aws_model::elbv2 as wire;
use longshore_types::elbv2::{Action, AdditionalClaim, AuthenticateOidc, ClaimFormat, OnUnauthenticated};
use longshore_types::sealed::Sealed;

const COOKIE_NAME: &str = "AWSELBAuthSessionCookie";
const SESSION_SECONDS_MAX: i64 = 604_800;
const EXTRA_PARAMS_MAX: usize = 10;
/// What the load balancer says to the authorization endpoint itself.
const OWN_PARAMS: [&str; 5] = ["client_id", "redirect_uri", "response_type", "scope", "state"];
const CLAIMS_MAX: usize = 10;
const CLAIM_VALUES_MAX: usize = 10;
const CLAIM_BYTES_MAX: usize = 256;
/// Of an endpoint's URL. One that HTTP cannot carry would have the data plane refuse what there is for all load balancers.
const URL_BYTES_MAX: usize = 4096;
/// Always validated.
const OWN_CLAIMS: [&str; 4] = ["exp", "iss", "nbf", "iat"];

/// Where the client secret of a listener's or rule's action belongs, for the vault.
pub fn secret_place(owner: &str) -> String {
    format!("{owner} client secret")
}

/// What is there before a listener or rule is written.
#[derive(Clone, Copy)]
pub struct Owner<'a> {
    /// The listener's or rule's own.
    pub arn: &'a str,
    /// Of the listener.
    pub protocol: &'a str,
    /// The actions it had; none when it is made.
    pub former: &'a [Action],
}

/// HTTPS listeners alone authenticate.
pub fn check_protocol<'a>(protocol: &str, actions: impl IntoIterator<Item = &'a Action>) -> Result<(), AwsError> {
    match actions.into_iter().find_map(Action::guard) {
        Some(kind) if protocol != "HTTPS" => {
            Err(error::invalid_action(format!("Actions of type '{kind}' are supported only on HTTPS listeners")))
        }
        _ => Ok(()),
    }
}

/// Whether two lists do the same, whatever their secrets look like when they are sealed.
pub fn is_same(vault: &Vault, (owner, actions): (&str, &[Action]), (other, others): (&str, &[Action])) -> bool {
    let opened = |owner: &str, actions: &[Action]| -> Vec<_> {
        let open = |action: &Action| match action {
            Action::AuthenticateOidc(oidc) => {
                let secret = vault.open(&secret_place(owner), &oidc.client_secret).ok();
                let client_secret = Sealed(String::new());
                (Action::AuthenticateOidc(Box::new(AuthenticateOidc { client_secret, ..(**oidc).clone() })), secret)
            }
            other => (other.clone(), None),
        };
        actions.iter().map(open).collect()
    };
    opened(owner, actions) == opened(other, others)
}

pub fn oidc(vault: &Vault, owner: Owner<'_>, given: wire::AuthenticateOidcActionConfig) -> Result<Action, AwsError> {
    let client_secret = client_secret(vault, owner, &given)?;
    let endpoint = |name: &str, url: Option<String>| {
        let url = url.unwrap_or_default();
        https(name, &url).map(|()| url)
    };
    let client_id = given.client_id.unwrap_or_default();
    if client_id.is_empty() {
        return Err(error::validation("The client ID of an authenticate-oidc action must be specified"));
    }
    let session_cookie_name = given.session_cookie_name.unwrap_or_else(|| COOKIE_NAME.to_owned());
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if session_cookie_name.is_empty() || session_cookie_name.len() > 256 || !session_cookie_name.bytes().all(is_name) {
        return Err(error::invalid_action(format!("The session cookie name '{session_cookie_name}' is not valid")));
    }
    let scope = given.scope.unwrap_or_else(|| "openid".to_owned());
    if scope.is_empty() || !scope.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()) {
        return Err(error::invalid_action(format!("The scope '{scope}' is not valid")));
    }
    let seconds = given.session_timeout.unwrap_or(SESSION_SECONDS_MAX);
    if !(1..=SESSION_SECONDS_MAX).contains(&seconds) {
        let text = format!("The session timeout must be from 1 to {SESSION_SECONDS_MAX} seconds");
        return Err(error::invalid_action(text));
    }
    let params = given.authentication_request_extra_params.unwrap_or_default();
    if params.len() > EXTRA_PARAMS_MAX {
        let text =
            format!("At most {EXTRA_PARAMS_MAX} extra parameters of the authentication request can be specified");
        return Err(error::invalid_action(text));
    }
    if let Some(name) = params.keys().find(|name| name.is_empty() || OWN_PARAMS.contains(&name.as_str())) {
        let text = format!("The extra parameter '{name}' of the authentication request is not allowed");
        return Err(error::invalid_action(text));
    }
    let on_unauthenticated = match given.on_unauthenticated_request.as_deref() {
        None | Some("authenticate") => OnUnauthenticated::Authenticate,
        Some("allow") => OnUnauthenticated::Allow,
        Some("deny") => OnUnauthenticated::Deny,
        Some(other) => {
            let text = format!("OnUnauthenticatedRequest '{other}' must be one of '[deny, allow, authenticate]'");
            return Err(error::validation(text));
        }
    };
    Ok(Action::AuthenticateOidc(Box::new(AuthenticateOidc {
        issuer: endpoint("Issuer", given.issuer)?,
        authorization_endpoint: endpoint("AuthorizationEndpoint", given.authorization_endpoint)?,
        token_endpoint: endpoint("TokenEndpoint", given.token_endpoint)?,
        user_info_endpoint: endpoint("UserInfoEndpoint", given.user_info_endpoint)?,
        client_id,
        client_secret,
        session_cookie_name,
        scope,
        session_timeout_seconds: seconds.unsigned_abs(),
        extra_params: params.into_iter().collect(),
        on_unauthenticated,
    })))
}

fn client_secret(
    vault: &Vault,
    owner: Owner<'_>,
    given: &wire::AuthenticateOidcActionConfig,
) -> Result<Sealed, AwsError> {
    let existing = given.use_existing_client_secret.unwrap_or(false);
    match given.client_secret.as_deref().filter(|secret| !secret.is_empty()) {
        Some(_) if existing => Err(error::invalid_action(
            "You cannot both specify a client secret and set UseExistingClientSecret to true",
        )),
        Some(secret) => Ok(vault.seal(&secret_place(owner.arn), secret.as_bytes())),
        None if existing => {
            let kept = owner.former.iter().find_map(|action| match action {
                Action::AuthenticateOidc(oidc) => Some(oidc.client_secret.clone()),
                _ => None,
            });
            kept.ok_or_else(|| {
                error::invalid_action("UseExistingClientSecret is true, and there is no existing client secret")
            })
        }
        None => {
            Err(error::invalid_action("You must either specify a client secret or set UseExistingClientSecret to true"))
        }
    }
}

pub fn jwt(given: wire::JwtValidationActionConfig) -> Result<Action, AwsError> {
    let (jwks_endpoint, issuer) = (given.jwks_endpoint.unwrap_or_default(), given.issuer.unwrap_or_default());
    https("JwksEndpoint", &jwks_endpoint)?;
    let is_short = |text: &str| !text.is_empty() && text.len() <= CLAIM_BYTES_MAX;
    if !is_short(&jwks_endpoint) || !is_short(&issuer) {
        let text = "JwksEndpoint and Issuer of a jwt-validation action must have 1 to 256 characters";
        return Err(error::validation(text));
    }
    let claims = given.additional_claims.unwrap_or_default();
    if claims.len() > CLAIMS_MAX {
        return Err(error::validation(format!("At most {CLAIMS_MAX} additional claims can be specified")));
    }
    let additional_claims: Vec<AdditionalClaim> = claims.into_iter().map(claim).collect::<Result<_, _>>()?;
    if (1..additional_claims.len()).any(|n| additional_claims[..n].iter().any(|c| c.name == additional_claims[n].name))
    {
        return Err(error::validation("An additional claim cannot be specified twice"));
    }
    Ok(Action::JwtValidation { jwks_endpoint, issuer, additional_claims })
}

fn claim(given: wire::JwtValidationActionAdditionalClaim) -> Result<AdditionalClaim, AwsError> {
    let name = given.name.unwrap_or_default();
    let refused = |problem: &str| Err(error::validation(format!("The additional claim '{name}' {problem}")));
    let Some(format) = ClaimFormat::ALL.into_iter().find(|format| Some(format.as_str()) == given.format.as_deref())
    else {
        return refused("must have a format of '[single-string, string-array, space-separated-values]'");
    };
    let values = given.values.unwrap_or_default();
    if name.is_empty() || OWN_CLAIMS.contains(&name.as_str()) {
        return refused("cannot be specified: 'exp', 'iss', 'nbf' and 'iat' are validated by default");
    }
    if values.is_empty() || values.len() > CLAIM_VALUES_MAX || values.iter().any(|v| v.len() > CLAIM_BYTES_MAX) {
        return refused("must have 1 to 10 values of at most 256 characters");
    }
    match format {
        ClaimFormat::SingleString if values.len() > 1 => refused("must have one value in the format single-string"),
        ClaimFormat::SpaceSeparatedValues if values.iter().any(|value| value.contains(' ')) => {
            refused("cannot have spaces in its values in the format space-separated-values")
        }
        _ => Ok(AdditionalClaim { name, format, values }),
    }
}

/// A full URL of HTTPS, as the data plane can call it.
fn https(name: &str, url: &str) -> Result<(), AwsError> {
    let rest = url.strip_prefix("https://").unwrap_or_default();
    let authority = &rest[..rest.find(['/', '?']).unwrap_or(rest.len())];
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => {
            (host, !port.starts_with('+') && port.parse::<u16>().is_ok_and(|port| port > 0))
        }
        _ => (authority, true),
    };
    let is_host = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !b"\"#<>\\^`{|}".contains(&byte);
    if url.len() > URL_BYTES_MAX {
        return Err(error::invalid_action(format!("{name} can have at most {URL_BYTES_MAX} characters")));
    }
    if host.is_empty() || !port || !host.bytes().all(is_host) || !url.bytes().all(is_plain) {
        return Err(error::invalid_action(format!("{name} '{url}' must be a full URL with the HTTPS protocol")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elbv2::create_listener::create_listener;
    use crate::elbv2::create_rule::create_rule;
    use crate::elbv2::describe_rules::describe_rules;
    use crate::elbv2::modify_listener::modify_listener;
    use crate::elbv2::modify_rule::modify_rule;
    use crate::elbv2::testing::*;
    use crate::testing::Fixture;
    use longshore_aws_model::elbv2::Action;
    use longshore_aws_model::elbv2::*;

    fn text(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    fn login() -> AuthenticateOidcActionConfig {
        AuthenticateOidcActionConfig {
            issuer: text("https://idp.example"),
            authorization_endpoint: text("https://idp.example/login"),
            token_endpoint: text("https://idp.example:8443/token"),
            user_info_endpoint: text("https://idp.example/me"),
            client_id: text("web"),
            client_secret: text("hunter2"),
            ..Default::default()
        }
    }

    fn behind(config: AuthenticateOidcActionConfig) -> Vec<Action> {
        let guard = Action {
            r#type: text("authenticate-oidc"),
            order: Some(1),
            authenticate_oidc_config: Some(config),
            ..Default::default()
        };
        vec![Action { order: Some(2), ..fixed("200") }, guard]
    }

    fn verify(config: JwtValidationActionConfig) -> Vec<Action> {
        let guard = Action {
            r#type: text("jwt-validation"),
            order: Some(1),
            jwt_validation_config: Some(config),
            ..Default::default()
        };
        vec![guard, Action { order: Some(2), ..fixed("200") }]
    }

    /// A listener with a certificate.
    fn secure(fixture: &Fixture, stack: &Stack, actions: Vec<Action>) -> Result<Listener, AwsError> {
        let known = fixture.read(|state, cx| state.certificates().prefix(&cx.scope).next().map(|row| row.arn.clone()));
        let arn = known.unwrap_or_else(|| crate::acm::testing::certificate(fixture, "a.example"));
        let input = CreateListenerInput {
            protocol: text("HTTPS"),
            certificates: Some(vec![Certificate { certificate_arn: Some(arn), is_default: None }]),
            default_actions: actions,
            ..listener_input(stack, 443)
        };
        write(fixture, create_listener, input).map(|made| made.listeners.expect("one").remove(0))
    }

    fn sealed(fixture: &Fixture, rule: &str) -> String {
        let rule = rule.to_owned();
        fixture.read(move |state, cx| {
            let row = state.rules().get(&(cx.scope.clone(), rule.clone())).expect("it is there");
            let Some(longshore_types::elbv2::Action::AuthenticateOidc(oidc)) = row.actions.first() else {
                panic!("{row:?}")
            };
            let opened = cx.settings.vault.open(&secret_place(&rule), &oidc.client_secret).expect("ours");
            String::from_utf8(opened).expect("text")
        })
    }

    #[test]
    fn a_login_is_shown_with_its_defaults_and_without_its_secret() {
        let fixture = Fixture::new();
        let stack = stack(&fixture);
        let listener = secure(&fixture, &stack, behind(login())).expect("made");
        let shown = listener.default_actions.expect("two");
        assert_eq!(shown.iter().map(|action| action.order).collect::<Vec<_>>(), [Some(1), Some(2)]);
        let config = shown[0].authenticate_oidc_config.clone().expect("a login");
        assert_eq!(
            config,
            AuthenticateOidcActionConfig {
                client_secret: None,
                session_cookie_name: text("AWSELBAuthSessionCookie"),
                scope: text("openid"),
                session_timeout: Some(604_800),
                on_unauthenticated_request: text("authenticate"),
                ..login()
            }
        );
        // Asked for again, it is the same one; another secret makes another one.
        let again = secure(&fixture, &stack, behind(login())).expect("the same");
        assert_eq!(again.listener_arn, listener.listener_arn);
        let other = AuthenticateOidcActionConfig { client_secret: text("other"), ..login() };
        assert!(refusal(secure(&fixture, &stack, behind(other))).starts_with("DuplicateListener"));
    }

    #[test]
    fn a_rule_keeps_its_secret_when_it_is_told_to() {
        let fixture = Fixture::new();
        let stack = stack(&fixture);
        let listener = secure(&fixture, &stack, vec![fixed("404")]).expect("made").listener_arn.expect("an ARN");
        let input = CreateRuleInput { listener_arn: listener, actions: behind(login()), ..rule_input(&stack, 1, "/a") };
        let rule_arn = write(&fixture, create_rule, input.clone()).expect("made").rules.expect("one")[0]
            .rule_arn
            .clone()
            .expect("an ARN");
        assert_eq!(sealed(&fixture, &rule_arn), "hunter2");
        let modify = |config: AuthenticateOidcActionConfig| {
            let actions = Some(behind(config));
            write(&fixture, modify_rule, ModifyRuleInput { rule_arn: rule_arn.clone(), actions, ..Default::default() })
        };
        let kept = || AuthenticateOidcActionConfig {
            client_secret: None,
            use_existing_client_secret: Some(true),
            scope: text("openid email"),
            ..login()
        };
        modify(kept()).expect("changed");
        assert_eq!(sealed(&fixture, &rule_arn), "hunter2");
        modify(AuthenticateOidcActionConfig { client_secret: text("new"), ..login() }).expect("changed");
        assert_eq!(sealed(&fixture, &rule_arn), "new");
        let shown = read(
            &fixture,
            describe_rules,
            DescribeRulesInput { rule_arns: Some(vec![rule_arn.clone()]), ..Default::default() },
        );
        let shown = format!("{:?}", shown.expect("it is there"));
        assert!(shown.contains("authenticate-oidc") && !shown.contains("new\""), "{shown}");
        for (config, expected) in [
            (
                AuthenticateOidcActionConfig { client_secret: text("a"), ..kept() },
                "InvalidLoadBalancerAction: You cannot both specify a client secret and set UseExistingClientSecret to true",
            ),
            (
                AuthenticateOidcActionConfig { client_secret: None, ..login() },
                "InvalidLoadBalancerAction: You must either specify a client secret or set UseExistingClientSecret to true",
            ),
        ] {
            assert_eq!(refusal(modify(config)), expected);
        }
        let made_of_nothing = CreateRuleInput { priority: 2, actions: behind(kept()), ..input };
        assert_eq!(
            refusal(write(&fixture, create_rule, made_of_nothing)),
            "InvalidLoadBalancerAction: UseExistingClientSecret is true, and there is no existing client secret"
        );
    }

    #[test]
    fn plain_listeners_do_not_authenticate() {
        let fixture = Fixture::new();
        let stack = stack(&fixture);
        let expected =
            "InvalidLoadBalancerAction: Actions of type 'authenticate-oidc' are supported only on HTTPS listeners";
        let input = CreateListenerInput { default_actions: behind(login()), ..listener_input(&stack, 81) };
        assert_eq!(refusal(write(&fixture, create_listener, input)), expected);
        let input = CreateRuleInput { actions: behind(login()), ..rule_input(&stack, 1, "/a") };
        assert_eq!(refusal(write(&fixture, create_rule, input)), expected);
        // Nor does one become plain that authenticates, by itself or by a rule.
        let listener_arn = secure(&fixture, &stack, behind(login())).expect("made").listener_arn.expect("an ARN");
        let plain =
            || ModifyListenerInput { listener_arn: listener_arn.clone(), protocol: text("HTTP"), ..Default::default() };
        assert_eq!(refusal(write(&fixture, modify_listener, plain())), expected);
        let input = CreateRuleInput {
            listener_arn: listener_arn.clone(),
            actions: behind(login()),
            ..rule_input(&stack, 1, "/a")
        };
        write(&fixture, create_rule, input).expect("made");
        let input = ModifyListenerInput { default_actions: Some(vec![fixed("404")]), ..plain() };
        assert_eq!(refusal(write(&fixture, modify_listener, input)), expected);
    }

    #[test]
    fn refusals_name_what_is_wrong() {
        let fixture = Fixture::new();
        let stack = stack(&fixture);
        let ask = |actions| refusal(secure(&fixture, &stack, actions).map(|listener| listener.port));
        let params = |names: Vec<String>| {
            let pairs = names.into_iter().map(|name| (name, String::new())).collect();
            AuthenticateOidcActionConfig { authentication_request_extra_params: Some(pairs), ..login() }
        };
        for (config, expected) in [
            (AuthenticateOidcActionConfig { issuer: text("idp"), ..login() }, "Issuer 'idp' must be a full URL"),
            (
                AuthenticateOidcActionConfig { token_endpoint: text("http://idp.example/"), ..login() },
                "TokenEndpoint 'http://idp.example/' must be a full URL with the HTTPS protocol",
            ),
            (AuthenticateOidcActionConfig { user_info_endpoint: text("https:///x"), ..login() }, "UserInfoEndpoint"),
            (
                AuthenticateOidcActionConfig { user_info_endpoint: text("https://a:+80/"), ..login() },
                "UserInfoEndpoint",
            ),
            (
                AuthenticateOidcActionConfig {
                    token_endpoint: text(&format!("https://a/{}", "x".repeat(URL_BYTES_MAX))),
                    ..login()
                },
                "TokenEndpoint can have at most 4096 characters",
            ),
            (AuthenticateOidcActionConfig { authorization_endpoint: None, ..login() }, "AuthorizationEndpoint"),
            (AuthenticateOidcActionConfig { client_id: text(""), ..login() }, "client ID"),
            (AuthenticateOidcActionConfig { session_cookie_name: text("a=b"), ..login() }, "cookie name 'a=b'"),
            (AuthenticateOidcActionConfig { session_timeout: Some(0), ..login() }, "from 1 to 604800 seconds"),
            (AuthenticateOidcActionConfig { session_timeout: Some(604_801), ..login() }, "from 1 to 604800 seconds"),
            (AuthenticateOidcActionConfig { on_unauthenticated_request: text("no"), ..login() }, "'no' must be one of"),
            (params((0..11).map(|n| format!("p{n}")).collect()), "At most 10 extra parameters"),
            (params(vec!["state".to_owned()]), "extra parameter 'state'"),
        ] {
            let refused = ask(behind(config));
            assert!(refused.contains(expected), "{refused}");
        }
        let terminal = |order| Action { order, ..fixed("200") };
        let guard = |order| Action { order, ..behind(login()).remove(1) };
        for (actions, expected) in [
            (vec![guard(None)], "last action"),
            (vec![guard(Some(2)), terminal(Some(1))], "last action"),
            (vec![guard(None), terminal(None)], "Order"),
            (vec![guard(Some(1)), terminal(Some(1))], "Order"),
            (vec![guard(Some(1)), guard(Some(2)), terminal(Some(3))], "TooManyActions"),
            (vec![Action { r#type: text("authenticate-oidc"), ..Default::default() }], "AuthenticateOidcConfig"),
            (vec![Action { authenticate_oidc_config: Some(login()), ..fixed("200") }], "AuthenticateOidcConfig"),
            (
                vec![Action { r#type: text("authenticate-cognito"), ..Default::default() }],
                "The action type 'authenticate-cognito' is not supported: Longshore has no Cognito user pools",
            ),
        ] {
            let refused = ask(actions);
            assert!(refused.contains(expected), "{refused}");
        }
    }

    #[test]
    fn tokens_are_validated_as_they_are_shown() {
        let fixture = Fixture::new();
        let stack = stack(&fixture);
        let claim = |name: &str, format: &str, values: &[&str]| JwtValidationActionAdditionalClaim {
            name: text(name),
            format: text(format),
            values: Some(values.iter().map(|value| (*value).to_owned()).collect()),
        };
        let config = |claims: Vec<JwtValidationActionAdditionalClaim>| JwtValidationActionConfig {
            jwks_endpoint: text("https://idp.example/keys"),
            issuer: text("https://idp.example"),
            additional_claims: Some(claims),
        };
        for (claims, expected) in [
            (vec![claim("iss", "single-string", &["a"])], "'iss' cannot be specified"),
            (vec![claim("a", "text", &["a"])], "format of '[single-string"),
            (vec![claim("a", "single-string", &["a", "b"])], "must have one value"),
            (vec![claim("a", "string-array", &[])], "1 to 10 values"),
            (vec![claim("a", "space-separated-values", &["a b"])], "cannot have spaces"),
            (vec![claim("a", "string-array", &["a"]); 2], "twice"),
            (vec![claim("a", "string-array", &["a"]); 11], "At most 10"),
        ] {
            let refused = refusal(secure(&fixture, &stack, verify(config(claims))));
            assert!(refused.contains(expected), "{refused}");
        }
        let given = config(vec![claim("scope", "space-separated-values", &["read", "write"])]);
        let listener = secure(&fixture, &stack, verify(given.clone())).expect("made");
        assert_eq!(listener.default_actions.expect("two")[0].jwt_validation_config, Some(given));
    }
}
