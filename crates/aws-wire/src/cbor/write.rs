//! A [`ShapeWriter`] of CBOR. One value has one spelling: lengths are definite, numbers as short as they go, members in
//! the order of their schema.

use ciborium_ll::{Encoder, Header, simple};
use longshore_aws_model::{AwsError, ErrorMember, Member, Schema, ShapeWriter, Timestamp};

/// Tag of seconds since 1970.
const EPOCH: u64 = 1;

/// Writes into a vector it owns.
pub(crate) struct CborWriter {
    out: Vec<u8>,
    /// Structures that have begun: where their head stands, and how many members they have so far.
    open: Vec<(usize, usize)>,
}

impl CborWriter {
    pub(crate) fn with_capacity(bytes: usize) -> Self {
        Self { out: Vec::with_capacity(bytes), open: Vec::new() }
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        self.out
    }

    fn push(&mut self, header: Header) {
        Encoder::from(&mut self.out).push(header).expect("writing to a vector does not fail");
    }

    /// An error's whole body.
    pub(crate) fn error(&mut self, shape: &str, error: &AwsError) {
        self.push(Header::Map(Some(2 + error.members.len())));
        for text in ["__type", shape, "message", &error.message] {
            self.text(text);
        }
        for (name, member) in &error.members {
            self.text(name);
            match member {
                ErrorMember::Text(text) => self.text(text),
                ErrorMember::Number(number) => self.number(*number),
                ErrorMember::Texts(texts) => {
                    self.push(Header::Array(Some(texts.len())));
                    texts.iter().for_each(|text| self.text(text));
                }
            }
        }
    }

    fn number(&mut self, value: i64) {
        self.push(match u64::try_from(value) {
            Ok(n) => Header::Positive(n),
            Err(_) => Header::Negative(!value as u64),
        });
    }

    fn text(&mut self, text: &str) {
        self.push(Header::Text(Some(text.len())));
        self.out.extend_from_slice(text.as_bytes());
    }
}

impl ShapeWriter for CborWriter {
    fn begin_structure(&mut self, _: &'static Schema) {
        self.open.push((self.out.len(), 0));
        // The head of a map of up to 23 members is one byte; the number follows when it is known.
        self.out.push(0);
    }
    fn member(&mut self, member: &'static Member) {
        if let Some((_, members)) = self.open.last_mut() {
            *members += 1;
        }
        self.text(member.name);
    }
    fn end_structure(&mut self) {
        let Some((at, members)) = self.open.pop() else {
            return;
        };
        let mut head = Vec::new();
        Encoder::from(&mut head).push(Header::Map(Some(members))).expect("writing to a vector does not fail");
        self.out.splice(at..=at, head);
    }
    fn begin_list(&mut self, _: &'static Schema, len: usize) {
        self.push(Header::Array(Some(len)));
    }
    fn element(&mut self) {}
    fn end_list(&mut self) {}
    fn begin_map(&mut self, _: &'static Schema, len: usize) {
        self.push(Header::Map(Some(len)));
    }
    fn entry(&mut self, key: &str) {
        self.text(key);
    }
    fn end_map(&mut self) {}
    fn string(&mut self, _: &'static Schema, value: &str) {
        self.text(value);
    }
    fn integer(&mut self, _: &'static Schema, value: i64) {
        self.number(value);
    }
    fn float(&mut self, _: &'static Schema, value: f64) {
        self.push(Header::Float(value));
    }
    fn boolean(&mut self, _: &'static Schema, value: bool) {
        self.push(Header::Simple(if value { simple::TRUE } else { simple::FALSE }));
    }
    fn timestamp(&mut self, schema: &'static Schema, value: Timestamp) {
        self.push(Header::Tag(EPOCH));
        if value.0 % 1000 == 0 {
            self.integer(schema, value.0 / 1000);
        } else {
            self.push(Header::Float(value.0 as f64 / 1000.0));
        }
    }
    fn blob(&mut self, _: &'static Schema, value: &[u8]) {
        self.push(Header::Bytes(Some(value.len())));
        self.out.extend_from_slice(value);
    }
    fn document(&mut self, _: &'static Schema, value: &str) {
        // The protocol has no documents; their text is what comes nearest.
        self.text(value);
    }
}

#[cfg(test)]
mod tests {
    use longshore_aws_model::{Protocol, Timestamp, ecs};

    use crate::encode_output;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|b| format!("{b:02x}")).collect()
    }

    #[test]
    fn lengths_are_definite_and_times_have_their_tag() {
        let cluster = ecs::Cluster {
            cluster_name: Some("c".to_owned()),
            running_tasks_count: Some(-1),
            tags: Some(vec![]),
            ..Default::default()
        };
        let output = ecs::CreateClusterOutput { cluster: Some(cluster) };
        let response = encode_output::<ecs::CreateCluster>(Protocol::Cbor, &output, "id");
        assert_eq!(
            hex(&response.body),
            "a167636c7573746572a36b636c75737465724e616d6561637172756e6e696e675461736b73436f756e74206474616773\
             80"
            .replace(char::is_whitespace, "")
        );
        assert_eq!(response.header("smithy-protocol"), Some("rpc-v2-cbor"));
        assert_eq!(response.header("content-type"), Some("application/cbor"));
    }

    #[test]
    fn a_structure_of_more_than_23_members_has_a_longer_head() {
        let mut task =
            ecs::Task { created_at: Some(Timestamp(1_500)), started_at: Some(Timestamp(2_000)), ..Default::default() };
        for field in [
            &mut task.availability_zone,
            &mut task.capacity_provider_name,
            &mut task.cluster_arn,
            &mut task.container_instance_arn,
            &mut task.cpu,
            &mut task.desired_status,
            &mut task.group,
            &mut task.last_status,
            &mut task.launch_type,
            &mut task.memory,
            &mut task.platform_family,
            &mut task.platform_version,
            &mut task.started_by,
            &mut task.stop_code,
            &mut task.stopped_reason,
            &mut task.task_arn,
            &mut task.task_definition_arn,
            &mut task.health_status,
            &mut task.connectivity,
        ] {
            *field = Some("x".to_owned());
        }
        task.version = Some(1);
        task.enable_execute_command = Some(true);
        task.tags = Some(vec![]);
        task.attachments = Some(vec![]);
        let output = ecs::StopTaskOutput { task: Some(task) };
        let body = hex(&encode_output::<ecs::StopTask>(Protocol::Cbor, &output, "id").body);
        // 25 members; 1.5 s as a half float under tag 1, 2 s as an integer.
        assert!(body.starts_with("a1647461736bb819"), "{body}");
        assert!(body.contains("637265617465644174c1f93e00") && body.contains("737461727465644174c102"), "{body}");
    }
}
