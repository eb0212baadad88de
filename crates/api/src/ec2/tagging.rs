//! CreateTags, DeleteTags and DescribeTags: tags of every kind of resource.

use super::error::{self, Kind};
use super::filter::{FilterTable, Tagged, text};
use super::list::Listing;
use super::tags;
use super::view::some;
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::ec2::{
    CreateTagsInput, CreateTagsOutput, DeleteTagsInput, DeleteTagsOutput, DescribeTagsInput, DescribeTagsOutput, Tag,
    TagDescription,
};
use longshore_store::{Snapshot, Tx};
use longshore_types::id::*;
use longshore_types::{Scope, Tags};

pub fn create_tags(tx: &mut Tx, cx: &Cx, input: CreateTagsInput) -> Result<CreateTagsOutput, AwsError> {
    let new = tags::parse(&input.tags)?;
    for id in &input.resources {
        change(tx, cx, id, |tags| {
            tags.merge(&new);
            tags::check_count(tags)
        })??;
    }
    error::finish(input.dry_run, CreateTagsOutput {})
}

/// A tag without a value is removed whatever its value is; one with a value only if it has that value. A request without
/// tags removes all.
pub fn delete_tags(tx: &mut Tx, cx: &Cx, input: DeleteTagsInput) -> Result<DeleteTagsOutput, AwsError> {
    for id in &input.resources {
        change(tx, cx, id, |tags| match input.tags.as_deref() {
            None | Some([]) => tags.0.clear(),
            Some(unwanted) => tags.0.retain(|key, value| {
                !unwanted.iter().any(|tag| {
                    tag.key.as_ref() == Some(key) && tag.value.as_ref().is_none_or(|unwanted| unwanted == value)
                })
            }),
        })?;
    }
    error::finish(input.dry_run, DeleteTagsOutput {})
}

/// The tags of what an id names by its prefix, if it is there.
pub fn find(state: &Snapshot, scope: &Scope, id: &str) -> Option<Tags> {
    let scope = scope.clone();
    match id.split('-').next()? {
        "vpc" => state.vpcs().get(&(scope, VpcId::from(id))).map(|row| row.tags.clone()),
        "subnet" => state.subnets().get(&(scope, SubnetId::from(id))).map(|row| row.tags.clone()),
        "sg" => state.security_groups().get(&(scope, SecurityGroupId::from(id))).map(|row| row.tags.clone()),
        "sgr" => super::security_group_rules::find(state, &scope, id).map(|(_, rule)| rule.tags),
        "eni" => state.network_interfaces().get(&(scope, EniId::from(id))).map(|row| row.tags.clone()),
        "rtb" => state.route_tables().get(&(scope, RouteTableId::from(id))).map(|row| row.tags.clone()),
        "igw" => state.internet_gateways().get(&(scope, InternetGatewayId::from(id))).map(|row| row.tags.clone()),
        "nat" => state.nat_gateways().get(&(scope, NatGatewayId::from(id))).map(|row| row.tags.clone()),
        "eipalloc" => state.elastic_addresses().get(&(scope, AllocationId::from(id))).map(|row| row.tags.clone()),
        "acl" => state.network_acls().get(&(scope, NetworkAclId::from(id))).map(|row| row.tags.clone()),
        "pl" => state.prefix_lists().get(&(scope, PrefixListId::from(id))).map(|row| row.tags.clone()),
        "dopt" => state.dhcp_options().get(&(scope, DhcpOptionsId::from(id))).map(|row| row.tags.clone()),
        _ => None,
    }
}

/// Changes the tags of the resource that an id names by its prefix.
fn change<R>(tx: &mut Tx, cx: &Cx, id: &str, change: impl FnOnce(&mut Tags) -> R) -> Result<R, AwsError> {
    let scope = cx.scope.clone();
    match id.split('-').next().unwrap_or_default() {
        "vpc" => tx.vpcs().update(&(scope, VpcId::from(id)), |vpc| change(&mut vpc.tags)).ok_or(Kind::Vpc),
        "subnet" => {
            tx.subnets().update(&(scope, SubnetId::from(id)), |subnet| change(&mut subnet.tags)).ok_or(Kind::Subnet)
        }
        "sg" => tx
            .security_groups()
            .update(&(scope, SecurityGroupId::from(id)), |group| change(&mut group.tags))
            .ok_or(Kind::SecurityGroup),
        "sgr" => {
            let group = super::security_group_rules::find(tx, &scope, id).map(|(group, _)| group.id.clone());
            let changed = group.and_then(|group| {
                tx.security_groups().update(&(scope, group), |group| {
                    let rule = group.rules.iter_mut().find(|rule| rule.id.as_str() == id);
                    rule.map(|rule| change(&mut rule.tags))
                })
            });
            changed.flatten().ok_or(Kind::SecurityGroupRule)
        }
        "eni" => tx
            .network_interfaces()
            .update(&(scope, EniId::from(id)), |eni| change(&mut eni.tags))
            .ok_or(Kind::NetworkInterface),
        "rtb" => tx
            .route_tables()
            .update(&(scope, RouteTableId::from(id)), |row| change(&mut row.tags))
            .ok_or(Kind::RouteTable),
        "igw" => tx
            .internet_gateways()
            .update(&(scope, InternetGatewayId::from(id)), |row| change(&mut row.tags))
            .ok_or(Kind::InternetGateway),
        "nat" => tx
            .nat_gateways()
            .update(&(scope, NatGatewayId::from(id)), |row| change(&mut row.tags))
            .ok_or(Kind::NatGateway),
        "eipalloc" => tx
            .elastic_addresses()
            .update(&(scope, AllocationId::from(id)), |row| change(&mut row.tags))
            .ok_or(Kind::Allocation),
        "acl" => tx
            .network_acls()
            .update(&(scope, NetworkAclId::from(id)), |row| change(&mut row.tags))
            .ok_or(Kind::NetworkAcl),
        "pl" => tx
            .prefix_lists()
            .update(&(scope, PrefixListId::from(id)), |row| change(&mut row.tags))
            .ok_or(Kind::PrefixList),
        "dopt" => tx
            .dhcp_options()
            .update(&(scope, DhcpOptionsId::from(id)), |row| change(&mut row.tags))
            .ok_or(Kind::DhcpOptions),
        _ => return Err(AwsError::new("InvalidID", format!("The ID '{id}' is not valid"))),
    }
    .map_err(|kind| kind.not_found(&[id]))
}

const FILTERS: &FilterTable<Described> = &[
    ("key", |tag| text(&tag.description.key)),
    ("resource-id", |tag| text(&tag.description.resource_id)),
    ("resource-type", |tag| text(&tag.description.resource_type)),
    ("value", |tag| text(&tag.description.value)),
];

/// A tag, and what it is sorted by.
struct Described {
    description: TagDescription,
    tag: [Tag; 1],
    sort_key: Option<String>,
}

impl Tagged for Described {
    fn tags(&self) -> &[Tag] {
        &self.tag
    }
}

/// Kind, id and tags of everything that can have tags.
pub fn each(state: &Snapshot, scope: &Scope, see: &mut dyn FnMut(&str, &str, &Tags)) {
    state.vpcs().prefix(scope).for_each(|vpc| see("vpc", vpc.id.as_str(), &vpc.tags));
    state.route_tables().prefix(scope).for_each(|row| see("route-table", row.id.as_str(), &row.tags));
    state.internet_gateways().prefix(scope).for_each(|row| see("internet-gateway", row.id.as_str(), &row.tags));
    state.nat_gateways().prefix(scope).for_each(|row| see("natgateway", row.id.as_str(), &row.tags));
    state.elastic_addresses().prefix(scope).for_each(|row| see("elastic-ip", row.allocation.as_str(), &row.tags));
    state.network_acls().prefix(scope).for_each(|row| see("network-acl", row.id.as_str(), &row.tags));
    state.prefix_lists().prefix(scope).for_each(|row| see("prefix-list", row.id.as_str(), &row.tags));
    state.dhcp_options().prefix(scope).for_each(|row| see("dhcp-options", row.id.as_str(), &row.tags));
    state.subnets().prefix(scope).for_each(|subnet| see("subnet", subnet.id.as_str(), &subnet.tags));
    for group in state.security_groups().prefix(scope) {
        see("security-group", group.id.as_str(), &group.tags);
        group.rules.iter().for_each(|rule| see("security-group-rule", rule.id.as_str(), &rule.tags));
    }
    state.network_interfaces().prefix(scope).for_each(|eni| see("network-interface", eni.id.as_str(), &eni.tags));
}

pub fn describe_tags(state: &Snapshot, cx: &Cx, input: DescribeTagsInput) -> Result<DescribeTagsOutput, AwsError> {
    let mut all = Vec::new();
    each(state, &cx.scope, &mut |resource_type: &str, id: &str, tags: &Tags| {
        all.extend(tags.iter().map(|(key, value)| Described {
            description: TagDescription {
                key: some(key),
                resource_id: some(id),
                resource_type: some(resource_type),
                value: some(value),
            },
            tag: [Tag { key: some(key), value: some(value) }],
            sort_key: Some(format!("{id}\0{key}")),
        }));
    });
    all.sort_by(|a, b| a.sort_key.cmp(&b.sort_key));

    let listing = Listing {
        filters: input.filters.as_deref(),
        max_results: input.max_results,
        next_token: input.next_token.as_deref(),
    };
    let (tags, next_token) = listing.page(all.into_iter(), |tag| &tag.sort_key, FILTERS)?;
    let tags = tags.map(|tags| tags.into_iter().map(|tag| tag.description).collect());
    error::finish(input.dry_run, DescribeTagsOutput { next_token, tags })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ec2::testing::{default_subnet, default_vpc, filter, read, refusal, write};
    use crate::testing::Fixture;

    fn tag(key: &str, value: Option<&str>) -> Tag {
        Tag { key: Some(key.to_owned()), value: value.map(str::to_owned) }
    }

    fn create(resources: Vec<String>, tags: Vec<Tag>) -> CreateTagsInput {
        CreateTagsInput { dry_run: None, resources, tags }
    }

    fn described(fixture: &Fixture, name: &str, value: &str) -> Vec<(String, String)> {
        let input = DescribeTagsInput { filters: filter(name, value), ..Default::default() };
        let tags = read(fixture, describe_tags, input).expect("a list").tags.expect("a list");
        tags.into_iter().map(|tag| (tag.resource_type.expect("a type"), tag.key.expect("a key"))).collect()
    }

    /// One resource of each kind.
    fn everything(fixture: &Fixture) -> Vec<String> {
        fixture.read(|state, cx| {
            let group = state.security_groups().prefix(&cx.scope).next().expect("the group");
            vec![
                default_vpc(fixture),
                default_subnet(fixture),
                group.id.to_string(),
                group.rules[1].id.to_string(),
                state.route_tables().all().next().expect("a table").id.to_string(),
                state.internet_gateways().all().next().expect("a gateway").id.to_string(),
                state.network_acls().all().next().expect("an ACL").id.to_string(),
                state.dhcp_options().all().next().expect("options").id.to_string(),
            ]
        })
    }

    #[test]
    fn every_kind_of_resource_has_tags() {
        let fixture = Fixture::new();
        let resources = everything(&fixture);
        write(&fixture, create_tags, create(resources.clone(), vec![tag("Name", Some("a"))])).expect("tagged");
        let mut kinds: Vec<_> = described(&fixture, "key", "Name").into_iter().map(|(kind, _)| kind).collect();
        kinds.sort();
        let expected = [
            "dhcp-options",
            "internet-gateway",
            "network-acl",
            "route-table",
            "security-group",
            "security-group-rule",
            "subnet",
            "vpc",
        ];
        assert_eq!(kinds, expected);
        assert_eq!(described(&fixture, "tag:Name", "a").len(), 8);
        assert_eq!(described(&fixture, "resource-id", &resources[0]).len(), 1);

        let delete = DeleteTagsInput { dry_run: None, resources, tags: None };
        write(&fixture, delete_tags, delete).expect("untagged");
        assert_eq!(described(&fixture, "key", "*").len(), 0);
    }

    #[test]
    fn a_tag_is_removed_by_key_or_by_key_and_value() {
        let fixture = Fixture::new();
        let vpc = vec![default_vpc(&fixture)];
        let given = vec![tag("a", Some("1")), tag("b", Some("2")), tag("c", Some(""))];
        write(&fixture, create_tags, create(vpc.clone(), given)).expect("tagged");
        let unwanted = vec![tag("a", None), tag("b", Some("")), tag("c", Some(""))];
        let delete = DeleteTagsInput { dry_run: None, resources: vpc, tags: Some(unwanted) };
        write(&fixture, delete_tags, delete).expect("untagged");
        assert_eq!(described(&fixture, "key", "*"), [("vpc".to_owned(), "b".to_owned())]);
    }

    /// Policies with `aws:ResourceTag` go by it.
    #[test]
    fn the_tags_of_every_kind_of_resource_are_found() {
        let fixture = Fixture::new();
        let resources = everything(&fixture);
        write(&fixture, create_tags, create(resources.clone(), vec![tag("Name", Some("a"))])).expect("tagged");
        for id in resources {
            let tags = fixture.read(|state, cx| find(state, &cx.scope, &id));
            assert_eq!(tags.as_ref().and_then(|tags| tags.get("Name")), Some("a"), "{id}");
        }
    }

    #[test]
    fn one_unknown_resource_leaves_all_untagged() {
        let fixture = Fixture::new();
        for (id, expected) in [
            ("sg-1", "InvalidGroup.NotFound: The security group 'sg-1' does not exist"),
            ("rtb-1", "InvalidRouteTableID.NotFound: The routeTable ID 'rtb-1' does not exist"),
            ("moon", "InvalidID: The ID 'moon' is not valid"),
        ] {
            let input = create(vec![default_vpc(&fixture), id.to_owned()], vec![tag("a", None)]);
            assert_eq!(refusal(write(&fixture, create_tags, input)), expected);
        }
        assert_eq!(described(&fixture, "key", "*").len(), 0);
    }
}
