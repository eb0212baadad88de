//! DecodeAuthorizationMessage: what an encoded refusal of EC2 says.

use crate::{Cx, identity};
use longshore_aws_model::AwsError;
use longshore_aws_model::sts::{DecodeAuthorizationMessageInput, DecodeAuthorizationMessageOutput, codes};
use longshore_store::Snapshot;

pub fn decode_authorization_message(
    _: &Snapshot,
    cx: &Cx,
    input: DecodeAuthorizationMessageInput,
) -> Result<DecodeAuthorizationMessageOutput, AwsError> {
    match identity::decode_message(cx, &input.encoded_message) {
        Some(text) => Ok(DecodeAuthorizationMessageOutput { decoded_message: Some(text) }),
        None => Err(AwsError::new(
            codes::INVALID_AUTHORIZATION_MESSAGE_EXCEPTION,
            "The specified message is invalid or has been tampered with.",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ec2::testing::{read, refusal};
    use crate::testing::Fixture;
    use longshore_policy::{Decision, Source};

    #[test]
    fn a_refusal_is_decoded_unless_it_was_changed() {
        let fixture = Fixture::new();
        let denial = fixture.read(|_, cx| {
            let decision = Decision::ExplicitDeny(Source::Identity);
            identity::denied(cx, "ec2", "ec2:CreateVpc", "arn:aws:ec2:us-east-1:123456789012:vpc/*", decision)
        });
        let (_, encoded) = denial.message.rsplit_once(": ").expect("an encoded message");
        let input = |text: String| DecodeAuthorizationMessageInput { encoded_message: text };
        let decoded = read(&fixture, decode_authorization_message, input(encoded.to_owned())).expect("decoded");
        let decoded = decoded.decoded_message.expect("a message");
        assert!(decoded.contains(r#""explicitDeny":true"#) && decoded.contains("ec2:CreateVpc"), "{decoded}");
        let changed = encoded.replacen(&encoded[..1], if encoded.starts_with('A') { "B" } else { "A" }, 1);
        assert_eq!(
            refusal(read(&fixture, decode_authorization_message, input(changed))),
            "InvalidAuthorizationMessageException: The specified message is invalid or has been tampered with."
        );
    }
}
