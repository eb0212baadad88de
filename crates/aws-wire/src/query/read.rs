//! A form as a [`ShapeReader`].
//!
//! Keys are paths: `Filter.1.Value.2`, `Tags.member.1.Key`, `Attributes.entry.1.key`. The pairs are sorted once; what lies
//! under a path is then one slice, found by binary search. Nothing is built, and no depth of a path can hurt.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use longshore_aws_model::{Kind, OnElement, OnEntry, OnMember, ReadError, Schema, ShapeReader, Timestamp};

use crate::form::{self, Pair};
use crate::time;

/// How lists are spelt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// `Names.member.1`, unless the model flattens the list.
    Query,
    /// `Name.1`: every list is flat.
    Ec2,
}

/// The pairs of a form, ready for [`FormReader::new`].
pub(crate) fn sorted(encoded: &[u8]) -> Vec<Pair> {
    let mut pairs = form::pairs(encoded);
    pairs.sort_by(|a, b| a.0.cmp(&b.0));
    pairs
}

/// A place in a form: the value of one key, and what lies under it.
#[derive(Clone, Copy)]
pub(crate) struct FormReader<'a> {
    dialect: Dialect,
    value: Option<&'a str>,
    /// Pairs whose keys begin with this place's path and a dot.
    under: &'a [Pair],
    /// Length of path and dot.
    prefix: usize,
}

impl<'a> FormReader<'a> {
    /// The root of a form; `pairs` are sorted by key.
    pub(crate) fn new(dialect: Dialect, pairs: &'a [Pair]) -> Self {
        Self { dialect, value: None, under: pairs, prefix: 0 }
    }

    /// The place one name further down, if anything is there.
    fn child(&self, name: &str) -> Option<Self> {
        fn rest(pair: &Pair, prefix: usize) -> &[u8] {
            &pair.0.as_bytes()[prefix..]
        }
        let prefix = self.prefix;
        let name = name.as_bytes();
        let dotted = |key: &[u8]| key.starts_with(name) && key.get(name.len()) == Some(&b'.');
        let at = self.under.partition_point(|p| rest(p, prefix) < name);
        let value = self.under.get(at).filter(|p| rest(p, prefix) == name).map(|p| p.1.as_str());
        // The first key not less than `name` + ".", and all that begin so.
        let from = self.under.partition_point(|p| rest(p, prefix).iter().lt(name.iter().chain(b".")));
        let under = &self.under[from..];
        let under = &under[..under.partition_point(|p| dotted(rest(p, prefix)))];
        if value.is_none() && under.is_empty() {
            return None;
        }
        Some(Self { value, under, prefix: self.prefix + name.len() + 1, ..*self })
    }

    /// The numbered places under this one, in numeric order; gaps are closed up as AWS does.
    fn numbered(&self) -> Vec<Self> {
        let mut numbers: Vec<(u64, &str)> = self
            .under
            .iter()
            .filter_map(|(key, _)| {
                let name = key[self.prefix..].split('.').next().unwrap_or("");
                // Leading signs are not numbers.
                let digits = name.bytes().all(|b| b.is_ascii_digit());
                digits.then(|| name.parse().ok()).flatten().map(|n| (n, name))
            })
            .collect();
        numbers.sort_unstable();
        numbers.dedup();
        numbers.into_iter().filter_map(|(_, name)| self.child(name)).collect()
    }

    fn text(&self, expected: &'static str) -> Result<&'a str, ReadError> {
        self.value.ok_or_else(|| ReadError::mismatch("", expected))
    }

    fn parsed<T>(&self, expected: &'static str, parse: impl FnOnce(&str) -> Option<T>) -> Result<T, ReadError> {
        let text = self.text(expected)?;
        parse(text.trim()).ok_or_else(|| ReadError::mismatch(text, expected))
    }
}

impl ShapeReader for FormReader<'_> {
    fn structure(&mut self, schema: &'static Schema, on: OnMember<'_>) -> Result<(), ReadError> {
        for (i, member) in schema.members().iter().enumerate() {
            // Elements of a flattened list carry their own name in place of the list's, in the older models.
            let own = match member.schema.kind {
                Kind::List(l) if l.flattened && self.dialect == Dialect::Query => l.element_name,
                _ => None,
            };
            if let Some(mut child) = own.and_then(|name| self.child(name)).or_else(|| self.child(member.query)) {
                on(i, &mut child)?;
            }
        }
        Ok(())
    }

    fn list(&mut self, schema: &'static Schema, on: OnElement<'_>) -> Result<(), ReadError> {
        let Kind::List(list) = schema.kind else {
            return Ok(());
        };
        let flat = self.dialect == Dialect::Ec2 || list.flattened;
        let elements = match flat {
            true => self.numbered(),
            // An element name of the model's, or the usual one.
            false => [list.element_name.unwrap_or("member"), "member"]
                .iter()
                .find_map(|name| self.child(name))
                .map(|c| c.numbered())
                .unwrap_or_default(),
        };
        elements.into_iter().try_for_each(|mut e| on(&mut e))
    }

    fn map(&mut self, schema: &'static Schema, on: OnEntry<'_>) -> Result<(), ReadError> {
        let Kind::Map(map) = schema.kind else {
            return Ok(());
        };
        let entries = if map.flattened { Some(*self) } else { self.child("entry") };
        for entry in entries.map(|e| e.numbered()).unwrap_or_default() {
            let key = entry.child(map.key_name).and_then(|k| k.value);
            if let (Some(key), Some(mut value)) = (key, entry.child(map.value_name)) {
                on(key.to_owned(), &mut value)?;
            }
        }
        Ok(())
    }

    fn string(&mut self, _: &'static Schema) -> Result<String, ReadError> {
        self.text("String").map(str::to_owned)
    }

    fn integer(&mut self, _: &'static Schema) -> Result<i64, ReadError> {
        self.parsed("Integer", |t| t.parse().ok())
    }

    fn float(&mut self, _: &'static Schema) -> Result<f64, ReadError> {
        self.parsed("Double", |t| t.parse().ok())
    }

    fn boolean(&mut self, _: &'static Schema) -> Result<bool, ReadError> {
        self.parsed("Boolean", |t| match t {
            _ if t.eq_ignore_ascii_case("true") => Some(true),
            _ if t.eq_ignore_ascii_case("false") => Some(false),
            _ => None,
        })
    }

    fn timestamp(&mut self, _: &'static Schema) -> Result<Timestamp, ReadError> {
        self.parsed("Timestamp", time::parse)
    }

    fn blob(&mut self, _: &'static Schema) -> Result<Vec<u8>, ReadError> {
        self.parsed("Blob", |t| BASE64_STANDARD.decode(t).ok())
    }

    fn document(&mut self, _: &'static Schema) -> Result<String, ReadError> {
        // No service with a query protocol has documents.
        Err(ReadError::mismatch("", "Document"))
    }
}

#[cfg(test)]
mod tests {
    use longshore_aws_model::{Shape, ec2, elbv2};

    use super::*;

    fn ec2<T: Shape>(form: &str) -> T {
        T::read(&mut FormReader::new(Dialect::Ec2, &sorted(form.as_bytes()))).expect("form reads")
    }

    #[test]
    fn ec2_lists_are_flat_and_in_numeric_order() {
        let input: ec2::DescribeVpcsInput = ec2(
            "Filter.2.Name=state&Filter.10.Name=z&Filter.1.Name=tag%3AName&Filter.1.Value.1=a&Filter.1.Value.10=c&Filter.1.Value.2=b&VpcId.1=vpc-1&MaxResults=5",
        );
        let filters = input.filters.expect("filters");
        let names: Vec<_> = filters.iter().map(|f| f.name.as_deref().expect("name")).collect();
        assert_eq!(names, ["tag:Name", "state", "z"]);
        assert_eq!(filters[0].values.as_deref(), Some(&["a", "b", "c"].map(str::to_owned)[..]));
        assert_eq!(filters[1].values, None);
        assert_eq!(input.vpc_ids, Some(vec!["vpc-1".to_owned()]));
        assert_eq!(input.max_results, Some(5));
    }

    #[test]
    fn ec2_names_begin_with_a_large_letter() {
        let input: ec2::AuthorizeSecurityGroupIngressInput = ec2(
            "GroupId=sg-1&IpPermissions.1.IpProtocol=tcp&IpPermissions.1.FromPort=80&IpPermissions.1.ToPort=80&IpPermissions.1.IpRanges.1.CidrIp=0.0.0.0%2F0&IpPermissions.1.Groups.1.GroupId=sg-2",
        );
        let permission = &input.ip_permissions.expect("permissions")[0];
        assert_eq!(permission.from_port, Some(80));
        assert_eq!(permission.ip_ranges.as_ref().expect("ranges")[0].cidr_ip.as_deref(), Some("0.0.0.0/0"));
        assert_eq!(permission.user_id_group_pairs.as_ref().expect("groups")[0].group_id.as_deref(), Some("sg-2"));
    }

    #[test]
    fn query_lists_have_member_and_an_empty_value_is_an_empty_list() {
        let pairs = sorted(b"Names.member.1=a&Names.member.2=b&LoadBalancerArns=");
        let input =
            elbv2::DescribeLoadBalancersInput::read(&mut FormReader::new(Dialect::Query, &pairs)).expect("reads");
        assert_eq!(input.names, Some(vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!(input.load_balancer_arns, Some(vec![]));
        assert_eq!(input.page_size, None);
    }

    #[test]
    fn names_that_begin_alike_do_not_mix() {
        let pairs = sorted(b"VpcId-x.1=no&VpcId.1=yes&VpcIdX.1=no&VpcId=&VpcI.1=no&VpcId.x=no&VpcId.%2B2=no");
        let input = ec2::DescribeVpcsInput::read(&mut FormReader::new(Dialect::Ec2, &pairs)).expect("reads");
        assert_eq!(input.vpc_ids, Some(vec!["yes".to_owned()]));
    }
}
