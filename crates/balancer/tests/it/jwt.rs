//! `jwt-validation`: programs bring tokens that a provider has signed.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use longshore_balancer::Options;
use longshore_balancer::config::*;
use ring::rand::SystemRandom;
use ring::signature::{KeyPair, RSA_PKCS1_SHA256, RsaKeyPair, RsaPublicKeyComponents};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject;
use serde_json::{Value, json};

use crate::backend::echo;
use crate::idp::{Browser, provider};
use crate::rig::{Rig, group};
use crate::secure::{certificate, secure};

/// A provider's key, made for this test.
struct Signer(RsaKeyPair);

impl Signer {
    fn new() -> Signer {
        let key = PrivatePkcs8KeyDer::from_pem_slice(include_bytes!("rsa.pem")).unwrap();
        Signer(RsaKeyPair::from_pkcs8(key.secret_pkcs8_der()).unwrap())
    }

    fn key_set(&self, id: &str) -> String {
        let public = RsaPublicKeyComponents::<Vec<u8>>::from(self.0.public_key());
        let (n, e) = (URL_SAFE_NO_PAD.encode(public.n), URL_SAFE_NO_PAD.encode(public.e));
        json!({ "keys": [{ "kty": "RSA", "use": "sig", "alg": "RS256", "kid": id, "n": n, "e": e }] }).to_string()
    }

    fn token(&self, id: &str, claims: &Value) -> String {
        let header = json!({ "alg": "RS256", "typ": "JWT", "kid": id }).to_string();
        let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims.to_string()));
        let mut signature = vec![0; self.0.public().modulus_len()];
        self.0.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature).unwrap();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

#[tokio::test]
async fn good_tokens_pass_as_they_are_and_others_do_not() {
    let folder = tempfile::tempdir().unwrap();
    let provider = provider(folder.path()).await;
    let backend = echo("a").await;
    let mut rig = Rig::forwarding(vec![group("g", &[&backend])]).await;
    let options = Options { trusted_certificates: Some(provider.trusted(folder.path())), ..Options::default() };
    rig.restart(&options).await;
    let certificate = certificate(folder.path(), "c", &["a.example"]);
    secure(&mut rig, vec![certificate.clone()], "ELBSecurityPolicy-TLS13-1-2-2021-06").await;
    let action = JwtValidation {
        jwks_endpoint: format!("{}/keys", provider.origin),
        issuer: provider.origin.clone(),
        claims: vec![RequiredClaim {
            name: "scope".into(),
            format: ClaimFormat::SpaceSeparatedValues,
            values: vec!["read".into()],
        }],
    };
    let actions = |config: &mut Config| {
        config.load_balancers[0].listeners[0]
            .default_actions
            .insert(0, Action::JwtValidation(Box::new(action.clone())));
    };
    rig.change(actions).await;
    rig.healthy().await;
    let signer = Signer::new();
    let good = json!({ "iss": provider.origin, "exp": 9_999_999_999_u64, "scope": "write read" });
    let browser = Browser::new(rig.address, &certificate);
    let ask = async |token: &str| browser.ask("/", &format!("Authorization: Bearer {token}\r\n")).await;

    // No key can be had yet.
    *provider.answers.key_set.lock().unwrap() = "[]".into();
    let token = signer.token("k1", &good);
    assert_eq!(ask(&token).await.status(), 500);
    *provider.answers.key_set.lock().unwrap() = signer.key_set("k1");
    let deadline = Instant::now() + Duration::from_secs(10);
    let (mut failures, mut page) = (1, ask(&token).await);
    while page.status() == 500 {
        assert!(Instant::now() < deadline, "the provider is not asked again");
        tokio::time::sleep(Duration::from_millis(50)).await;
        (failures, page) = (failures + 1, ask(&token).await);
    }
    assert_eq!((page.status(), page.name()), (200, "a".to_owned()));
    assert_eq!(page.received("authorization"), Some(format!("Bearer {token}")));
    let fetches = provider.answers.key_fetches.load(Ordering::SeqCst);
    for _ in 0..3 {
        assert_eq!(ask(&token).await.status(), 200);
    }
    for bad in [
        signer.token("k1", &json!({ "iss": provider.origin, "exp": 1000, "scope": "read" })),
        signer.token("k1", &json!({ "iss": "https://evil.example", "exp": 9_999_999_999_u64, "scope": "read" })),
        signer.token("k1", &json!({ "iss": provider.origin, "exp": 9_999_999_999_u64, "scope": "write" })),
        signer.token("k1", &json!({ "iss": provider.origin, "scope": "read" })),
        signer.token("unknown", &good),
        format!("{}AAAA", &token[..token.len() - 4]),
        format!("{}.{}.", URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#), URL_SAFE_NO_PAD.encode(good.to_string())),
        "x".into(),
    ] {
        assert_eq!(ask(&bad).await.status(), 401, "{bad}");
    }
    assert_eq!(browser.ask("/", "").await.status(), 401);
    assert_eq!(browser.ask("/", "Authorization: Basic eA==\r\n").await.status(), 401);
    // A target might believe the second.
    let two = format!("Authorization: Bearer {token}\r\nAuthorization: Bearer e30.e30.AAAA\r\n");
    assert_eq!(browser.ask("/", &two).await.status(), 401);
    // Nothing of this made the balancer ask for keys again: they are fresh.
    assert_eq!(provider.answers.key_fetches.load(Ordering::SeqCst), fetches);
    // Counters alone make no report.
    rig.change(|_| {}).await;
    let report = rig.wait(|report| report.load_balancers[0].jwt_failures == 11 + failures).await;
    assert_eq!(report.load_balancers[0].jwt_successes, 4);
}
