//! Published cases that cannot apply to us, each with its reason.

/// File, case and reason.
type Skip = (&'static str, &'static str, &'static str);

pub const INPUT: &[Skip] = &[
    ("*", "Ec2ProtocolIdempotencyTokenAutoFill", FILLED),
    ("*", "QueryProtocolIdempotencyTokenAutoFill", FILLED),
    ("*", "RestJsonQueryIdempotencyTokenAutoFill", FILLED),
    ("*", "QueryIdempotencyTokenAutoFill", FILLED),
    ("*", "Ec2EmptyQueryLists", NOT_SENT),
    ("*", "QueryEmptyQueryMaps", NOT_SENT),
    ("*", "RestJsonOmitsEmptyListQueryValues", NOT_SENT),
    ("*", "RestJsonNullAndEmptyHeaders", NOT_SENT),
    ("*", "NullAndEmptyHeaders", NOT_SENT),
    ("*", "RestJsonHttpWithEmptyStructurePayload", "a structure that is absent is sent as an empty one"),
    ("*", "RestJsonHttpWithHeadersButNoPayload", "a structure that is absent is sent as an empty one"),
    ("*", "RestJsonQueryPrecedence", "the client drops one of two values for a parameter"),
    ("*", "RestXmlQueryPrecedence", "the client drops one of two values for a parameter"),
    ("*", "RestJsonHostWithPath", "the client's endpoint has a path"),
    ("*", "AwsJson10EndpointTrait", NO_HEADERS),
    ("*", "AwsJson10EndpointTraitWithHostLabel", NO_HEADERS),
    ("*", "AwsJson10HostWithPath", NO_HEADERS),
    ("*", "SDKAppliedContentEncoding_ec2Query", COMPRESSED),
    ("*", "SDKAppendsGzipAndIgnoresHttpProvidedEncoding_ec2Query", COMPRESSED),
    ("*", "SDKAppliedContentEncoding_awsJson1_1", COMPRESSED),
    ("*", "SDKAppendsGzipAndIgnoresHttpProvidedEncoding_awsJson1_1", COMPRESSED),
    ("*", "SDKAppliedContentEncoding_awsJson1_0", COMPRESSED),
    ("*", "SDKAppendsGzipAndIgnoresHttpProvidedEncoding_awsJson1_0", COMPRESSED),
    ("*", "SDKAppliedContentEncoding_awsQuery", COMPRESSED),
    ("*", "SDKAppendsGzipAndIgnoresHttpProvidedEncoding_awsQuery", COMPRESSED),
    ("*", "SDKAppliedContentEncoding_restJson1", COMPRESSED),
    ("*", "SDKAppendedGzipAfterProvidedEncoding_restJson1", COMPRESSED),
    ("*", "SDKAppliedContentEncoding_restXml", COMPRESSED),
    ("*", "SDKAppendedGzipAfterProvidedEncoding_restXml", COMPRESSED),
];

const FILLED: &str = "the client fills in a token that the parameters lack";
const NOT_SENT: &str = "the parameters are not on the wire: nothing was sent of them";
const NO_HEADERS: &str = "the case has no headers, and so no X-Amz-Target";
const COMPRESSED: &str = "the case has no body, only the header of a compressed one";

pub const OUTPUT: &[Skip] = &[
    ("*", "Ec2ComplexError", ERROR_MEMBERS),
    ("*", "AwsJson11ComplexError", ERROR_MEMBERS),
    ("*", "AwsJson10ComplexError", ERROR_MEMBERS),
    ("*", "QueryComplexError", ERROR_MEMBERS),
    ("*", "RestJsonComplexErrorWithNoMessage", ERROR_MEMBERS),
    ("rest-xml", "ComplexError", ERROR_MEMBERS),
    ("*", "RpcV2CborComplexError", ERROR_MEMBERS),
    ("rest-xml", "InvalidGreetingError", "the answer has an element that is not in the model"),
    ("*", "Ec2QueryDateTimeWithNegativeOffset", ZONE),
    ("*", "Ec2QueryDateTimeWithPositiveOffset", ZONE),
    ("*", "AwsJson11DateTimeWithNegativeOffset", ZONE),
    ("*", "AwsJson11DateTimeWithPositiveOffset", ZONE),
    ("*", "AwsQueryDateTimeWithNegativeOffset", ZONE),
    ("*", "AwsQueryDateTimeWithPositiveOffset", ZONE),
    ("*", "RestJsonDateTimeWithNegativeOffset", ZONE),
    ("*", "RestJsonDateTimeWithPositiveOffset", ZONE),
    ("*", "RestXmlDateTimeWithNegativeOffset", ZONE),
    ("*", "RestXmlDateTimeWithPositiveOffset", ZONE),
    ("*", "AwsJson11DeserializeIgnoreType", LENIENT),
    ("*", "AwsJson10DeserializeIgnoreType", LENIENT),
    ("*", "RestJsonDeserializeIgnoreType", LENIENT),
    ("*", "handles_unexpected_json_output", LENIENT),
    ("*", "AwsJson10HandlesUnexpectedJsonOutput", LENIENT),
    ("*", "SimpleScalarPropertiesWithXMLPreamble", LENIENT),
    ("*", "RpcV2CborPayloadWithUnsetUnion", "a payload member, which this protocol does not know"),
    ("*", "Ec2XmlLists", FLATTENED),
    ("*", "QueryXmlLists", FLATTENED),
    ("rest-xml", "XmlLists", FLATTENED),
];

const ERROR_MEMBERS: &str = "our errors have a code and a text, and no other members";
const ZONE: &str = "a time in another zone than UTC, in which no server writes";
const LENIENT: &str = "a client overlooks what no server writes";
const FLATTENED: &str = "elements of a flattened list have the name that botocore's models give them, as botocore (which skips this case) reads it";

/// A list of skips that knows which of them were needed.
pub struct Skips(Vec<(Skip, bool)>);

impl From<&[Skip]> for Skips {
    fn from(skips: &[Skip]) -> Self {
        Self(skips.iter().map(|s| (*s, false)).collect())
    }
}

impl Skips {
    pub fn skip(&mut self, file: &str, case: &str) -> bool {
        let found = self.0.iter_mut().find(|((f, c, _), _)| (*f == "*" || *f == file) && *c == case);
        found.map(|(_, used)| *used = true).is_some()
    }

    /// Fails when the list names a case that is not there.
    pub fn all_used(&self) {
        let unused: Vec<_> = self.0.iter().filter(|(_, used)| !used).map(|(s, _)| s).collect();
        assert!(unused.is_empty(), "skipped but not there: {unused:?}");
    }
}
