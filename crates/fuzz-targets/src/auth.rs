//! The load balancer's authentication: what browsers bring, what providers answer, tokens of programs.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};
use http::header::{AUTHORIZATION, COOKIE, HOST, LOCATION, SET_COOKIE};
use http::{HeaderMap, HeaderValue, Request};
use longshore_balancer::fuzzing::auth as gate;
use longshore_balancer::fuzzing::auth::{CLIENT, Gate, ISSUER, Known, LOGIN_SECONDS};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED, RSA_PKCS1_SHA256, RsaKeyPair, RsaPublicKeyComponents};
use ring::signature::{KeyPair as _, UnparsedPublicKey};
use serde_json::{Map, Value, json};

use crate::input::{FIELD, Input};

type Claims = Map<String, Value>;

const NOW_S: u64 = 1_800_000_000;

thread_local!(static GATE: Gate = Gate::default());

/// A kind by number: cookies and a session, a log-in and what comes back from it, or texts.
///
/// Holds: cookies that we did not make, or that one character was changed of, are no session, or the very one we made; ours
/// are read again equal beside any others, and fit what a browser keeps. A state is good as it was made, in its browser, at
/// its host and for its time, and leads back to the page it began at. What is written into a URL is read again equal.
pub fn sessions(data: &[u8]) {
    let mut input = Input::new(data);
    GATE.with(|gate| match input.byte() % 4 {
        0 => cookies(gate, &mut input),
        1 => login(gate, &mut input),
        2 => strangers(gate, &mut input),
        _ => texts(&mut input),
    });
}

/// Other cookies, an access token, a refresh token, a place and a character, and what a provider says of the user.
fn cookies(gate: &Gate, input: &mut Input<'_>) {
    let Some(others) = header(input.until(FIELD)) else { return };
    let (access, refresh) = (input.text(FIELD), input.text(FIELD));
    let (place, character, repeat) = (input.number(), input.byte(), input.byte());
    let mut former = HeaderMap::new();
    former.insert(COOKIE, others.clone());
    assert_eq!(gate.presented(&former), None, "a session that nobody made");
    let answer = json!({ "access_token": access, "refresh_token": refresh, "expires_in": place }).to_string();
    let mut user = input.rest().to_vec();
    if !is_exact(&user) {
        return;
    }
    if let Ok(mut claims) = serde_json::from_slice::<Claims>(&user) {
        // Long ones take several cookies.
        claims.insert("pad".into(), "x".repeat(usize::from(repeat) * 128).into());
        user = serde_json::to_vec(&claims).expect("JSON");
    }
    let Some(session) = gate.session(answer.as_bytes(), &user, NOW_S) else { return };
    told(gate, &session, &access, &user);
    let Some(lines) = gate.cookies(&session, &former) else { return };
    let mut jar = BTreeMap::new();
    for line in &lines {
        let line = line.to_str().expect("printable ASCII");
        assert!(line.len() <= 4096, "no browser keeps {} bytes", line.len());
        let (name, rest) = line.split_once('=').expect("a pair");
        let (value, attributes) = rest.split_once("; ").expect("attributes");
        assert!(!value.contains([' ', ',', '"', '\\']) && attributes.ends_with("HttpOnly; SameSite=None"), "{line}");
        // Those that end others have none.
        jar.insert(name.to_owned(), value.to_owned());
    }
    let others: Vec<String> = others
        .to_str()
        .unwrap_or_default()
        .split(';')
        .filter(|pair| !jar.contains_key(pair.split('=').next().unwrap_or_default().trim()))
        .map(str::to_owned)
        .collect();
    let bring = |jar: &BTreeMap<String, String>| {
        let mut headers = HeaderMap::new();
        for line in
            [others.join(";"), jar.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ")]
        {
            headers.append(COOKIE, HeaderValue::try_from(line).expect("both were headers"));
        }
        gate.presented(&headers)
    };
    assert_eq!(bring(&jar).as_ref(), Some(&session), "our own");
    for name in jar.keys() {
        let mut changed = jar.clone();
        let value = changed.get_mut(name).expect("it is there");
        if change(value, place, character) {
            let seen = bring(&changed);
            assert!(seen.is_none_or(|seen| seen == session), "a forged session");
        }
        let missing = changed.remove(name).is_some_and(|value| !value.is_empty());
        assert!(!missing || bring(&changed).is_none(), "a part of a session");
    }
    // As another load balancer's, or of another provider.
    assert_eq!(GATE_OF_OTHERS.with(|others| bring_to(others, &jar)), None, "a session of another's");
}

thread_local!(static GATE_OF_OTHERS: Gate = Gate::default());

fn bring_to(gate: &Gate, jar: &BTreeMap<String, String>) -> Option<Known> {
    let mut headers = HeaderMap::new();
    for (name, value) in jar {
        headers.append(COOKIE, HeaderValue::try_from(format!("{name}={value}")).expect("it was a header"));
    }
    gate.presented(&headers)
}

/// Cookies, host and target of a request, a place and a character, seconds, and more of the query that comes back.
fn login(gate: &Gate, input: &mut Input<'_>) {
    let Some(cookies) = header(input.until(FIELD)) else { return };
    let Some(host) = header(input.until(FIELD)) else { return };
    let target = input.text(FIELD);
    let (place, character, seconds) = (input.number(), input.byte(), u64::from(input.number()));
    let more = input.rest_text();
    let request = Request::builder().uri(&*target).header(HOST, &host).header(COOKIE, &cookies).body(());
    let Ok(request) = request else { return };
    let turned = gate.turn_away(&request, NOW_S).expect("nobody is logged in");
    let Some(location) = turned.headers().get(LOCATION) else {
        return assert!([401, 414].contains(&turned.status().as_u16()), "{}", turned.status());
    };
    let location = location.to_str().expect("printable ASCII");
    let (page, query) = location.split_once('?').expect("a query");
    assert_eq!(page, format!("{ISSUER}/login"));
    let state = gate::param(query, "state").expect("a state");
    let redirect = gate::param(query, "redirect_uri").expect("where to come back to");
    let kept = turned.headers()[SET_COOKIE].to_str().expect("printable ASCII");
    let (nonce, _) = kept.split_once(';').expect("attributes");
    // The request line's own host goes before the header.
    let known =
        request.uri().authority().map_or_else(|| host.to_str().unwrap_or_default(), |own| own.as_str()).to_owned();
    assert_eq!(redirect, format!("https://{known}/oauth2/idpresponse"));

    let back = |state: &str, host: &str, nonce: &str, now_s: u64| {
        let uri = format!("/oauth2/idpresponse?code=c&state={state}{more}");
        let request = Request::builder().uri(uri).header(HOST, host).header(COOKIE, nonce).body(()).ok()?;
        gate.come_back(&request, now_s)
    };
    let failed = gate::param(&more, "error").is_some();
    let begun = back(&state, &known, nonce, NOW_S + seconds);
    match &begun {
        None => {
            assert!(failed || seconds > LOGIN_SECONDS || !more.starts_with('&') || !is_query(&more), "its own log-in")
        }
        Some(page) => {
            assert!(seconds <= LOGIN_SECONDS, "{seconds} s");
            let rest = page.strip_prefix(&format!("https://{known}")).expect("the same origin");
            assert!(rest.starts_with('/'), "{page}");
            assert!(HeaderValue::try_from(page.as_str()).is_ok(), "{page}");
            let expected = request.uri().path_and_query().map_or("/", |target| target.as_str());
            assert_eq!(rest, if expected.starts_with('/') { expected } else { "/" });
        }
    }
    let mut changed = state.clone();
    if change(&mut changed, place, character) {
        assert_eq!(back(&changed, &known, nonce, NOW_S), None, "a forged state");
    }
    let mut changed = nonce.to_owned();
    if change(&mut changed, place, character) {
        assert_eq!(back(&state, &known, &changed, NOW_S), None, "another browser");
    }
    assert_eq!(back(&state, &format!("x{known}"), nonce, NOW_S), None, "another host");
    assert_eq!(back(&state, &known, "", NOW_S), None, "no browser of ours");
}

fn is_query(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic() && !b"#\"<>`{}|\\^".contains(&byte))
}

/// Cookies and a query that nobody made.
fn strangers(gate: &Gate, input: &mut Input<'_>) {
    let Some(cookies) = header(input.until(FIELD)) else { return };
    let uri = format!("/oauth2/idpresponse?{}", input.text(FIELD));
    let Ok(request) = Request::builder().uri(uri).header(HOST, "h").header(COOKIE, cookies).body(()) else { return };
    assert_eq!(gate.come_back(&request, NOW_S), None);
    assert_eq!(gate.presented(request.headers()), None);
}

/// A name, a value, a URL, a query, a header.
fn texts(input: &mut Input<'_>) {
    let (name, value) = (input.text(FIELD), input.text(FIELD));
    let (url, query) = (input.text(FIELD), input.text(FIELD));
    let mut made = "https://a.example/x".to_owned();
    gate::push_param(&mut made, "before", &name);
    gate::push_param(&mut made, "name", &value);
    let asked = made.split_once('?').map(|(_, query)| query).expect("a query");
    assert_eq!(gate::param(asked, "before").as_deref(), Some(&*name));
    assert_eq!(gate::param(asked, "name").as_deref(), Some(&*value));
    assert!(is_query(&made) && asked.matches('&').count() == 1, "{made}");
    let _ = gate::param(&query, &name);
    if let Some((host, port, authority, target)) = gate::endpoint(&url) {
        assert!(url.get(..8).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https://")), "{url}");
        assert!(!host.is_empty() && !host.contains(['@', '/', '?', '#', '[', ']', ' ']), "{host}");
        assert!(
            target.starts_with('/') && authority.contains(&host) && !authority.contains('@'),
            "{authority} {target}"
        );
        assert!(HeaderValue::try_from(&authority).is_ok() && (port == 443 || authority.ends_with(&port.to_string())));
    }
    let rest = input.rest();
    let (Ok(name), Some(value)) = (http::HeaderName::from_bytes(name.as_bytes()), header(rest)) else { return };
    let mut headers = HeaderMap::new();
    headers.insert(name, value);
    gate::strip(&mut headers);
    assert!(!headers.keys().any(|name| name.as_str().replace('_', "-").starts_with("x-amzn-oidc-")));
}

/// A kind by number: an ID token, the token endpoint's answer and the user's claims, or a set of keys.
///
/// Holds: an ID token that is taken says what it has to; what a target is told of a user fits its header lines, is read there
/// as it was meant, and is signed by us; a token is good with the provider's own key in the set, and no other.
pub fn answers(data: &[u8]) {
    let mut input = Input::new(data);
    GATE.with(|gate| match input.byte() % 4 {
        0 => {
            let claims = input.rest();
            let token = format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims));
            identity(gate, &token, claims);
        }
        1 => {
            let text = input.rest_text();
            let claims = text.split('.').nth(1).map(|part| part.trim_end_matches('='));
            identity(gate, &text, &claims.and_then(|part| URL_SAFE_NO_PAD.decode(part).ok()).unwrap_or_default());
        }
        2 => {
            let (answer, user) = (input.until(FIELD), input.rest());
            if !is_exact(user) {
                return;
            }
            let Some(session) = gate.session(answer, user, NOW_S) else { return };
            let answer: Claims = serde_json::from_slice(answer).expect("it was read");
            told(gate, &session, answer["access_token"].as_str().expect("text"), user);
        }
        _ => key_set(gate, input.rest()),
    });
}

fn identity(gate: &Gate, token: &str, claims: &[u8]) {
    let Some(subject) = gate.id_token(token, NOW_S) else { return };
    let claims: Claims = serde_json::from_slice(claims).expect("claims");
    assert_eq!(claims["sub"], subject);
    assert_eq!(claims["iss"], ISSUER);
    let is_us = |audience: &Value| audience == CLIENT;
    assert!(is_us(&claims["aud"]) || claims["aud"].as_array().expect("audiences").iter().any(is_us));
    assert!(number(&claims["exp"]).is_some_and(|exp| exp > (NOW_S - 61) as f64));
    for name in ["iat", "nbf"] {
        assert!(claims.get(name).is_none_or(|from| number(from).is_some_and(|from| from < (NOW_S + 61) as f64)));
    }
}

/// Some providers write numbers as text.
fn number(value: &Value) -> Option<f64> {
    value.as_f64().or_else(|| value.as_str()?.parse().ok())
}

/// Whether no number has a digit too many: `serde_json` does not read the seventeenth as it wrote it.
fn is_exact(user: &[u8]) -> bool {
    let read = serde_json::from_slice::<Value>(user).ok();
    let again = read.as_ref().and_then(|value| serde_json::from_slice(&serde_json::to_vec(value).ok()?).ok());
    read == again
}

/// Judges what a target is told.
fn told(gate: &Gate, session: &Known, access: &str, user: &[u8]) {
    let user: Claims = serde_json::from_slice(user).expect("it was read");
    let headers = gate.headers(session, NOW_S).expect("what no header can carry is no session");
    let value = |name: &str| headers.iter().find(|(known, _)| known == name).expect("three headers").1.as_bytes();
    for (name, value) in &headers {
        let value = value.as_bytes();
        assert!(!value.is_empty() && !value.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)), "{name}");
        assert_eq!(value, value.trim_ascii(), "{name}: a reader takes it for something else");
    }
    assert_eq!(value("x-amzn-oidc-accesstoken"), access.as_bytes());
    assert_eq!(value("x-amzn-oidc-identity"), user["sub"].as_str().expect("text").as_bytes());
    let token = std::str::from_utf8(value("x-amzn-oidc-data")).expect("ASCII");
    let (signed, signature) = token.rsplit_once('.').expect("three parts");
    let pem: String = gate.public_key().lines().filter(|line| !line.starts_with('-')).collect();
    let der = STANDARD.decode(pem).expect("base64");
    let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &der[der.len() - 65..]);
    key.verify(signed.as_bytes(), &URL_SAFE.decode(signature).expect("base64")).expect("our signature");
    let payload = URL_SAFE.decode(signed.split_once('.').expect("two parts").1).expect("base64");
    let mut payload: Claims = serde_json::from_slice(&payload).expect("claims");
    let mut expected = user;
    assert_eq!(payload.remove("iss"), Some(ISSUER.into()));
    assert_eq!(payload.remove("exp"), Some((NOW_S + 120).into()));
    for ours in ["iss", "exp"] {
        expected.remove(ours);
    }
    assert_eq!(payload, expected);
}

/// A provider's key. Its public half is known to everybody.
struct Signer {
    key: RsaKeyPair,
    modulus: Vec<u8>,
    key_set: Value,
}

thread_local!(static SIGNER: Signer = Signer::new());

impl Signer {
    fn new() -> Signer {
        let pem = include_str!("../../balancer/tests/it/rsa.pem");
        let pem: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        let key = RsaKeyPair::from_pkcs8(&STANDARD.decode(pem).expect("base64")).expect("a key");
        let public = RsaPublicKeyComponents::<Vec<u8>>::from(key.public_key());
        let (n, e) = (URL_SAFE_NO_PAD.encode(&public.n), URL_SAFE_NO_PAD.encode(&public.e));
        let key_set = json!({ "keys": [{ "kty": "RSA", "use": "sig", "alg": "RS256", "kid": "k", "n": n, "e": e }] });
        Signer { key, modulus: public.n, key_set }
    }

    fn token(&self, header: &[u8], claims: &[u8]) -> String {
        let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
        let mut signature = vec![0; self.key.public().modulus_len()];
        let random = SystemRandom::new();
        self.key.sign(&RSA_PKCS1_SHA256, &random, signed.as_bytes(), &mut signature).expect("randomness");
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

fn is_let_in(gate: &Gate, keys: &[u8], token: &str) -> bool {
    let Ok(value) = HeaderValue::try_from(format!("Bearer {token}")) else { return false };
    let mut headers = HeaderMap::new();
    headers.insert(AUTHORIZATION, value);
    gate.is_let_in(keys, &headers, NOW_S)
}

fn key_set(gate: &Gate, keys: &[u8]) {
    SIGNER.with(|signer| {
        thread_local!(static TOKEN: String = SIGNER.with(|signer| {
            let claims = json!({ "iss": ISSUER, "exp": NOW_S + 1 }).to_string();
            signer.token(br#"{"alg":"RS256"}"#, claims.as_bytes())
        }));
        if !TOKEN.with(|token| is_let_in(gate, keys, token)) {
            return;
        }
        let set: Value = serde_json::from_slice(keys).expect("a set");
        let decode = |key: &Value| URL_SAFE_NO_PAD.decode(key["n"].as_str()?.trim_end_matches('=')).ok();
        let is_ours = |key: &Value| decode(key).is_some_and(|modulus| modulus.ends_with(&signer.modulus));
        let keys = set["keys"].as_array().expect("keys");
        assert!(keys.len() <= 10 && keys.iter().any(is_ours), "another's key");
        assert!(keys.iter().filter(|key| is_ours(key)).any(|key| key["kty"] == "RSA" && key["use"] != "enc"));
    });
}

/// A kind by number, a place and a character, a header and claims; or a whole header line.
///
/// Holds: a token that the provider signed is good exactly when its header and claims are; no other is, whatever it is signed
/// with: nothing, the public key as a secret, or the right signature with a character changed.
pub fn tokens(data: &[u8]) {
    let mut input = Input::new(data);
    let kind = input.byte() % 4;
    GATE.with(|gate| {
        SIGNER.with(|signer| {
            let keys = signer.key_set.to_string();
            if kind == 0 {
                let mut headers = HeaderMap::new();
                for value in input.rest().split(|byte| *byte == FIELD) {
                    if let Some(value) = header(value) {
                        headers.append(AUTHORIZATION, value);
                    }
                }
                return assert!(!gate.is_let_in(keys.as_bytes(), &headers, NOW_S), "a token that nobody signed");
            }
            let (place, character) = (input.number(), input.byte());
            let (head, claims) = (input.until(FIELD), input.rest());
            if kind == 1 {
                for signature in forged(signer, head, claims) {
                    assert!(!is_let_in(gate, keys.as_bytes(), &signature), "a forged token");
                }
                return;
            }
            let mut token = signer.token(head, claims);
            assert_eq!(is_let_in(gate, keys.as_bytes(), &token), is_good(head, claims));
            if change(&mut token, place, character) {
                assert!(!is_let_in(gate, keys.as_bytes(), &token), "a changed token");
            }
        });
    });
}

/// The same with every signature that is none: empty, or made with what everybody knows.
fn forged(signer: &Signer, head: &[u8], claims: &[u8]) -> Vec<String> {
    let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(head), URL_SAFE_NO_PAD.encode(claims));
    let set = signer.key_set.to_string();
    let secrets =
        [&signer.modulus[..], signer.key_set["keys"][0]["n"].as_str().unwrap_or_default().as_bytes(), set.as_bytes()];
    let mut tokens = vec![format!("{signed}."), signed.clone()];
    for secret in secrets {
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret);
        let signature = ring::hmac::sign(&key, signed.as_bytes());
        tokens.push(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)));
    }
    tokens
}

fn is_good(head: &[u8], claims: &[u8]) -> bool {
    let (Ok(head), Ok(claims)) = (serde_json::from_slice::<Claims>(head), serde_json::from_slice::<Claims>(claims))
    else {
        return false;
    };
    let whole = |value: &Value| value.is_number().then(|| value.as_f64().filter(|number| *number >= 0.0)).flatten();
    head.get("alg").is_some_and(|alg| alg == "RS256")
        && !head.contains_key("crit")
        && head.get("kid").is_none_or(|kid| kid == "k")
        && claims.get("iss").is_some_and(|issuer| issuer == ISSUER)
        && claims.get("exp").and_then(whole).is_some_and(|exp| exp.floor() > NOW_S as f64)
        && ["nbf", "iat"].iter().all(|name| {
            claims.get(*name).is_none_or(|from| whole(from).is_some_and(|from| from.floor() <= NOW_S as f64))
        })
}

/// Puts another character at a place; whether that changed anything.
fn change(text: &mut String, place: u16, character: u8) -> bool {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=+/";
    let character = alphabet[usize::from(character) % alphabet.len()] as char;
    if text.is_empty() || !text.is_ascii() {
        return false;
    }
    let place = usize::from(place) % text.len();
    let is_other = text.as_bytes()[place] != character as u8;
    text.replace_range(place..=place, character.encode_utf8(&mut [0; 4]));
    is_other
}

fn header(bytes: &[u8]) -> Option<HeaderValue> {
    HeaderValue::from_bytes(bytes.trim_ascii()).ok()
}
