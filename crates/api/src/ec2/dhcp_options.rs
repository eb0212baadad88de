//! DHCP options: CreateDhcpOptions, DeleteDhcpOptions, AssociateDhcpOptions, DescribeDhcpOptions.
//!
//! What takes effect is what a container has a file for: its domains and name servers are those of `resolv.conf`.

use super::error::{self, Kind};
use super::filter::{FilterTable, Tagged, text};
use super::list::{Listing, check_exist, choice};
use super::view::{self, some};
use super::{tags, vpcs};
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::ec2::*;
use longshore_store::{Snapshot, Tx};
use longshore_types::ec2::{self as stored, NameServer};
use longshore_types::id::DhcpOptionsId;
use longshore_types::{Region, Tags};
use std::sync::Arc;

const AMAZON: &str = "AmazonProvidedDNS";

fn find(state: &Snapshot, cx: &Cx, id: &str) -> Result<Arc<stored::DhcpOptions>, AwsError> {
    let key = (cx.scope.clone(), DhcpOptionsId::from(id));
    state.dhcp_options().get(&key).ok_or_else(|| Kind::DhcpOptions.not_found(&[id]))
}

/// The options that every VPC of a region begins with; made when there are none.
pub fn default_of_region(tx: &mut Tx, cx: &Cx) -> DhcpOptionsId {
    let is_default = |row: &Arc<stored::DhcpOptions>| {
        let default = amazon_provided(row.id.clone(), &cx.scope.region);
        (&default.domain_names, &default.name_servers) == (&row.domain_names, &row.name_servers)
            && row.ntp_servers.is_empty()
    };
    let state: &Snapshot = tx;
    if let Some(row) = state.dhcp_options().prefix(&cx.scope).find(is_default) {
        return row.id.clone();
    }
    let row = amazon_provided(DhcpOptionsId(cx.ids().ec2("dopt")), &cx.scope.region);
    let id = row.id.clone();
    tx.dhcp_options().put((cx.scope.clone(), id.clone()), row);
    id
}

/// The VPC's own resolver, and the domain of EC2's names.
pub fn amazon_provided(id: DhcpOptionsId, region: &Region) -> stored::DhcpOptions {
    let domain = match region.as_str() {
        "us-east-1" => "ec2.internal".to_owned(),
        region => format!("{region}.compute.internal"),
    };
    stored::DhcpOptions {
        id,
        domain_names: vec![domain],
        name_servers: vec![NameServer::Amazon],
        ntp_servers: Vec::new(),
        tags: Tags::default(),
    }
}

pub fn create_dhcp_options(
    tx: &mut Tx,
    cx: &Cx,
    input: CreateDhcpOptionsInput,
) -> Result<CreateDhcpOptionsOutput, AwsError> {
    let tags = tags::from_specifications(input.tag_specifications.as_deref(), "dhcp-options")?;
    let mut row = stored::DhcpOptions {
        id: DhcpOptionsId(cx.ids().ec2("dopt")),
        domain_names: Vec::new(),
        name_servers: Vec::new(),
        ntp_servers: Vec::new(),
        tags,
    };
    for configuration in input.dhcp_configurations {
        let key = configuration.key.unwrap_or_default();
        let values = configuration.values.unwrap_or_default();
        let invalid = |value: &str| error::invalid_value(value, &key, "Invalid DHCP option value.");
        if values.is_empty() || values.iter().any(|value| value.is_empty() || value.contains(['\n', '\r', '\0'])) {
            return Err(invalid(&values.join(", ")));
        }
        match key.as_str() {
            // Several domains are one value with spaces.
            "domain-name" => {
                let names = values.iter().flat_map(|value| value.split_whitespace());
                row.domain_names = names.map(str::to_owned).collect();
            }
            "domain-name-servers" => {
                let server = |value: &String| match value.as_str() {
                    AMAZON => Ok(NameServer::Amazon),
                    text => text.parse().map(NameServer::At).map_err(|_| invalid(text)),
                };
                // One value may hold several, with commas between them.
                let values: Vec<String> =
                    values.iter().flat_map(|value| value.split(',')).map(|value| value.trim().to_owned()).collect();
                row.name_servers = values.iter().map(server).collect::<Result<_, _>>()?;
            }
            "ntp-servers" => row.ntp_servers = values,
            "netbios-name-servers" | "netbios-node-type" | "ipv6-address-preferred-lease-time" => {
                return Err(error::unsupported(&key));
            }
            other => return Err(error::invalid_value(other, "dhcpConfiguration", "Unknown DHCP option.")),
        }
    }
    tx.dhcp_options().put((cx.scope.clone(), row.id.clone()), row.clone());
    let dhcp_options = Some(view::dhcp_options(&cx.scope, &row));
    error::finish(input.dry_run, CreateDhcpOptionsOutput { dhcp_options })
}

pub fn delete_dhcp_options(
    tx: &mut Tx,
    cx: &Cx,
    input: DeleteDhcpOptionsInput,
) -> Result<DeleteDhcpOptionsOutput, AwsError> {
    let row = find(tx, cx, &input.dhcp_options_id)?;
    if tx.vpcs().prefix(&cx.scope).any(|vpc| vpc.dhcp_options_id.as_ref() == Some(&row.id)) {
        return Err(error::has_dependencies("dhcpOptions", row.id.as_str()));
    }
    tx.dhcp_options().remove(&(cx.scope.clone(), row.id.clone()));
    error::finish(input.dry_run, DeleteDhcpOptionsOutput {})
}

/// The word `default` takes a VPC's options away: its tasks then have no domain and no name server.
pub fn associate_dhcp_options(
    tx: &mut Tx,
    cx: &Cx,
    input: AssociateDhcpOptionsInput,
) -> Result<AssociateDhcpOptionsOutput, AwsError> {
    let vpc = vpcs::find(tx, cx, &input.vpc_id)?;
    let id = match input.dhcp_options_id.as_str() {
        "default" => None,
        id => Some(find(tx, cx, id)?.id.clone()),
    };
    tx.vpcs().update(&(cx.scope.clone(), vpc.id.clone()), |vpc| vpc.dhcp_options_id = id);
    error::finish(input.dry_run, AssociateDhcpOptionsOutput {})
}

const FILTERS: &FilterTable<DhcpOptions> = &[
    ("dhcp-options-id", |options| text(&options.dhcp_options_id)),
    ("key", |options| options.dhcp_configurations.iter().flatten().filter_map(|one| one.key.clone()).collect()),
    ("value", |options| {
        let values = options.dhcp_configurations.iter().flatten().flat_map(|one| one.values.iter().flatten());
        values.filter_map(|value| value.value.clone()).collect()
    }),
    ("owner-id", |options| text(&options.owner_id)),
];

impl Tagged for DhcpOptions {
    fn tags(&self) -> &[Tag] {
        self.tags.as_deref().unwrap_or_default()
    }
}

pub fn describe_dhcp_options(
    state: &Snapshot,
    cx: &Cx,
    input: DescribeDhcpOptionsInput,
) -> Result<DescribeDhcpOptionsOutput, AwsError> {
    let ids = input.dhcp_options_ids.as_deref();
    check_exist(Kind::DhcpOptions, ids, |id| find(state, cx, id).is_ok())?;
    let is_chosen = choice(ids);
    let rows = state.dhcp_options().prefix(&cx.scope).filter(|row| is_chosen(row.id.as_str()));
    let listing = Listing {
        filters: input.filters.as_deref(),
        max_results: input.max_results,
        next_token: input.next_token.as_deref(),
    };
    let rows = rows.map(|row| view::dhcp_options(&cx.scope, &row));
    let (dhcp_options, next_token) = listing.page(rows, |options| &options.dhcp_options_id, FILTERS)?;
    error::finish(input.dry_run, DescribeDhcpOptionsOutput { next_token, dhcp_options })
}

/// A configuration as it is sent.
pub fn configurations(row: &stored::DhcpOptions) -> Vec<DhcpConfiguration> {
    let servers = row.name_servers.iter().map(|server| match server {
        NameServer::Amazon => AMAZON.to_owned(),
        NameServer::At(address) => address.to_string(),
    });
    let domain = (!row.domain_names.is_empty()).then(|| row.domain_names.join(" "));
    [
        ("domain-name", domain.into_iter().collect::<Vec<_>>()),
        ("domain-name-servers", servers.collect()),
        ("ntp-servers", row.ntp_servers.clone()),
    ]
    .into_iter()
    .filter(|(_, values)| !values.is_empty())
    .map(|(key, values)| DhcpConfiguration {
        key: some(key),
        values: Some(values.into_iter().map(|value| AttributeValue { value: Some(value) }).collect()),
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ec2::testing::{default_vpc, filter, read, refusal, write};
    use crate::testing::Fixture;

    fn create(pairs: &[(&str, &[&str])]) -> CreateDhcpOptionsInput {
        let pair = |(key, values): &(&str, &[&str])| NewDhcpConfiguration {
            key: some(key),
            values: Some(values.iter().map(ToString::to_string).collect()),
        };
        CreateDhcpOptionsInput { dhcp_configurations: pairs.iter().map(pair).collect(), ..Default::default() }
    }

    #[test]
    fn options_are_made_associated_and_deleted() {
        let fixture = Fixture::new();
        let vpc_id = default_vpc(&fixture);
        let pairs: &[(&str, &[&str])] =
            &[("domain-name", &["corp.example"]), ("domain-name-servers", &["10.2.5.1", "AmazonProvidedDNS"])];
        let made = write(&fixture, create_dhcp_options, create(pairs)).expect("options").dhcp_options;
        let id = made.and_then(|made| made.dhcp_options_id).expect("an id");
        let input = DescribeDhcpOptionsInput { filters: filter("value", "corp.example"), ..Default::default() };
        let shown = read(&fixture, describe_dhcp_options, input).expect("a list").dhcp_options.expect("a list");
        assert_eq!(shown[0].dhcp_configurations.as_ref().map(Vec::len), Some(2));
        let associate = |id: &str| AssociateDhcpOptionsInput {
            dhcp_options_id: id.to_owned(),
            vpc_id: vpc_id.clone(),
            dry_run: None,
        };
        write(&fixture, associate_dhcp_options, associate(&id)).expect("associated");
        let delete = DeleteDhcpOptionsInput { dhcp_options_id: id.clone(), dry_run: None };
        assert_eq!(
            refusal(write(&fixture, delete_dhcp_options, delete.clone())),
            format!("DependencyViolation: The dhcpOptions '{id}' has dependencies and cannot be deleted.")
        );
        write(&fixture, associate_dhcp_options, associate("default")).expect("associated");
        write(&fixture, delete_dhcp_options, delete).expect("nothing has it");
    }

    #[test]
    fn what_has_no_effect_is_refused() {
        let fixture = Fixture::new();
        let cases: [(&[(&str, &[&str])], &str); 3] = [
            (
                &[("netbios-node-type", &["2"])],
                "UnsupportedOperation: The parameter netbios-node-type is not supported by Longshore.",
            ),
            (
                &[("colour", &["red"])],
                "InvalidParameterValue: Value (colour) for parameter dhcpConfiguration is invalid. Unknown DHCP option.",
            ),
            (
                &[("domain-name-servers", &["moon"])],
                "InvalidParameterValue: Value (moon) for parameter domain-name-servers is invalid. Invalid DHCP option value.",
            ),
        ];
        for (pairs, expected) in cases {
            assert_eq!(refusal(write(&fixture, create_dhcp_options, create(pairs))), expected);
        }
    }
}
