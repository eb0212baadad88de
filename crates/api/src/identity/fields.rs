//! An input's members as paths and texts, so that permissions and conditions are data and not code an operation.

use longshore_aws_model::{Member, Schema, Shape, ShapeWriter, Timestamp};

/// `taskDefinition` → `web:1`, `tags.key` → `team`; list elements have no index, a map's keys are at `<path>.key`.
#[derive(Debug, Default)]
pub struct Fields {
    values: Vec<(String, String)>,
    /// Kept whole: a tag may lack its value, and the next tag's must not be taken for it.
    tags: Vec<GivenTag>,
    /// Inside a map of tags, whose texts are values; those of a list are keys that go.
    in_tag_map: bool,
    /// The members that lead here.
    path: Vec<&'static str>,
}

/// A tag as a request spells it.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct GivenTag {
    pub key: String,
    pub value: Option<String>,
}

impl Fields {
    pub fn of<I: Shape>(input: &I) -> Self {
        let mut fields = Self::default();
        input.write_members(&mut fields);
        fields
    }

    /// The first value at a path.
    pub fn get(&self, path: &str) -> Option<&str> {
        self.values.iter().find(|(own, _)| own == path).map(|(_, value)| value.as_str())
    }

    /// Every value at a path.
    pub fn all<'a>(&'a self, path: &'a str) -> impl Iterator<Item = &'a str> {
        self.values.iter().filter(move |(own, _)| own == path).map(|(_, value)| value.as_str())
    }

    /// Every path and value.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.values.iter().map(|(path, value)| (path.as_str(), value.as_str()))
    }

    /// Every tag that the request gives, and those that it names where it gives others.
    pub fn tags(&self) -> &[GivenTag] {
        &self.tags
    }

    fn is_at_tags(&self) -> bool {
        are_tags(&self.path)
    }

    fn put(&mut self, value: impl Into<String>) {
        self.values.push((self.path.join("."), value.into()));
    }
}

/// Where services have their tags. CloudWatch Logs and the tagging API have maps, its UntagLogGroup a list of keys, others
/// lists of structures.
fn are_tags(path: &[&str]) -> bool {
    matches!(path, ["tags" | "Tags"] | ["TagSpecifications", "Tags"])
}

/// A structure in a list or map is reached by the member that the list or map is.
impl ShapeWriter for Fields {
    fn begin_structure(&mut self, _: &'static Schema) {
        if self.is_at_tags() {
            self.tags.push(GivenTag::default());
        }
        // Stands for the member that comes.
        self.path.push("");
    }
    fn member(&mut self, member: &'static Member) {
        match self.path.last_mut() {
            Some(last) => *last = member.name,
            None => self.path.push(member.name),
        }
    }
    fn end_structure(&mut self) {
        self.path.pop();
    }
    fn begin_list(&mut self, _: &'static Schema, _: usize) {}
    fn element(&mut self) {}
    fn end_list(&mut self) {}
    fn begin_map(&mut self, _: &'static Schema, _: usize) {
        self.in_tag_map = self.is_at_tags();
    }
    fn entry(&mut self, key: &str) {
        if self.in_tag_map {
            self.tags.push(GivenTag { key: key.to_owned(), value: None });
        }
        let path = format!("{}.key", self.path.join("."));
        self.values.push((path, key.to_owned()));
    }
    fn end_map(&mut self) {
        self.in_tag_map = false;
    }
    fn string(&mut self, _: &'static Schema, value: &str) {
        match self.path.split_last() {
            Some((&("key" | "Key"), outer)) if are_tags(outer) => {
                self.tags.last_mut().expect("its structure has begun").key = value.to_owned();
            }
            Some((&("value" | "Value"), outer)) if are_tags(outer) => {
                self.tags.last_mut().expect("its structure has begun").value = Some(value.to_owned());
            }
            _ if self.in_tag_map => {
                self.tags.last_mut().expect("its entry has begun").value = Some(value.to_owned());
            }
            _ if self.is_at_tags() => self.tags.push(GivenTag { key: value.to_owned(), value: None }),
            _ => {}
        }
        self.put(value);
    }
    fn integer(&mut self, _: &'static Schema, value: i64) {
        self.put(value.to_string());
    }
    fn float(&mut self, _: &'static Schema, value: f64) {
        self.put(value.to_string());
    }
    fn boolean(&mut self, _: &'static Schema, value: bool) {
        self.put(value.to_string());
    }
    fn timestamp(&mut self, _: &'static Schema, value: Timestamp) {
        self.put((value.0 / 1000).to_string());
    }
    /// Bytes are nothing to decide by.
    fn blob(&mut self, _: &'static Schema, _: &[u8]) {}
    fn document(&mut self, _: &'static Schema, _: &str) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use longshore_aws_model::ecs::*;

    #[test]
    fn members_are_found_by_path() {
        let tag = |key: &str, value: &str| Tag { key: Some(key.to_owned()), value: Some(value.to_owned()) };
        let input = RunTaskInput {
            cluster: Some("web".to_owned()),
            count: Some(2),
            tags: Some(vec![tag("a", "1"), tag("b", "2")]),
            overrides: Some(TaskOverride {
                container_overrides: Some(vec![ContainerOverride {
                    name: Some("c".to_owned()),
                    environment: Some(vec![KeyValuePair { name: Some("N".to_owned()), value: Some("V".to_owned()) }]),
                    ..Default::default()
                }]),
                task_role_arn: Some("role".to_owned()),
                ..Default::default()
            }),
            task_definition: "web:1".to_owned(),
            ..Default::default()
        };
        let fields = Fields::of(&input);
        assert_eq!(fields.get("cluster"), Some("web"));
        assert_eq!(fields.get("count"), Some("2"));
        assert_eq!(fields.all("tags.key").collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(fields.get("overrides.taskRoleArn"), Some("role"));
        assert_eq!(fields.get("overrides.containerOverrides.environment.name"), Some("N"));
        assert_eq!(fields.get("taskDefinition"), Some("web:1"));
        assert_eq!(fields.get("none"), None);
    }

    fn tags<I: Shape>(input: &I) -> Vec<(String, Option<String>)> {
        let fields = Fields::of(input);
        fields.tags().iter().map(|tag| (tag.key.clone(), tag.value.clone())).collect()
    }

    #[test]
    fn a_tag_without_a_value_leaves_the_next_ones_its_own() {
        use longshore_aws_model::ec2::{CreateVpcInput, DeleteTagsInput, Tag, TagSpecification};
        let tag = |key: &str, value: Option<&str>| Tag { key: Some(key.into()), value: value.map(Into::into) };
        let given = vec![tag("a", None), tag("protected", Some("x"))];
        let expected = [("a".to_owned(), None), ("protected".to_owned(), Some("x".to_owned()))];
        assert_eq!(tags(&DeleteTagsInput { tags: Some(given.clone()), ..Default::default() }), expected);
        let specification = TagSpecification { resource_type: Some("vpc".to_owned()), tags: Some(given) };
        let input = CreateVpcInput { tag_specifications: Some(vec![specification]), ..Default::default() };
        assert_eq!(tags(&input), expected);
    }

    #[test]
    fn tags_are_found_in_maps_and_in_lists_of_keys() {
        use longshore_aws_model::logs::{TagLogGroupInput, UntagLogGroupInput};
        let map = [("a", "1"), ("b", "")].map(|(key, value)| (key.to_owned(), value.to_owned()));
        let input = TagLogGroupInput { log_group_name: "web".to_owned(), tags: map.into() };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(tags(&input), [("a".to_owned(), some("1")), ("b".to_owned(), some(""))]);
        let keys = ["a", "b"].map(str::to_owned);
        let input = UntagLogGroupInput { log_group_name: "web".to_owned(), tags: keys.to_vec() };
        assert_eq!(tags(&input), keys.map(|key| (key, None)));
    }
}
