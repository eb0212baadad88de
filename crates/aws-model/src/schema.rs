//! Static descriptions of services, operations and shapes, as the generator writes them.
//!
//! A schema says everything a protocol needs to know (wire names, list element names, timestamp formats) and everything
//! validation needs (required, length, range, pattern, enum), so that neither is compiled once per shape.

/// A service with the operations Longshore serves and the names of those it does not.
#[derive(Debug)]
pub struct ServiceSchema {
    /// Short name used throughout Longshore and in ARNs' neighbourhood: `ecs`, `elbv2`.
    pub name: &'static str,
    /// AWS's service id, e.g. `Elastic Load Balancing v2`.
    pub id: &'static str,
    /// Service in a SigV4 credential scope, e.g. `elasticloadbalancing`.
    pub signing_name: &'static str,
    /// First label(s) of the host name, e.g. `api.ecr`.
    pub endpoint_prefix: &'static str,
    /// `Version` of the query protocols, e.g. `2015-12-01`.
    pub api_version: &'static str,
    /// Every protocol clients of different ages speak to this service, the usual one first.
    pub protocols: &'static [Protocol],
    /// What comes before the dot in `X-Amz-Target`; empty for a service without a JSON protocol.
    pub target_prefix: &'static str,
    /// `xmlns` of XML answers; empty for a service without an XML protocol.
    pub xml_namespace: &'static str,
    /// Served operations, sorted by name.
    pub operations: &'static [&'static OperationSchema],
    /// Operations of the model that are not served, sorted by name.
    pub unserved: &'static [&'static str],
    /// True when the model says that clients may ask for error codes as they were in the query protocol.
    pub query_compatible: bool,
}

impl ServiceSchema {
    /// The served operation of this exact name.
    pub fn operation(&self, name: &str) -> Option<&'static OperationSchema> {
        self.operations.binary_search_by(|o| o.name.cmp(name)).ok().map(|i| self.operations[i])
    }

    /// True when the service has error codes that differ from the names of its errors' shapes: it speaks a query protocol,
    /// or once did.
    pub fn has_query_codes(&self) -> bool {
        self.query_compatible || self.protocols.iter().any(|p| matches!(p, Protocol::Query | Protocol::Ec2))
    }

    /// The model's own spelling of an operation that AWS has and Longshore does not serve yet.
    pub fn unserved(&self, name: &str) -> Option<&'static str> {
        self.unserved.binary_search(&name).ok().map(|i| self.unserved[i])
    }
}

/// Services are singletons: the same one is the same static.
impl PartialEq for ServiceSchema {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
    }
}

/// A wire protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// AWS JSON 1.0: `X-Amz-Target`, `application/x-amz-json-1.0`.
    Json10,
    /// AWS JSON 1.1: `X-Amz-Target`, `application/x-amz-json-1.1`.
    Json11,
    /// Form in, XML out.
    Query,
    /// EC2's dialect of [`Protocol::Query`].
    Ec2,
    /// JSON bodies on REST paths.
    RestJson,
    /// XML bodies on REST paths.
    RestXml,
    /// Smithy RPC v2 over CBOR.
    Cbor,
}

/// One operation.
#[derive(Debug)]
pub struct OperationSchema {
    /// As in the model and on the wire, e.g. `RunTask`.
    pub name: &'static str,
    /// The service it belongs to.
    pub service: &'static ServiceSchema,
    /// Structure of its parameters.
    pub input: &'static Schema,
    /// Structure of its answer; without members when the model has no output.
    pub output: &'static Schema,
    /// False when the model has no output shape (EC2 then answers `<return>true</return>`).
    pub has_output: bool,
    /// Element around the result in query answers, e.g. `RunTaskResult`.
    pub result_wrapper: Option<&'static str>,
    /// Method and path, for the REST protocols.
    pub http: Http,
    /// The errors the model names for this operation.
    pub errors: &'static [&'static ErrorSchema],
}

impl OperationSchema {
    /// The modelled error of this wire code or shape name.
    pub fn error(&self, code: &str) -> Option<&'static ErrorSchema> {
        self.errors.iter().copied().find(|e| e.code == code || e.name == code)
    }
}

/// Method and path template of an operation; `POST /` except for the REST protocols.
#[derive(Debug)]
pub struct Http {
    /// e.g. `POST`.
    pub method: &'static str,
    /// e.g. `/v1/clusters/{name}`; `{name+}` spans slashes, and parameters may follow: `/objects?versions`.
    pub path: &'static str,
    /// Status of success.
    pub status: u16,
}

/// A modelled error.
#[derive(Debug)]
pub struct ErrorSchema {
    /// Shape name, e.g. `LoadBalancerNotFoundException`.
    pub name: &'static str,
    /// Code on the wire, e.g. `LoadBalancerNotFound`.
    pub code: &'static str,
    /// HTTP status.
    pub status: u16,
}

/// A shape: its kind and its constraints.
#[derive(Debug)]
pub struct Schema {
    /// Name in the model; of no meaning for unconstrained simple shapes, which share one static.
    pub name: &'static str,
    /// What it is made of.
    pub kind: Kind,
    /// Least length (strings, in characters; lists, maps, blobs) or value (numbers).
    pub min: Option<i64>,
    /// Greatest length or value.
    pub max: Option<i64>,
    /// Regular expression the whole string must match.
    pub pattern: Option<&'static str>,
    /// Values of an enum; empty when any string is allowed.
    pub values: &'static [&'static str],
    /// True for a secret, which no error text repeats.
    pub sensitive: bool,
    /// Namespace of its element in XML, where the model names one.
    pub xmlns: Option<&'static Namespace>,
}

/// An XML namespace.
#[derive(Debug)]
pub struct Namespace {
    /// Empty for the default one.
    pub prefix: &'static str,
    /// e.g. `https://route53.amazonaws.com/doc/2013-04-01/`.
    pub uri: &'static str,
}

/// The kinds of shapes.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// Members in the model's order.
    Structure(&'static [Member]),
    /// A sequence.
    List(ListSchema),
    /// String keys.
    Map(MapSchema),
    /// `String`, enums included.
    String,
    /// `i32`.
    Integer,
    /// `i64`.
    Long,
    /// `f32`.
    Float,
    /// `f64`.
    Double,
    /// `bool`.
    Boolean,
    /// [`crate::Timestamp`]; `None` is the protocol's own format.
    Timestamp(Option<TimestampFormat>),
    /// `Vec<u8>`.
    Blob,
    /// [`crate::Document`]: any JSON.
    Document,
}

/// Elements of a list.
#[derive(Clone, Copy, Debug)]
pub struct ListSchema {
    /// Schema of each element.
    pub element: &'static Schema,
    /// Element name in XML and forms: the model's `locationName` of the element.
    pub element_name: Option<&'static str>,
    /// True when elements stand beside each other without an element around them.
    pub flattened: bool,
}

/// Entries of a map.
#[derive(Clone, Copy, Debug)]
pub struct MapSchema {
    /// Schema of the keys, always a string.
    pub key: &'static Schema,
    /// Schema of the values.
    pub value: &'static Schema,
    /// Name of keys in XML and forms, usually `key`.
    pub key_name: &'static str,
    /// Name of values in XML and forms, usually `value`.
    pub value_name: &'static str,
    /// True when entries stand beside each other without an element around them.
    pub flattened: bool,
}

/// How a timestamp is written when the model says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimestampFormat {
    /// `2026-01-02T03:04:05.678Z`
    Iso8601,
    /// Seconds, with milliseconds as a fraction.
    Epoch,
    /// `Fri, 02 Jan 2026 03:04:05 GMT`
    Rfc822,
}

/// A member of a structure.
#[derive(Debug)]
pub struct Member {
    /// Name in the model; what validation texts use.
    pub name: &'static str,
    /// Name in JSON and XML, and of a parameter, header or attribute.
    pub wire: &'static str,
    /// Name in a form (query and EC2 inputs).
    pub query: &'static str,
    /// Its shape.
    pub schema: &'static Schema,
    /// True when it must be given.
    pub required: bool,
    /// Where the REST protocols carry it.
    pub place: Place,
}

/// Where in a request or an answer a member travels. Protocols other than REST have everything in the body; attributes are
/// XML's alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the body's structure.
    Body,
    /// An attribute of the structure's XML element.
    Attribute,
    /// Part of the path.
    Label,
    /// A parameter of the query string; a map stands for all of them.
    Query,
    /// A header.
    Header,
    /// A header with JSON in it, base64-encoded.
    JsonHeader,
    /// A map of all headers whose names begin so.
    Prefix,
    /// The answer's HTTP status.
    Status,
    /// The whole body.
    Payload,
}

impl Member {
    /// An optional member whose name is the same everywhere.
    pub const fn new(name: &'static str, schema: &'static Schema) -> Self {
        Self { name, wire: name, query: name, schema, required: false, place: Place::Body }
    }

    /// Name in JSON and XML, where it differs.
    pub const fn wire(mut self, name: &'static str) -> Self {
        self.wire = name;
        self
    }

    /// Name in forms, where it differs.
    pub const fn query(mut self, name: &'static str) -> Self {
        self.query = name;
        self
    }

    /// Makes it required.
    pub const fn required(mut self) -> Self {
        self.required = true;
        self
    }

    /// Where it travels, if not in the body.
    pub const fn at(mut self, place: Place) -> Self {
        self.place = place;
        self
    }
}

impl Schema {
    /// A shape without constraints.
    pub const fn new(name: &'static str, kind: Kind) -> Self {
        Self { name, kind, min: None, max: None, pattern: None, values: &[], sensitive: false, xmlns: None }
    }

    /// A structure.
    pub const fn structure(name: &'static str, members: &'static [Member]) -> Self {
        Self::new(name, Kind::Structure(members))
    }

    /// A list whose elements have no name of their own.
    pub const fn list(name: &'static str, element: &'static Schema) -> Self {
        Self::new(name, Kind::List(ListSchema { element, element_name: None, flattened: false }))
    }

    /// A map with entries of `key` and `value`.
    pub const fn map(name: &'static str, key: &'static Schema, value: &'static Schema) -> Self {
        Self::new(name, Kind::Map(MapSchema { key, value, key_name: "key", value_name: "value", flattened: false }))
    }

    /// Least length or value.
    pub const fn min(mut self, min: i64) -> Self {
        self.min = Some(min);
        self
    }

    /// Greatest length or value.
    pub const fn max(mut self, max: i64) -> Self {
        self.max = Some(max);
        self
    }

    /// Regular expression the whole string must match.
    pub const fn pattern(mut self, pattern: &'static str) -> Self {
        self.pattern = Some(pattern);
        self
    }

    /// Values of an enum.
    pub const fn values(mut self, values: &'static [&'static str]) -> Self {
        self.values = values;
        self
    }

    /// Marks a secret.
    pub const fn sensitive(mut self) -> Self {
        self.sensitive = true;
        self
    }

    /// Namespace of its element in XML.
    pub const fn xmlns(mut self, namespace: &'static Namespace) -> Self {
        self.xmlns = Some(namespace);
        self
    }

    /// Names the elements of a list, or flattens a list or map.
    pub const fn elements(mut self, name: Option<&'static str>, flattened: bool) -> Self {
        self.kind = match self.kind {
            Kind::List(l) => Kind::List(ListSchema { element: l.element, element_name: name, flattened }),
            Kind::Map(m) => Kind::Map(MapSchema { flattened, ..m }),
            other => other,
        };
        self
    }

    /// Names of keys and values of a map.
    pub const fn entries(mut self, key_name: &'static str, value_name: &'static str) -> Self {
        if let Kind::Map(m) = self.kind {
            self.kind = Kind::Map(MapSchema { key_name, value_name, ..m });
        }
        self
    }

    /// Members of a structure; none for every other kind.
    pub fn members(&self) -> &'static [Member] {
        match self.kind {
            Kind::Structure(members) => members,
            _ => &[],
        }
    }

    /// Schema of a list's elements or a map's values; the shape itself for every other kind.
    pub fn inner(&'static self) -> &'static Schema {
        match self.kind {
            Kind::List(l) => l.element,
            Kind::Map(m) => m.value,
            _ => self,
        }
    }
}

/// Shared schemas of simple shapes without constraints.
pub static STRING: Schema = Schema::new("String", Kind::String);
/// See [`STRING`].
pub static INTEGER: Schema = Schema::new("Integer", Kind::Integer);
/// See [`STRING`].
pub static LONG: Schema = Schema::new("Long", Kind::Long);
/// See [`STRING`].
pub static FLOAT: Schema = Schema::new("Float", Kind::Float);
/// See [`STRING`].
pub static DOUBLE: Schema = Schema::new("Double", Kind::Double);
/// See [`STRING`].
pub static BOOLEAN: Schema = Schema::new("Boolean", Kind::Boolean);
/// See [`STRING`].
pub static TIMESTAMP: Schema = Schema::new("Timestamp", Kind::Timestamp(None));
/// See [`STRING`].
pub static BLOB: Schema = Schema::new("Blob", Kind::Blob);
/// See [`STRING`].
pub static DOCUMENT: Schema = Schema::new("Document", Kind::Document);
