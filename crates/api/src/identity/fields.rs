//! An input's members as paths and texts, so that permissions and conditions are data and not code an operation.

use longshore_aws_model::{Member, Schema, Shape, ShapeWriter, Timestamp};

/// `taskDefinition` → `web:1`, `tags.key` → `team`; list elements have no index, a map's keys are at `<path>.key`.
#[derive(Debug, Default)]
pub struct Fields {
    values: Vec<(String, String)>,
    /// The members that lead here.
    path: Vec<&'static str>,
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

    fn put(&mut self, value: impl Into<String>) {
        self.values.push((self.path.join("."), value.into()));
    }
}

/// A structure in a list or map is reached by the member that the list or map is.
impl ShapeWriter for Fields {
    fn begin_structure(&mut self, _: &'static Schema) {
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
    fn begin_map(&mut self, _: &'static Schema, _: usize) {}
    fn entry(&mut self, key: &str) {
        let path = format!("{}.key", self.path.join("."));
        self.values.push((path, key.to_owned()));
    }
    fn end_map(&mut self) {}
    fn string(&mut self, _: &'static Schema, value: &str) {
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
}
