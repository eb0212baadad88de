//! DescribeSecurityGroups.

use super::error::{self, Kind};
use super::filter::{FilterTable, Tagged, text};
use super::list::{Listing, check_exist, choice};
use super::permission::{self, Permission};
use super::view::some;
use super::{security_groups, tags, vpcs};
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::ec2::*;
use longshore_store::Snapshot;
use longshore_types::id::SecurityGroupId;
use longshore_types::{Scope, arn};

type Group = SecurityGroup;

const FILTERS: &FilterTable<Group> = &[
    ("description", |group| text(&group.description)),
    ("egress.ip-permission.cidr", |group| cidrs(&group.ip_permissions_egress)),
    ("egress.ip-permission.from-port", |group| ports(&group.ip_permissions_egress, |p| p.from_port)),
    ("egress.ip-permission.group-id", |group| pairs(&group.ip_permissions_egress, |pair| &pair.group_id)),
    ("egress.ip-permission.group-name", |group| pairs(&group.ip_permissions_egress, |pair| &pair.group_name)),
    ("egress.ip-permission.ipv6-cidr", |group| ipv6_cidrs(&group.ip_permissions_egress)),
    ("egress.ip-permission.prefix-list-id", |group| lists(&group.ip_permissions_egress)),
    ("egress.ip-permission.protocol", |group| protocols(&group.ip_permissions_egress)),
    ("egress.ip-permission.to-port", |group| ports(&group.ip_permissions_egress, |p| p.to_port)),
    ("egress.ip-permission.user-id", |group| pairs(&group.ip_permissions_egress, |pair| &pair.user_id)),
    ("group-id", |group| text(&group.group_id)),
    ("group-name", |group| text(&group.group_name)),
    ("ip-permission.cidr", |group| cidrs(&group.ip_permissions)),
    ("ip-permission.from-port", |group| ports(&group.ip_permissions, |p| p.from_port)),
    ("ip-permission.group-id", |group| pairs(&group.ip_permissions, |pair| &pair.group_id)),
    ("ip-permission.group-name", |group| pairs(&group.ip_permissions, |pair| &pair.group_name)),
    ("ip-permission.ipv6-cidr", |group| ipv6_cidrs(&group.ip_permissions)),
    ("ip-permission.prefix-list-id", |group| lists(&group.ip_permissions)),
    ("ip-permission.protocol", |group| protocols(&group.ip_permissions)),
    ("ip-permission.to-port", |group| ports(&group.ip_permissions, |p| p.to_port)),
    ("ip-permission.user-id", |group| pairs(&group.ip_permissions, |pair| &pair.user_id)),
    ("owner-id", |group| text(&group.owner_id)),
    ("vpc-id", |group| text(&group.vpc_id)),
];

type Permissions = Option<Vec<IpPermission>>;

fn cidrs(permissions: &Permissions) -> Vec<String> {
    permissions.iter().flatten().flat_map(|p| p.ip_ranges.iter().flatten()).filter_map(|r| r.cidr_ip.clone()).collect()
}

fn ipv6_cidrs(permissions: &Permissions) -> Vec<String> {
    let ranges = permissions.iter().flatten().flat_map(|p| p.ipv6_ranges.iter().flatten());
    ranges.filter_map(|range| range.cidr_ipv6.clone()).collect()
}

fn ports(permissions: &Permissions, port: fn(&IpPermission) -> Option<i32>) -> Vec<String> {
    permissions.iter().flatten().filter_map(port).map(|port| port.to_string()).collect()
}

fn pairs(permissions: &Permissions, field: fn(&UserIdGroupPair) -> &Option<String>) -> Vec<String> {
    let pairs = permissions.iter().flatten().flat_map(|p| p.user_id_group_pairs.iter().flatten());
    pairs.filter_map(|pair| field(pair).clone()).collect()
}

fn lists(permissions: &Permissions) -> Vec<String> {
    let lists = permissions.iter().flatten().flat_map(|p| p.prefix_list_ids.iter().flatten());
    lists.filter_map(|list| list.prefix_list_id.clone()).collect()
}

fn protocols(permissions: &Permissions) -> Vec<String> {
    permissions.iter().flatten().filter_map(|p| p.ip_protocol.clone()).collect()
}

impl Tagged for Group {
    fn tags(&self) -> &[Tag] {
        self.tags.as_deref().unwrap_or_default()
    }
}

pub fn describe_security_groups(
    state: &Snapshot,
    cx: &Cx,
    input: DescribeSecurityGroupsInput,
) -> Result<DescribeSecurityGroupsOutput, AwsError> {
    let ids = input.group_ids.as_deref();
    check_exist(Kind::SecurityGroup, ids, |id| {
        state.security_groups().contains(&(cx.scope.clone(), SecurityGroupId::from(id)))
    })?;
    let names = input.group_names.as_deref().filter(|names| !names.is_empty());
    // Names are those of the default VPC; other groups are found by a filter.
    let vpc = names.map(|_| vpcs::default(state, cx)).transpose()?;
    for (name, vpc) in names.unwrap_or_default().iter().zip(std::iter::repeat(&vpc).flatten()) {
        if security_groups::in_vpc(state, cx, vpc, name).is_none() {
            return Err(error::group_name_not_found(name, vpc.id.as_str()));
        }
    }
    let (is_chosen, is_named) = (choice(ids), choice(names));
    let groups = state.security_groups().prefix(&cx.scope).filter(|group| {
        let in_default = vpc.as_ref().is_none_or(|vpc| vpc.id == group.vpc);
        is_chosen(group.id.as_str()) && is_named(&group.name) && in_default
    });
    let listing = Listing {
        filters: input.filters.as_deref(),
        max_results: input.max_results,
        next_token: input.next_token.as_deref(),
    };
    let groups = groups.map(|group| {
        let mut view = view(&cx.scope, &group);
        name_peers(state, &cx.scope, &mut view);
        view
    });
    let (mut security_groups, next_token) = listing.page(groups, |group| &group.group_id, FILTERS)?;
    // Filters know the peers' names; of a VPC's groups only their ids are sent.
    security_groups.iter_mut().flatten().flat_map(peers).for_each(|peer| peer.group_name = None);
    error::finish(input.dry_run, DescribeSecurityGroupsOutput { next_token, security_groups })
}

fn view(scope: &Scope, group: &longshore_types::ec2::SecurityGroup) -> Group {
    let permissions = |egress: bool| {
        let rules = group.rules.iter().filter(move |rule| rule.egress == egress).map(Permission::from);
        Some(permission::view(scope, rules))
    };
    Group {
        group_id: some(&group.id),
        group_name: some(&group.name),
        description: some(&group.description),
        ip_permissions: permissions(false),
        ip_permissions_egress: permissions(true),
        owner_id: some(&scope.account),
        security_group_arn: Some(arn::ec2(scope, "security-group", group.id.as_str())),
        tags: tags::view(&group.tags),
        vpc_id: some(&group.vpc),
    }
}

fn name_peers(state: &Snapshot, scope: &Scope, group: &mut Group) {
    for peer in peers(group) {
        let id = SecurityGroupId::from(peer.group_id.as_deref().unwrap_or_default());
        peer.group_name = state.security_groups().get(&(scope.clone(), id)).map(|group| group.name.clone());
    }
}

/// The groups that a group's permissions name.
fn peers(group: &mut Group) -> impl Iterator<Item = &mut UserIdGroupPair> {
    let permissions = [&mut group.ip_permissions, &mut group.ip_permissions_egress].into_iter().flatten().flatten();
    permissions.flat_map(|permission| permission.user_id_group_pairs.iter_mut().flatten())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ec2::create_security_group::create_security_group;
    use crate::ec2::security_group_rules::{authorize_security_group_egress, authorize_security_group_ingress};
    use crate::ec2::testing::{default_vpc, filter, read, refusal, write};
    use crate::testing::Fixture;

    fn names(fixture: &Fixture, input: DescribeSecurityGroupsInput) -> Vec<String> {
        let output = read(fixture, describe_security_groups, input).expect("a list");
        let mut names: Vec<_> = output.security_groups.into_iter().flatten().filter_map(|g| g.group_name).collect();
        names.sort();
        names
    }

    #[test]
    fn peers_of_one_permission_are_sent_together() {
        let fixture = Fixture::new();
        let input = CreateSecurityGroupInput {
            group_name: "web".to_owned(),
            description: "a".to_owned(),
            ..Default::default()
        };
        let id = write(&fixture, create_security_group, input).expect("a group").group_id;
        let range = |cidr: &str| IpRange { cidr_ip: Some(cidr.to_owned()), description: None };
        let permission = IpPermission {
            ip_protocol: Some("tcp".to_owned()),
            from_port: Some(80),
            to_port: Some(80),
            ip_ranges: Some(vec![range("10.0.0.0/8"), range("192.168.0.0/16")]),
            ipv6_ranges: Some(vec![Ipv6Range { cidr_ipv6: Some("::/0".to_owned()), description: None }]),
            ..Default::default()
        };
        let input = AuthorizeSecurityGroupIngressInput {
            group_id: id.clone(),
            ip_permissions: Some(vec![permission.clone()]),
            ..Default::default()
        };
        write(&fixture, authorize_security_group_ingress, input).expect("rules");
        let input = DescribeSecurityGroupsInput { group_ids: id.map(|id| vec![id]), ..Default::default() };
        let output = read(&fixture, describe_security_groups, input).expect("a list");
        let group = output.security_groups.expect("groups").remove(0);
        let sent = group.ip_permissions.expect("permissions");
        assert_eq!(sent.len(), 1);
        assert_eq!((&sent[0].ip_ranges, &sent[0].ipv6_ranges), (&permission.ip_ranges, &permission.ipv6_ranges));
        let egress = group.ip_permissions_egress.expect("permissions").remove(0);
        assert_eq!((egress.ip_protocol.as_deref(), egress.from_port), (Some("-1"), None));
    }

    #[test]
    fn groups_are_chosen_by_name_and_filter() {
        let fixture = Fixture::new();
        let input = CreateSecurityGroupInput {
            group_name: "web".to_owned(),
            description: "of the web".to_owned(),
            ..Default::default()
        };
        write(&fixture, create_security_group, input).expect("a group");
        assert_eq!(names(&fixture, DescribeSecurityGroupsInput::default()), ["default", "web"]);
        let by_name = DescribeSecurityGroupsInput { group_names: Some(vec!["web".to_owned()]), ..Default::default() };
        assert_eq!(names(&fixture, by_name), ["web"]);
        for (name, value, expected) in [
            ("group-name", "w*", vec!["web"]),
            ("description", "of the *", vec!["web"]),
            ("vpc-id", &default_vpc(&fixture), vec!["default", "web"]),
            ("ip-permission.protocol", "-1", vec!["default"]),
            ("egress.ip-permission.cidr", "0.0.0.0/0", vec!["default", "web"]),
        ] {
            let input = DescribeSecurityGroupsInput { filters: filter(name, value), ..Default::default() };
            assert_eq!(names(&fixture, input), expected, "{name}");
        }
    }

    #[test]
    fn groups_are_found_by_the_names_of_their_peers_which_are_not_sent() {
        let fixture = Fixture::new();
        let create = |name: &str| {
            let (group_name, description) = (name.to_owned(), "a".to_owned());
            let input = CreateSecurityGroupInput { group_name, description, ..Default::default() };
            write(&fixture, create_security_group, input).expect("a group").group_id.expect("an id")
        };
        let (web, db) = (create("web"), create("db"));
        let peer = UserIdGroupPair { group_id: Some(web), ..Default::default() };
        let permission = IpPermission {
            ip_protocol: Some("-1".to_owned()),
            user_id_group_pairs: Some(vec![peer]),
            ..Default::default()
        };
        let ip_permissions = Some(vec![permission]);
        let ingress = AuthorizeSecurityGroupIngressInput {
            group_id: Some(db.clone()),
            ip_permissions: ip_permissions.clone(),
            ..Default::default()
        };
        write(&fixture, authorize_security_group_ingress, ingress).expect("a rule");
        let by_peer = |name: &str| DescribeSecurityGroupsInput { filters: filter(name, "web"), ..Default::default() };
        assert_eq!(names(&fixture, by_peer("ip-permission.group-name")), ["db"]);
        assert!(names(&fixture, by_peer("egress.ip-permission.group-name")).is_empty());
        let egress = AuthorizeSecurityGroupEgressInput { group_id: db, ip_permissions, ..Default::default() };
        write(&fixture, authorize_security_group_egress, egress).expect("a rule");
        assert_eq!(names(&fixture, by_peer("egress.ip-permission.group-name")), ["db"]);

        let output = read(&fixture, describe_security_groups, by_peer("ip-permission.group-name")).expect("a list");
        let mut group = output.security_groups.expect("groups").remove(0);
        assert!(peers(&mut group).all(|peer| peer.group_id.is_some() && peer.group_name.is_none()));
    }

    #[test]
    fn unknown_groups_are_told() {
        let fixture = Fixture::new();
        let vpc = default_vpc(&fixture);
        let by_id =
            |id: &str| DescribeSecurityGroupsInput { group_ids: Some(vec![id.to_owned()]), ..Default::default() };
        let by_name = DescribeSecurityGroupsInput { group_names: Some(vec!["none".to_owned()]), ..Default::default() };
        for (input, expected) in [
            (by_id("sg-1"), "InvalidGroup.NotFound: The security group 'sg-1' does not exist".to_owned()),
            (by_id("web"), "InvalidGroupId.Malformed: Invalid id: \"web\" (expecting \"sg-...\")".to_owned()),
            (
                by_name,
                format!("InvalidGroup.NotFound: The security group 'none' does not exist in default VPC '{vpc}'"),
            ),
        ] {
            assert_eq!(refusal(read(&fixture, describe_security_groups, input)), expected);
        }
    }
}
