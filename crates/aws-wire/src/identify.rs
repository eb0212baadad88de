//! Which operation of which service a request asks for, in which protocol, by whom.
//!
//! In this order: `X-Amz-Target` names service and operation; `Smithy-Protocol` says that the path does. A service that speaks
//! REST, by the signature's scope or the host, is asked by method and path. A form has `Action` and `Version`; the service is the one of
//! the signature's scope, else the one whose version and operations fit, else the host's. An operation that AWS has and
//! Longshore does not serve is answered by its name.

use std::borrow::Cow;

use longshore_aws_model::{AwsError, OperationSchema, Protocol, SERVICES, ServiceSchema};

use crate::call::{Call, Head};
use crate::encode::{Response, encode_error};
use crate::form::{self, Pair};
use crate::rest;
use crate::sigv4::Credential;

/// A request as far as the wire looks at it. Bodies are whole and not compressed: see [`crate::inflate`].
#[derive(Clone, Copy)]
pub struct Parts<'a> {
    /// `POST` or `GET`.
    pub method: &'a str,
    /// Path of the URL, encoded.
    pub path: &'a str,
    /// Query string of the URL, without the question mark, encoded.
    pub query: &'a str,
    /// Value of a header by its lower-case name.
    pub header: &'a dyn Fn(&str) -> Option<&'a str>,
    /// Every header, in the order sent, with its name in lower case.
    pub headers: &'a dyn Fn() -> Vec<(String, String)>,
    /// Body.
    pub body: &'a [u8],
}

/// A request for an operation we serve.
#[derive(Debug)]
pub struct Identified<'a> {
    /// The service.
    pub service: &'static ServiceSchema,
    /// The operation.
    pub operation: &'static OperationSchema,
    /// How to decode the payload and encode the answer.
    pub protocol: Protocol,
    /// Who signed; `None` for an unsigned request.
    pub credential: Option<Credential>,
    /// What `decode` reads: the body, or the query string of a GET.
    pub payload: Cow<'a, [u8]>,
    /// What `decode` reads besides.
    pub head: Head,
}

impl Identified<'_> {
    /// The call to hand to a route.
    pub fn call<'c>(&'c self, request_id: &'c str) -> Call<'c> {
        Call {
            operation: self.operation,
            protocol: self.protocol,
            payload: &self.payload,
            head: &self.head,
            request_id,
        }
    }
}

/// A request that is answered without a handler.
#[derive(Debug)]
pub struct Refused {
    /// Protocol the client expects its error in.
    pub protocol: Protocol,
    /// The service, if it was found.
    pub service: Option<&'static ServiceSchema>,
    /// Why.
    pub error: AwsError,
}

impl Refused {
    /// A request refused before its body was looked at, in the protocol that its headers speak of.
    pub fn unread(parts: &Parts<'_>, error: AwsError) -> Self {
        let protocol = match (parts.header)("x-amz-target") {
            Some(_) => json_version(parts),
            None if is_cbor(parts) => Protocol::Cbor,
            None => Protocol::Query,
        };
        Self { protocol, service: None, error }
    }

    /// The answer.
    pub fn response(&self, request_id: &str) -> Response {
        encode_error(self.protocol, self.service, None, &self.error, request_id)
    }
}

/// True when the request is an AWS call, as opposed to the registry's, a health check or a browser.
pub fn is_aws(parts: &Parts<'_>) -> bool {
    let signed = (parts.header)("authorization").is_some_and(|a| a.trim_start().starts_with("AWS4-"));
    signed
        || (parts.header)("x-amz-target").is_some()
        || is_cbor(parts)
        || parts.query.contains("X-Amz-Algorithm=AWS4-")
        || parts.query.starts_with("Action=")
        || parts.query.contains("&Action=")
        || (is_form(parts) && parameters(parts).iter().any(|(key, _)| key == "Action"))
}

/// Finds service, operation and protocol of a request.
pub fn identify<'a>(parts: &Parts<'a>) -> Result<Identified<'a>, Refused> {
    identify_among(SERVICES, parts)
}

/// [`identify`], when other services are served than ours.
pub fn identify_among<'a>(services: Services, parts: &Parts<'a>) -> Result<Identified<'a>, Refused> {
    if let Some(target) = (parts.header)("x-amz-target") {
        return by_target(services, parts, target);
    }
    if is_cbor(parts) {
        return by_name_in_path(services, parts);
    }
    match services.iter().any(|s| rest_protocol(s).is_some()) {
        true => by_path(services, parts).unwrap_or_else(|| by_action(services, parts)),
        false => by_action(services, parts),
    }
}

type Services = &'static [&'static ServiceSchema];

fn json_version(parts: &Parts<'_>) -> Protocol {
    let content_type = (parts.header)("content-type").unwrap_or("");
    if content_type.contains("json-1.0") { Protocol::Json10 } else { Protocol::Json11 }
}

fn is_cbor(parts: &Parts<'_>) -> bool {
    (parts.header)("smithy-protocol").is_some_and(|p| p.trim() == "rpc-v2-cbor")
}

fn query_mode(parts: &Parts<'_>) -> Head {
    let query_mode = (parts.header)("x-amzn-query-mode").is_some_and(|v| v.trim().eq_ignore_ascii_case("true"));
    Head { query_mode, ..Head::default() }
}

/// The services' own name of a signature that lacks something.
fn incomplete(e: AwsError) -> AwsError {
    AwsError { code: "IncompleteSignatureException".into(), ..e }
}

/// `POST /service/AmazonEC2ContainerServiceV20141113/operation/RunTask`, perhaps after a prefix.
fn by_name_in_path<'a>(services: Services, parts: &Parts<'a>) -> Result<Identified<'a>, Refused> {
    let protocol = Protocol::Cbor;
    let refuse = |service, error| Refused { protocol, service, error };
    let credential = Credential::find_in(parts.header, &form::pairs(parts.query.as_bytes()));
    let credential = credential.map_err(|e| refuse(None, incomplete(e)))?;
    let mut segments = parts.path.rsplit('/');
    let (name, marker) = (segments.next().unwrap_or_default(), segments.next());
    let (target, service_marker) = (segments.next().unwrap_or_default(), segments.next());
    if (parts.method, marker, service_marker) != ("POST", Some("operation"), Some("service")) {
        let text = format!(
            "{} {} names no operation: POST /service/<service>/operation/<operation>",
            parts.method, parts.path
        );
        return Err(refuse(None, AwsError::new("UnknownOperationException", text).with_status(404)));
    }
    // Models of query services do not tell the name they would have here: the signature does.
    let by_target = services.iter().copied().find(|s| !s.target_prefix.is_empty() && s.target_prefix == target);
    let by_scope =
        || services.iter().copied().find(|s| credential.as_ref().is_some_and(|c| c.service == s.signing_name));
    let by_host = || services.iter().copied().find(|s| names_service((parts.header)("host").unwrap_or(""), s));
    let Some(service) = by_target.or_else(by_scope).or_else(by_host) else {
        let name = credential.as_ref().map_or(target, |c| c.service.as_str());
        return Err(refuse(None, unknown_service(name)));
    };
    let operation = service.operation(name).ok_or_else(|| refuse(Some(service), unserved(service, name, protocol)))?;
    let payload = Cow::Borrowed(parts.body);
    Ok(Identified { service, operation, protocol, credential, payload, head: query_mode(parts) })
}

fn rest_protocol(service: &ServiceSchema) -> Option<Protocol> {
    service.protocols.iter().copied().find(|p| matches!(p, Protocol::RestJson | Protocol::RestXml))
}

/// `None` when the request is for no service that speaks REST.
fn by_path<'a>(services: Services, parts: &Parts<'a>) -> Option<Result<Identified<'a>, Refused>> {
    let query = form::pairs(parts.query.as_bytes());
    let credential = Credential::find_in(parts.header, &query);
    let scope = credential.as_ref().ok().and_then(Option::as_ref).map(|c| c.service.as_str());
    let host = (parts.header)("host").unwrap_or("");
    let service = services.iter().copied().find(|s| match scope {
        Some(scope) => s.signing_name == scope && rest_protocol(s).is_some(),
        None => names_service(host, s) && rest_protocol(s).is_some(),
    })?;
    let protocol = rest_protocol(service)?;
    let refuse = |error| Refused { protocol, service: Some(service), error };
    let credential = match credential {
        Ok(credential) => credential,
        Err(e) => return Some(Err(refuse(incomplete(e)))),
    };
    let Some((operation, labels)) = rest::route(service.operations, parts.method, parts.path, &query) else {
        let text =
            format!("Unable to determine service/operation name to be authorized: {} {}", parts.method, parts.path);
        return Some(Err(refuse(AwsError::new("UnknownOperationException", text).with_status(404))));
    };
    let head = Head { labels, query, headers: (parts.headers)(), ..query_mode(parts) };
    Some(Ok(Identified { service, operation, protocol, credential, payload: Cow::Borrowed(parts.body), head }))
}

fn by_target<'a>(services: Services, parts: &Parts<'a>, target: &str) -> Result<Identified<'a>, Refused> {
    let protocol = json_version(parts);
    let refuse = |service, error| Refused { protocol, service, error };
    let query = form::pairs(parts.query.as_bytes());
    let credential = Credential::find_in(parts.header, &query).map_err(|e| refuse(None, incomplete(e)))?;
    let (prefix, name) = target.split_once('.').unwrap_or((target, ""));
    let service = services.iter().copied().find(|s| !s.target_prefix.is_empty() && s.target_prefix == prefix);
    let Some(service) = service else {
        return Err(refuse(None, unknown_service(credential.as_ref().map_or(prefix, |c| c.service.as_str()))));
    };
    let operation = service.operation(name).ok_or_else(|| refuse(Some(service), unserved(service, name, protocol)))?;
    Ok(Identified {
        service,
        operation,
        protocol,
        credential,
        payload: Cow::Borrowed(parts.body),
        head: query_mode(parts),
    })
}

fn by_action<'a>(services: Services, parts: &Parts<'a>) -> Result<Identified<'a>, Refused> {
    let refuse = |service: Option<&'static ServiceSchema>, error| Refused {
        protocol: service.map_or(Protocol::Query, form_protocol),
        service,
        error,
    };
    let query = form::pairs(parts.query.as_bytes());
    let credential = Credential::find_in(parts.header, &query).map_err(|e| refuse(None, e))?;
    // A service that speaks only JSON needs a target.
    let scope = credential.as_ref().map_or("", |c| c.service.as_str());
    if let Some(service) = services.iter().copied().find(|s| s.signing_name == scope && !has_forms(s)) {
        let error = AwsError::new("UnknownOperationException", "The request has no X-Amz-Target header.");
        return Err(Refused { protocol: Protocol::Json11, service: Some(service), error });
    }
    let parameters = parameters(parts);
    let (action, version) = (form::get(&parameters, "Action"), form::get(&parameters, "Version").unwrap_or(""));
    let service = find_service(services, credential.as_ref(), action, version, (parts.header)("host").unwrap_or(""));
    let Some(action) = action else {
        return Err(match (&credential, service) {
            (None, None) => refuse(
                None,
                AwsError::new("MissingAuthenticationToken", "Missing Authentication Token").with_status(403),
            ),
            (_, Some(s)) => {
                refuse(Some(s), AwsError::new("MissingAction", "The request must contain the parameter Action"))
            }
            (Some(c), None) => {
                Refused { protocol: formless_protocol(&c.service), service: None, error: unknown_service(&c.service) }
            }
        });
    };
    let Some(service) = service else {
        let name = credential.as_ref().map_or_else(|| format!("{action} (version {version})"), |c| c.service.clone());
        return Err(refuse(None, unknown_service(&name)));
    };
    let protocol = form_protocol(service);
    // EC2 takes every version; the others have had one for ten years, and another means another service.
    let fits = protocol == Protocol::Ec2 || version.is_empty() || version == service.api_version;
    if !fits {
        let text = format!("Could not find operation {action} for version {version}");
        return Err(refuse(Some(service), AwsError::new("InvalidAction", text)));
    }
    let operation =
        service.operation(action).ok_or_else(|| refuse(Some(service), unserved(service, action, protocol)))?;
    let body = is_form(parts) && !parts.body.is_empty();
    let payload = match (body, parts.query.is_empty()) {
        (true, true) => Cow::Borrowed(parts.body),
        (true, false) => Cow::Owned([parts.query.as_bytes(), b"&", parts.body].concat()),
        (false, _) => Cow::Borrowed(parts.query.as_bytes()),
    };
    Ok(Identified { service, operation, protocol, credential, payload, head: Head::default() })
}

/// A form without a content type is still one: nothing else comes without a target.
fn is_form(parts: &Parts<'_>) -> bool {
    let content_type = (parts.header)("content-type").unwrap_or("application/x-www-form-urlencoded");
    parts.method == "POST" && content_type.starts_with("application/x-www-form-urlencoded")
}

fn parameters(parts: &Parts<'_>) -> Vec<Pair> {
    let mut all = form::pairs(parts.query.as_bytes());
    if is_form(parts) {
        all.extend(form::pairs(parts.body));
    }
    all
}

fn find_service(
    services: Services,
    credential: Option<&Credential>,
    action: Option<&str>,
    version: &str,
    host: &str,
) -> Option<&'static ServiceSchema> {
    let forms = || services.iter().copied().filter(|s| has_forms(s));
    if let Some(c) = credential {
        // Several APIs share a signing name; their versions tell them apart.
        let signed = || forms().filter(|s| s.signing_name == c.service);
        return signed().find(|s| s.api_version == version).or_else(|| signed().next());
    }
    let knows = |s: &&ServiceSchema| action.is_some_and(|a| s.operation(a).is_some() || s.unserved(a).is_some());
    forms().find(|s| s.api_version == version && knows(s)).or_else(|| forms().find(|s| names_service(host, s)))
}

/// `ec2.eu-central-1.amazonaws.com`, `ec2.localhost:4566`
fn names_service(host: &str, service: &ServiceSchema) -> bool {
    let labels = [service.endpoint_prefix, service.name];
    labels.iter().any(|l| host.strip_prefix(l).is_some_and(|rest| rest.starts_with('.')))
}

fn has_forms(service: &ServiceSchema) -> bool {
    service.protocols.iter().any(|p| matches!(p, Protocol::Query | Protocol::Ec2))
}

fn form_protocol(service: &ServiceSchema) -> Protocol {
    if service.protocols.contains(&Protocol::Ec2) { Protocol::Ec2 } else { Protocol::Query }
}

/// What a client of a service that is not served reads, when it signed a request without target and action: REST. Three
/// services of AWS's speak it in XML.
fn formless_protocol(signing_name: &str) -> Protocol {
    match signing_name {
        "s3" | "route53" | "cloudfront" => Protocol::RestXml,
        _ => Protocol::RestJson,
    }
}

fn unknown_service(name: &str) -> AwsError {
    AwsError::new("NotImplemented", format!("The service {name} is not implemented by Longshore yet.")).with_status(501)
}

/// What EC2 can be asked for, as botocore 1.44.5 knows it: our model has only what touches networks and instances, and an
/// answer shall tell what AWS has from what nobody has.
const EC2_ACTIONS: &str = include_str!("ec2_actions.txt");

/// The answer to an operation without a handler: of AWS's and not ours yet, or of nobody's.
fn unserved(service: &ServiceSchema, name: &str, protocol: Protocol) -> AwsError {
    let is_ec2 = protocol == Protocol::Ec2;
    let elsewhere = || EC2_ACTIONS.lines().find(|action| is_ec2 && *action == name);
    if let Some(known) = service.unserved(name).or_else(elsewhere) {
        if is_ec2 && known.contains("ClassicLink") {
            // Gone from AWS too, in these words; tools that still ask after each VPC know them.
            let text = "The functionality you requested is not available in this region.";
            return AwsError::new("UnsupportedOperation", text);
        }
        let text = format!("The operation {}:{known} is not implemented by Longshore yet.", service.name);
        // 501 is the one server error that SDKs do not retry.
        return AwsError::fault("NotImplemented", text).with_status(501);
    }
    match protocol {
        Protocol::Ec2 => {
            AwsError::new("InvalidAction", format!("The action {name} is not valid for this web service."))
        }
        Protocol::Query => {
            let text = format!("Could not find operation {name} for version {}", service.api_version);
            AwsError::new("InvalidAction", text)
        }
        _ => AwsError::new("UnknownOperationException", format!("The operation {}:{name} is unknown.", service.name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A request by its headers, and what it is taken for.
    fn check(headers: &[(&str, &str)], query: &str, body: &str, want: &str) {
        let header = |name: &str| headers.iter().find(|(k, _)| *k == name).map(|(_, v)| *v);
        let method = if body.is_empty() { "GET" } else { "POST" };
        let parts = Parts { method, path: "/", query, header: &header, headers: &Vec::new, body: body.as_bytes() };
        let got = match identify(&parts) {
            Ok(i) => format!("{}:{} {:?}", i.service.name, i.operation.name, i.protocol),
            Err(r) => format!("{:?} {} {}", r.protocol, r.error.code, r.error.message),
        };
        assert_eq!(got, want);
    }

    const ECS: &str =
        "AWS4-HMAC-SHA256 Credential=AK/20260102/us-east-1/ecs/aws4_request, SignedHeaders=host, Signature=a";
    const ELB: &str = "AWS4-HMAC-SHA256 Credential=AK/20260102/us-east-1/elasticloadbalancing/aws4_request, SignedHeaders=host, Signature=a";
    const S3: &str =
        "AWS4-HMAC-SHA256 Credential=AK/20260102/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=a";
    const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded; charset=utf-8");

    #[test]
    fn targets_name_service_and_operation() {
        let target = |t| [("x-amz-target", t), ("authorization", ECS), ("content-type", "application/x-amz-json-1.1")];
        check(&target("AmazonEC2ContainerServiceV20141113.RunTask"), "", "{}", "ecs:RunTask Json11");
        check(
            &target("AmazonEC2ContainerServiceV20141113.CreateTaskSet"),
            "",
            "{}",
            "Json11 NotImplemented The operation ecs:CreateTaskSet is not implemented by Longshore yet.",
        );
        check(
            &target("AmazonEC2ContainerServiceV20141113.Nope"),
            "",
            "{}",
            "Json11 UnknownOperationException The operation ecs:Nope is unknown.",
        );
        let dynamo = [("x-amz-target", "DynamoDB_20120810.ListTables")];
        check(
            &dynamo,
            "",
            "{}",
            "Json11 NotImplemented The service DynamoDB_20120810 is not implemented by Longshore yet.",
        );
        check(
            &target("AmazonEC2ContainerServiceV20141113"),
            "",
            "{}",
            "Json11 UnknownOperationException The operation ecs: is unknown.",
        );
        check(
            &[("authorization", ECS)],
            "",
            "{}",
            "Json11 UnknownOperationException The request has no X-Amz-Target header.",
        );
        let unsigned =
            [("x-amz-target", "AmazonEC2ContainerServiceV20141113.RunTask"), ("authorization", "AWS4-HMAC-SHA256 x")];
        check(
            &unsigned,
            "",
            "{}",
            "Json11 IncompleteSignatureException 'x' not a valid key=value pair (missing equal-sign) in Authorization header: 'AWS4-HMAC-SHA256 x'.",
        );
    }

    /// As [`check`], by a path.
    fn check_path(method: &str, path: &str, headers: &[(&str, &str)], want: &str) {
        let header = |name: &str| headers.iter().find(|(k, _)| *k == name).map(|(_, v)| *v);
        let parts = Parts { method, path, query: "", header: &header, headers: &Vec::new, body: b"" };
        assert!(is_aws(&parts), "{path}");
        let got = match identify(&parts) {
            Ok(i) => format!("{}:{} {:?}", i.service.name, i.operation.name, i.protocol),
            Err(r) => format!("{:?} {} {}", r.protocol, r.error.code, r.error.message),
        };
        assert_eq!(got, want);
    }

    #[test]
    fn cbor_has_service_and_operation_in_its_path() {
        let cbor = ("smithy-protocol", "rpc-v2-cbor");
        let ecs = "/service/AmazonEC2ContainerServiceV20141113/operation/";
        check_path("POST", &format!("{ecs}RunTask"), &[cbor], "ecs:RunTask Cbor");
        check_path("POST", &format!("/prefix{ecs}RunTask"), &[cbor], "ecs:RunTask Cbor");
        check_path(
            "POST",
            &format!("{ecs}Nope"),
            &[cbor],
            "Cbor UnknownOperationException The operation ecs:Nope is unknown.",
        );
        // A query service's name is not in its model: who signed for which service, or the host, tells.
        let elb = "/service/ElasticLoadBalancing_v10/operation/DescribeLoadBalancers";
        check_path("POST", elb, &[cbor, ("authorization", ELB)], "elbv2:DescribeLoadBalancers Cbor");
        let host = ("host", "elasticloadbalancing.localhost:4566");
        check_path("POST", elb, &[cbor, host], "elbv2:DescribeLoadBalancers Cbor");
        check_path(
            "POST",
            elb,
            &[cbor, ("authorization", S3)],
            "Cbor NotImplemented The service s3 is not implemented by Longshore yet.",
        );
        for (method, path) in [("GET", elb), ("POST", "/"), ("POST", "/service/x/RunTask")] {
            let text = format!("{method} {path} names no operation: POST /service/<service>/operation/<operation>");
            check_path(method, path, &[cbor], &format!("Cbor UnknownOperationException {text}"));
        }
    }

    #[test]
    fn forms_name_action_and_version() {
        check(
            &[FORM, ("authorization", ELB)],
            "",
            "Action=DescribeLoadBalancers&Version=2015-12-01",
            "elbv2:DescribeLoadBalancers Query",
        );
        check(
            &[FORM, ("authorization", ELB)],
            "",
            "Action=DescribeLoadBalancers&Version=2012-06-01",
            "Query InvalidAction Could not find operation DescribeLoadBalancers for version 2012-06-01",
        );
        check(
            &[FORM, ("authorization", ELB)],
            "",
            "Action=DescribeTrustStores&Version=2015-12-01",
            "Query NotImplemented The operation elbv2:DescribeTrustStores is not implemented by Longshore yet.",
        );
        check(
            &[FORM, ("authorization", ELB)],
            "",
            "Action=Nope&Version=2015-12-01",
            "Query InvalidAction Could not find operation Nope for version 2015-12-01",
        );
        check(
            &[FORM, ("authorization", S3)],
            "",
            "Action=Nope&Version=2015-12-01",
            "Query NotImplemented The service s3 is not implemented by Longshore yet.",
        );
    }

    #[test]
    fn actions_of_ec2_outside_its_model_are_told_from_invented_ones() {
        let ec2 = |action: &str, want: &str| {
            check(&[FORM, ("host", "ec2.localhost:4566")], "", &format!("Action={action}&Version=2016-11-15"), want);
        };
        let text = "is not implemented by Longshore yet.";
        ec2("RunInstances", &format!("Ec2 NotImplemented The operation ec2:RunInstances {text}"));
        ec2("CreateFlowLogs", &format!("Ec2 NotImplemented The operation ec2:CreateFlowLogs {text}"));
        ec2("CreateFlowLog", "Ec2 InvalidAction The action CreateFlowLog is not valid for this web service.");
        ec2("", "Ec2 InvalidAction The action  is not valid for this web service.");
        for action in ["DescribeVpcClassicLink", "DescribeVpcClassicLinkDnsSupport"] {
            let text = "The functionality you requested is not available in this region.";
            ec2(action, &format!("Ec2 UnsupportedOperation {text}"));
        }
        assert!(EC2_ACTIONS.lines().is_sorted());
    }

    #[test]
    fn clients_of_rest_read_errors_of_their_kind() {
        for (service, path, want) in [
            ("lambda", "/2015-03-31/functions/", "RestJson"),
            ("s3", "/bucket", "RestXml"),
            ("route53", "/2013-04-01/hostedzone", "RestXml"),
        ] {
            let signed = ECS.replace("/ecs/", &format!("/{service}/"));
            let want = format!("{want} NotImplemented The service {service} is not implemented by Longshore yet.");
            for method in ["GET", "POST"] {
                check_path(method, path, &[("authorization", &signed)], &want);
            }
        }
        let lambda = ECS.replace("/ecs/", "/lambda/");
        let header = |name: &str| (name == "authorization").then_some(lambda.as_str());
        let parts = Parts { method: "GET", path: "/", query: "", header: &header, headers: &Vec::new, body: b"" };
        let response = identify(&parts).expect_err("not served").response("id-1");
        assert_eq!((response.status, response.header("x-amzn-errortype")), (501, Some("NotImplemented")));
        assert_eq!(response.body, br#"{"message":"The service lambda is not implemented by Longshore yet."}"#);
    }

    #[test]
    fn unsigned_forms_are_told_by_version_then_host() {
        check(&[FORM], "", "Action=DescribeTags&Version=2016-11-15", "ec2:DescribeTags Ec2");
        check(&[FORM], "", "Action=DescribeTags&Version=2015-12-01", "elbv2:DescribeTags Query");
        check(
            &[FORM, ("host", "ec2.localhost:4566")],
            "",
            "Action=Nope",
            "Ec2 InvalidAction The action Nope is not valid for this web service.",
        );
        check(&[("host", "localhost")], "", "", "Query MissingAuthenticationToken Missing Authentication Token");
    }

    #[test]
    fn a_get_has_its_form_in_the_url() {
        let presigned = "Action=GetCallerIdentity&Version=2011-06-15&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AK%2F20260102%2Fus-east-1%2Fsts%2Faws4_request&X-Amz-Date=20260102T030405Z&X-Amz-SignedHeaders=host&X-Amz-Signature=ff";
        check(&[], presigned, "", "sts:GetCallerIdentity Query");
        let parts =
            Parts { method: "GET", path: "/", query: presigned, header: &|_| None, headers: &Vec::new, body: b"" };
        assert!(is_aws(&parts));
        assert_eq!(identify(&parts).expect("identified").payload.as_ref(), presigned.as_bytes());
        assert!(!is_aws(&Parts { query: "", ..parts }));
    }
}
