//! AWS's words for no.

use crate::Cx;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use longshore_aws_model::AwsError;
use longshore_policy::{Decision, Source};
use sha2::Sha256;

/// The refusal of an action, in the words and with the code of the service that was called.
pub fn denied(cx: &Cx, service: &str, action: &str, resource: &str, decision: Decision) -> AwsError {
    let kind = |source: Source| match source {
        Source::Identity => ("an", "identity-based policy"),
        Source::Resource => ("a", "resource-based policy"),
        Source::Boundary => ("a", "permissions boundary"),
        Source::Session => ("a", "session policy"),
    };
    let why = match decision {
        Decision::ExplicitDeny(source) => {
            let (article, kind) = kind(source);
            format!("with an explicit deny in {article} {kind}")
        }
        Decision::ImplicitDeny(source) => format!("because no {} allows the {action} action", kind(source).1),
        Decision::Allowed => String::new(),
    };
    let user = &cx.caller.arn;
    // EC2 leaves a resource out that is none.
    let on_resource = match (service, resource) {
        ("ec2", "*") => String::new(),
        _ => format!(" on resource: {resource}"),
    };
    let text = format!("User: {user} is not authorized to perform: {action}{on_resource} {why}");
    match service {
        "ec2" => {
            let mut text = format!("You are not authorized to perform this operation. {text}");
            if resource != "*" {
                let encoded = encode_message(cx, action, resource, decision);
                text.push_str(&format!(". Encoded authorization failure message: {encoded}"));
            }
            AwsError::new("UnauthorizedOperation", text).with_status(403)
        }
        "iam" | "sts" | "elbv2" | "elasticloadbalancing" => AwsError::new("AccessDenied", text).with_status(403),
        _ => AwsError::new("AccessDeniedException", text).with_status(400),
    }
}

/// What DecodeAuthorizationMessage tells: readable by whoever may ask for it, and made by nobody else.
fn encode_message(cx: &Cx, action: &str, resource: &str, decision: Decision) -> String {
    let message = serde_json::json!({
        "allowed": false,
        "explicitDeny": matches!(decision, Decision::ExplicitDeny(_)),
        "matchedStatements": {"items": []},
        "failures": {"items": []},
        "context": {
            "principal": {"id": cx.caller.user_id, "arn": cx.caller.arn},
            "action": action,
            "resource": resource,
            "conditions": {"items": []},
        },
    });
    let text = message.to_string();
    let seal = seal(cx, text.as_bytes());
    URL_SAFE_NO_PAD.encode([&seal[..], text.as_bytes()].concat())
}

/// The message behind an encoded one, if it is one of ours.
pub fn decode_message(cx: &Cx, encoded: &str) -> Option<String> {
    let bytes = URL_SAFE_NO_PAD.decode(encoded).ok()?;
    let (sealed, text) = bytes.split_at_checked(16)?;
    (seal(cx, text)[..] == *sealed).then(|| String::from_utf8(text.to_vec()).ok()).flatten()
}

fn seal(cx: &Cx, text: &[u8]) -> [u8; 16] {
    let key = cx.settings.registry_secret.as_bytes();
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of every length");
    mac.update(b"authorization message");
    mac.update(text);
    let bytes: [u8; 32] = mac.finalize().into_bytes().into();
    bytes[..16].try_into().expect("sixteen of thirty-two bytes")
}
