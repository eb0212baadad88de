//! The typed entry of one call, for routers that erase it: `Box<dyn Fn(&Call) -> Response>` over [`Call::answer`].

use longshore_aws_model::{AwsError, Operation, OperationSchema, Protocol};

use crate::decode::decode_with;
use crate::encode::{Response, encode_error, encode_output};
use crate::form::Pair;
use crate::rest::Labels;

/// What a request carries besides its body, as far as its protocol uses it; empty for all but REST.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// What stands in the path's labels, decoded.
    pub(crate) labels: Labels,
    /// Parameters of the query string, decoded.
    pub(crate) query: Vec<Pair>,
    /// Headers in the order sent.
    pub(crate) headers: Vec<Pair>,
    /// The client wants error codes as the query protocol had them (`x-amzn-query-mode`).
    pub(crate) query_mode: bool,
}

impl Head {
    /// The same, for a client that wants error codes as the query protocol had them, or does not.
    pub fn with_query_mode(mut self, query_mode: bool) -> Self {
        self.query_mode = query_mode;
        self
    }
}

/// One identified request on its way to a handler.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// The operation asked for.
    pub operation: &'static OperationSchema,
    /// How input and output are spelt.
    pub protocol: Protocol,
    /// What to decode.
    pub payload: &'a [u8],
    /// The rest of the request.
    pub head: &'a Head,
    /// Goes into the answer.
    pub request_id: &'a str,
}

impl Call<'_> {
    /// Decodes, calls, encodes. `O` is the operation of this call.
    pub fn answer<O: Operation>(&self, handler: impl FnOnce(O::Input) -> Result<O::Output, AwsError>) -> Response {
        match self.decode::<O>().and_then(handler) {
            Ok(output) => self.output::<O>(&output),
            Err(error) => self.error(&error),
        }
    }

    /// The validated input.
    pub fn decode<O: Operation>(&self) -> Result<O::Input, AwsError> {
        decode_with::<O>(self.protocol, self.head, self.payload)
    }

    /// The response of success.
    pub fn output<O: Operation>(&self, output: &O::Output) -> Response {
        encode_output::<O>(self.protocol, output, self.request_id)
    }

    /// The response of failure.
    pub fn error(&self, error: &AwsError) -> Response {
        let operation = self.operation;
        let mut response =
            encode_error(self.protocol, Some(operation.service), Some(operation), error, self.request_id);
        if self.head.query_mode && operation.service.has_query_codes() {
            response.add_query_error(operation, error);
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use longshore_aws_model::{ecs, sts};

    use super::*;

    type Handler = Box<dyn Fn(&Call<'_>) -> Response>;

    fn route<O: Operation>(handler: fn(O::Input) -> Result<O::Output, AwsError>) -> (&'static str, Handler) {
        (O::SCHEMA.name, Box::new(move |call| call.answer::<O>(handler)))
    }

    #[test]
    fn handlers_of_different_types_stand_in_one_table() {
        let routes = BTreeMap::from([
            route::<ecs::DeleteCluster>(|input| Err(AwsError::new("ClusterNotFoundException", input.cluster))),
            route::<sts::GetCallerIdentity>(|_| {
                Ok(sts::GetCallerIdentityOutput { account: Some("1".to_owned()), ..Default::default() })
            }),
        ]);
        let call = |operation: &'static OperationSchema, protocol, payload: &[u8]| {
            let response = routes[operation.name](&Call {
                operation,
                protocol,
                payload,
                head: &Head::default(),
                request_id: "id",
            });
            (response.status, String::from_utf8(response.body).expect("text"))
        };
        let (status, body) = call(ecs::DeleteCluster::SCHEMA, Protocol::Json11, br#"{"cluster":"c"}"#);
        assert_eq!((status, body.as_str()), (400, r#"{"__type":"ClusterNotFoundException","message":"c"}"#));
        let (status, body) = call(sts::GetCallerIdentity::SCHEMA, Protocol::Query, b"");
        assert!(status == 200 && body.contains("<GetCallerIdentityResult><Account>1</Account>"), "{body}");
    }
}
