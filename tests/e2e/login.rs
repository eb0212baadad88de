//! Users who log in at a load balancer, programs that bring tokens, and those who forge either.

use crate::kit::{Busybox, Kit, definition, register, wait_status};
use crate::provider::{self, Answer, CLIENT, Provider, SECRET, SUBJECT, now_s, param};
use anyhow::{Context, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};
use longshore_tests::api::only;
use longshore_tests::instance::Instance;
use longshore_tests::{http, wait};
use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

const HOST: &str = "web.example";
const COOKIE: &str = "AWSELBAuthSessionCookie-0";
/// Says which headers it got, as variables of CGI.
const TARGET: &str = "/bin/busybox mkdir -p /w/cgi-bin; echo ok > /w/index.html; \
    printf '#!/bin/sh\\necho; exec /bin/busybox env\\n' > /w/cgi-bin/who; /bin/busybox chmod 755 /w/cgi-bin/who; \
    exec /bin/busybox httpd -f -p 8080 -h /w";
const PAGE: &str = "/cgi-bin/who";

/// Keeps cookies, and follows nothing by itself.
struct Browser {
    address: SocketAddr,
    certificate: String,
    provider: Arc<Provider>,
    cookies: BTreeMap<String, String>,
}

impl Browser {
    fn new(site: &Site) -> Self {
        let (certificate, provider) = (site.certificate.clone(), Arc::clone(&site.provider));
        Self { address: site.address, certificate, provider, cookies: BTreeMap::new() }
    }

    fn get(&mut self, target: &str) -> anyhow::Result<Answer> {
        self.get_with(target, "")
    }

    fn get_with(&mut self, target: &str, headers: &str) -> anyhow::Result<Answer> {
        let cookies: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let cookies = if cookies.is_empty() { String::new() } else { format!("Cookie: {}\r\n", cookies.join("; ")) };
        let answer = provider::get(self.address, &self.certificate, HOST, target, &format!("{cookies}{headers}"))?;
        for (_, line) in answer.headers.iter().filter(|(name, _)| name == "set-cookie") {
            let (name, rest) = line.split_once('=').context("a cookie")?;
            match rest.contains("Expires=Thu, 01 Jan 1970") {
                true => drop(self.cookies.remove(name)),
                false => {
                    drop(self.cookies.insert(name.to_owned(), rest.split(';').next().unwrap_or_default().to_owned()))
                }
            }
        }
        Ok(answer)
    }

    /// Asks for a page, is sent to the provider, logs in there: the address to come back to, without its origin.
    fn log_in_at_the_provider(&mut self, target: &str) -> anyhow::Result<String> {
        let sent = self.get(target)?;
        ensure!(sent.status == 302, "{sent:?}");
        let page = sent.header("location").strip_prefix(&self.provider.issuer).context("the provider's page")?;
        let authority = self.provider.issuer.trim_start_matches("https://");
        let back = provider::get(self.provider.address, &self.provider.certificate, authority, page, "")?;
        let back = back.header("location").strip_prefix(&format!("https://{HOST}")).context("back")?.to_owned();
        ensure!(back.starts_with("/oauth2/idpresponse?"), "{back}");
        Ok(back)
    }

    fn log_in(&mut self, target: &str) -> anyhow::Result<Answer> {
        let back = self.log_in_at_the_provider(target)?;
        self.get(&back)
    }
}

/// A load balancer with a certificate, a target behind it, and a provider.
struct Site {
    address: SocketAddr,
    certificate: String,
    provider: Arc<Provider>,
}

/// A page by another rule.
fn page(mode: &str) -> String {
    format!("{PAGE}?mode={mode}")
}

impl Site {
    fn new(instance: &Instance, provider: &Arc<Provider>) -> anyhow::Result<Self> {
        let mut busybox = Busybox::new(instance)?;
        let group = busybox.network.open(&busybox.aws, "open", "0-65535")?;
        let container = json!({"command": ["/bin/sh", "-c", TARGET], "portMappings": [{"containerPort": 8080}]});
        let revision = register(&mut busybox.api, &definition("who", &busybox.image, &container))?;
        let network =
            json!({"subnets": busybox.network.subnets, "securityGroups": [group], "assignPublicIp": "ENABLED"});
        let input = json!({"taskDefinition": revision, "launchType": "FARGATE",
            "networkConfiguration": {"awsvpcConfiguration": network}});
        let task = busybox.api.ecs("RunTask", &input)?;
        let task = only(&task, "tasks")?["taskArn"].as_str().context("an ARN")?.to_owned();

        let (certificate, key) = provider::certificate(HOST)?;
        let (certificate_file, key_file) = (instance.dir.join("site.pem"), instance.dir.join("site.key"));
        std::fs::write(&certificate_file, &certificate)?;
        std::fs::write(&key_file, key)?;
        let file = |path: &std::path::Path| format!("fileb://{}", path.display());
        let aws = &busybox.aws;
        let import = ["acm", "import-certificate", "--certificate", &file(&certificate_file)];
        let arn = aws.text(&[&import[..], &["--private-key", &file(&key_file)]].concat(), "CertificateArn")?;
        let [first, second] = &busybox.network.subnets;
        let create = ["elbv2", "create-load-balancer", "--name", "site", "--subnets", first, second];
        let made = aws.call(&[&create[..], &["--security-groups", &group]].concat())?;
        let made = only(&made, "LoadBalancers")?;
        let text = |name: &str| made[name].as_str().with_context(|| format!("{name} of {made}"));
        let create = ["elbv2", "create-target-group", "--name", "who", "--protocol", "HTTP", "--port", "8080"];
        let more = ["--vpc-id", &busybox.network.vpc, "--target-type", "ip", "--health-check-interval-seconds", "5"];
        let more = [&more[..], &["--health-check-timeout-seconds", "2"]].concat();
        let targets = aws.text(&[&create[..], &more].concat(), "TargetGroups[0].TargetGroupArn")?;
        let forward = json!({"Type": "forward", "Order": 2, "TargetGroupArn": targets});
        let login = |more: &Value| {
            let mut config = json!({
                "Issuer": provider.issuer, "ClientId": CLIENT, "ClientSecret": SECRET,
                "AuthorizationEndpoint": format!("{}/authorize", provider.issuer),
                "TokenEndpoint": format!("{}/token", provider.issuer),
                "UserInfoEndpoint": format!("{}/me", provider.issuer),
            });
            for (name, value) in more.as_object().into_iter().flatten() {
                config[name] = value.clone();
            }
            json!([{"Type": "authenticate-oidc", "Order": 1, "AuthenticateOidcConfig": config}, forward]).to_string()
        };
        let claims = json!([{"Name": "aud", "Format": "string-array", "Values": ["api"]}]);
        let validation = json!({"JwksEndpoint": format!("{}/keys", provider.issuer), "Issuer": provider.issuer,
            "AdditionalClaims": claims});
        let validation =
            json!([{"Type": "jwt-validation", "Order": 1, "JwtValidationConfig": validation}, forward]).to_string();
        let create =
            ["elbv2", "create-listener", "--load-balancer-arn", text("LoadBalancerArn")?, "--protocol", "HTTPS"];
        let certificates = format!("CertificateArn={arn}");
        let more = ["--port", "443", "--certificates", &certificates, "--default-actions", &login(&json!({}))];
        let listener = aws.text(&[&create[..], &more].concat(), "Listeners[0].ListenerArn")?;
        for (priority, mode, actions) in [
            ("1", "allow", login(&json!({"OnUnauthenticatedRequest": "allow"}))),
            ("2", "deny", login(&json!({"OnUnauthenticatedRequest": "deny"}))),
            ("3", "brief", login(&json!({"SessionTimeout": 1, "SessionCookieName": "brief"}))),
            ("4", "jwt", validation),
        ] {
            let condition =
                json!([{"Field": "query-string", "QueryStringConfig": {"Values": [{"Key": "mode", "Value": mode}]}}]);
            let create = ["elbv2", "create-rule", "--listener-arn", &listener, "--priority", priority];
            aws.call(&[&create[..], &["--conditions", &condition.to_string(), "--actions", &actions]].concat())?;
        }

        let seen = wait_status(&mut busybox.api, &task, "RUNNING")?;
        let details = seen["attachments"][0]["details"].as_array().context("details")?;
        let address = details.iter().find(|pair| pair["name"] == "privateIPv4Address").context("an address")?;
        let target = format!("Id={}", address["value"].as_str().context("an address")?);
        aws.call(&["elbv2", "register-targets", "--target-group-arn", &targets, "--targets", &target])?;
        let name = text("DNSName")?.to_owned();
        let address = wait::until("the load balancer has an address", Duration::from_secs(10), || {
            let found = (name.as_str(), 443).to_socket_addrs().map_err(|error| error.to_string())?.next();
            found.ok_or_else(|| "none".to_owned())
        })?;
        let site = Self { address, certificate, provider: Arc::clone(provider) };
        wait::until("the target answers", Duration::from_secs(30), || {
            let seen = site.program(&page("allow"), "").map_err(|error| format!("{error:#}"))?;
            if seen.status == 200 { Ok(()) } else { Err(format!("{seen:?}")) }
        })?;
        Ok(site)
    }

    /// A request without cookies.
    fn program(&self, target: &str, headers: &str) -> anyhow::Result<Answer> {
        provider::get(self.address, &self.certificate, HOST, target, headers)
    }
}

/// What the target got as a header.
fn received(answer: &Answer, header: &str) -> Option<String> {
    let name = format!("HTTP_{}=", header.to_ascii_uppercase().replace('-', "_"));
    answer.body.lines().find_map(|line| line.strip_prefix(&name)).map(str::to_owned)
}

/// Changes one character.
fn spoilt(text: &str, place: usize) -> String {
    let other = if &text[place..=place] == "A" { "B" } else { "A" };
    format!("{}{other}{}", &text[..place], &text[place + 1..])
}

pub fn users_log_in(kit: &Kit) -> anyhow::Result<()> {
    let provider = Provider::start()?;
    let prepare = |instance: &mut Instance| {
        let trusted = instance.dir.join("trusted.pem");
        std::fs::write(&trusted, &provider.certificate)?;
        instance.variables = vec![("SSL_CERT_FILE".to_owned(), trusted.display().to_string())];
        Ok(())
    };
    kit.on_prepared("builtin", prepare, |instance| {
        let site = Site::new(instance, &provider)?;
        // Somebody waits for a provider that says nothing, and holds up nobody.
        let mut patient = Browser::new(&site);
        let back = patient.log_in_at_the_provider(PAGE)?;
        provider.script().silent_code = param(back.split_once('?').context("a query")?.1, "code");
        let waiting = std::thread::spawn(move || patient.get(&back));
        let mut browser = Browser::new(&site);
        a_user_is_known_to_the_target(instance, &site, &mut browser)?;
        forgers_are_refused(&site, &mut browser)?;
        strangers_are_treated_as_the_rule_says(&site)?;
        programs_bring_tokens(&site)?;
        sessions_are_renewed_and_end(&site)?;
        let answer = waiting.join().ok().context("no panic")??;
        ensure!(answer.status == 500, "a silent provider: {answer:?}");
        Ok(())
    })
}

fn a_user_is_known_to_the_target(instance: &Instance, site: &Site, browser: &mut Browser) -> anyhow::Result<()> {
    let back = browser.log_in(&format!("{PAGE}?item=1&x=%2F"))?;
    ensure!(back.header("location") == format!("https://{HOST}{PAGE}?item=1&x=%2F"), "{back:?}");
    // What a client says of itself in the balancer's name is not heard.
    let seen = browser.get_with(PAGE, "X-Amzn-Oidc-Identity: root\r\nX_Amzn_Oidc_Data: a.b.c\r\n")?;
    ensure!(seen.status == 200, "{seen:?}");
    ensure!(received(&seen, "x-amzn-oidc-identity").as_deref() == Some(SUBJECT), "{seen:?}");
    ensure!(received(&seen, "x-amzn-oidc-accesstoken").is_some_and(|token| token.starts_with("access-")), "{seen:?}");
    ensure!(site.provider.script().logins == 1);

    // As an application verifies it: with the published key.
    let token = received(&seen, "x-amzn-oidc-data").context("claims")?;
    let parts: Vec<&str> = token.split('.').collect();
    let json = |part: &str| -> anyhow::Result<Value> { Ok(serde_json::from_slice(&URL_SAFE.decode(part)?)?) };
    let (head, claims) = (json(parts[0])?, json(parts[1])?);
    ensure!(head["alg"] == "ES256" && head["client"] == CLIENT && head["iss"] == site.provider.issuer, "{head}");
    ensure!(claims["sub"] == SUBJECT && claims["email"] == "a@example.com", "{claims}");
    let path = format!("/_longshore/elb/public-keys/{}", head["kid"].as_str().context("a key id")?);
    let pem = http::get(instance.listen, "localhost", &path)?.text();
    let der = STANDARD.decode(pem.lines().filter(|line| !line.starts_with('-')).collect::<String>())?;
    let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &der[der.len() - 65..]);
    let signed = format!("{}.{}", parts[0], parts[1]);
    ensure!(key.verify(signed.as_bytes(), &URL_SAFE.decode(parts[2])?).is_ok(), "the signature");
    Ok(())
}

fn forgers_are_refused(site: &Site, browser: &mut Browser) -> anyhow::Result<()> {
    // A session with one character changed, and one that nobody made.
    let session = browser.cookies[COOKIE].clone();
    for forged in [spoilt(&session, 40), spoilt(&session, session.len() - 1), "1.AAAA".to_owned()] {
        browser.cookies.insert(COOKIE.to_owned(), forged);
        let answer = browser.get(PAGE)?;
        ensure!(answer.status == 401 && !browser.cookies.contains_key(COOKIE), "a forged session: {answer:?}");
    }
    browser.cookies.insert(COOKIE.to_owned(), session);
    ensure!(browser.get(PAGE)?.status == 200, "the right one again");

    let mut victim = Browser::new(site);
    let back = victim.log_in_at_the_provider(PAGE)?;
    let state = param(&back, "state").context("a state")?;
    let forged = back.replace(&state, &spoilt(&state, 40));
    ensure!(victim.get(&forged)?.status == 401, "a forged state");
    let stranger = Browser::new(site).get(&back)?;
    ensure!(stranger.status == 401, "in another browser: {stranger:?}");
    // A code that the provider did not give.
    let answer = victim.get(&back.replace("code=", "code=x"))?;
    ensure!(answer.status == 401, "a forged code: {answer:?}");

    let provider = &site.provider;
    for change in
        [json!({"iss": "https://evil.example"}), json!({"aud": "another"}), json!({"exp": 1}), json!({"sub": "root"})]
    {
        let back = victim.log_in_at_the_provider(PAGE)?;
        provider.script().id_token = change.clone();
        let answer = victim.get(&back)?;
        provider.script().id_token = Value::Null;
        ensure!(answer.status == 401 && !victim.cookies.contains_key(COOKIE), "{change}: {answer:?}");
    }
    let back = victim.log_in_at_the_provider(PAGE)?;
    provider.script().token_status = Some(503);
    let answer = victim.get(&back)?;
    ensure!(answer.status == 561, "a provider that is out of order: {answer:?}");
    provider.script().token_status = None;
    ensure!(victim.get(&back)?.status == 302, "the same code later");
    ensure!(victim.get(PAGE)?.status == 200);
    Ok(())
}

fn strangers_are_treated_as_the_rule_says(site: &Site) -> anyhow::Result<()> {
    let mut stranger = Browser::new(site);
    ensure!(stranger.get(&page("deny"))?.status == 401, "deny");
    let seen = stranger.get_with(&page("allow"), "X-Amzn-Oidc-Identity: root\r\n")?;
    ensure!(seen.status == 200 && received(&seen, "x-amzn-oidc-identity").is_none(), "allow: {seen:?}");
    Ok(())
}

fn programs_bring_tokens(site: &Site) -> anyhow::Result<()> {
    let issuer = &site.provider.issuer;
    let good = json!({"iss": issuer, "exp": now_s() + 300, "aud": ["api", "other"]});
    let ask = |token: &str| site.program(&page("jwt"), &format!("Authorization: Bearer {token}\r\n"));
    let token = site.provider.sign(&good);
    let seen = ask(&token)?;
    ensure!(seen.status == 200, "{seen:?}");
    let with = |name: &str, value: Value| {
        let mut claims = good.clone();
        claims[name] = value;
        site.provider.sign(&claims)
    };
    let none = format!("{}.{}.", URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#), URL_SAFE_NO_PAD.encode(good.to_string()));
    for (why, bad) in [
        ("expired", with("exp", json!(now_s() - 1))),
        ("of another issuer", with("iss", json!("https://evil.example"))),
        ("for another audience", with("aud", json!(["other"]))),
        ("not signed", none),
        ("changed", spoilt(&token, token.len() / 2)),
    ] {
        let answer = ask(&bad)?;
        ensure!(answer.status == 401, "{why}: {answer:?}");
    }
    ensure!(site.program(&page("jwt"), "")?.status == 401, "without a token");
    Ok(())
}

fn sessions_are_renewed_and_end(site: &Site) -> anyhow::Result<()> {
    site.provider.script().expires_in = 0;
    let mut browser = Browser::new(site);
    browser.log_in(PAGE)?;
    let refreshes = site.provider.script().refreshes;
    let (first, second) = (browser.get(PAGE)?, browser.get(PAGE)?);
    let token = |answer: &Answer| received(answer, "x-amzn-oidc-accesstoken").context("a token");
    ensure!(token(&first)? != token(&second)?, "the access token is renewed: {second:?}");
    ensure!(site.provider.script().refreshes >= refreshes + 2);
    site.provider.script().expires_in = 3600;
    // One that has ended is logged in anew, without being asked for anything but the way to the provider.
    let mut browser = Browser::new(site);
    browser.log_in(&page("brief"))?;
    wait::until("the session ends", Duration::from_secs(10), || match browser.get(&page("brief")) {
        Ok(answer) if answer.status == 302 => Ok(()),
        Ok(answer) => Err(format!("{answer:?}")),
        Err(error) => Err(format!("{error:#}")),
    })
}
