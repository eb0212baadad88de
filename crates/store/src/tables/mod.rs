//! Longshore's tables, one file per resource, listed here once.
//!
//! A new table is a file with its declaration and a line in the list below:
//! ```
//! use longshore_store::table;
//!
//! #[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
//! pub struct Task { cluster: String, interfaces: Vec<String> }
//!
//! table! {
//!     /// Tasks by account and id.
//!     pub Tasks: "tasks", (String, String) => Task {
//!         /// Tasks of a cluster.
//!         BY_CLUSTER: "cluster", (String, String) = |(account, _), task| vec![(account.clone(), task.cluster.clone())],
//!         BY_INTERFACE: "interface", String = |_, task| task.interfaces.clone(),
//!     }
//! }
//! ```

mod acm;
mod ec2;
mod ecr;
mod ecs;
mod elbv2;
mod iam;
mod keys;
mod logs;
mod secretsmanager;
mod ssm;

pub use acm::Certificates;
pub use ec2::{
    DhcpOptionsSets, ElasticAddresses, InternetGateways, NatGateways, NetworkAcls, NetworkInterfaces, PrefixLists,
    RouteTables, SecurityGroups, SetUpScopes, Subnets, Vpcs,
};
pub use ecr::{CreationTemplates, Images, PullThroughRules, Repositories};
pub use ecs::{
    AccountSettings, Clusters, DeletedRevisions, ServiceDeployments, ServiceRevisions, Services, TaskDefinitions, Tasks,
};
pub use elbv2::{Listeners, LoadBalancers, Rules, TargetGroups, Targets};
pub use iam::{AccessKeys, AccountAliases, Groups, InstanceProfiles, Policies, RoleSessions, Roles, Users};
pub use logs::{LogGroups, LogStreams};
pub use secretsmanager::{SecretVersions, Secrets};
pub use ssm::{ParameterVersions, Parameters};

use crate::{Schema, Snapshot, TableMut, TableView, Tx};

/// Declares a table: its marker type, its name on disk, its key and row types, and its indexes.
#[macro_export]
macro_rules! table {
    (
        $(#[$doc:meta])*
        $vis:vis $table:ident : $name:literal, $key:ty => $row:ty {
            $($(#[$index_doc:meta])* $index:ident : $index_name:literal, $index_key:ty = $keys:expr),* $(,)?
        }
    ) => {
        $(#[$doc])*
        $vis enum $table {}

        impl $table {
            $(
                $(#[$index_doc])*
                $vis const $index: $crate::Index<$table, $index_key> = {
                    // Named first, so that a closure knows its parameters' types.
                    let keys: fn(&$key, &$row) -> Vec<$index_key> = $keys;
                    $crate::Index::new($index_name, keys)
                };
            )*
        }

        impl $crate::Table for $table {
            const NAME: &'static str = $name;
            type Key = $key;
            type Row = $row;

            fn indexes() -> Vec<$crate::IndexDef<Self>> {
                vec![$(Self::$index.def()),*]
            }
        }
    };
}

/// Makes `schema()`, and for each table a method of that name on [`Snapshot`] and [`Tx`].
macro_rules! tables {
    ($($accessor:ident : $table:ty),* $(,)?) => {
        /// All of Longshore's tables, empty.
        pub fn schema() -> Schema {
            Schema::new()$(.with::<$table>())*
        }

        impl Snapshot {
            $(
                pub fn $accessor(&self) -> &TableView<$table> {
                    self.table()
                }
            )*
        }

        impl Tx {
            $(
                pub fn $accessor(&mut self) -> TableMut<'_, $table> {
                    self.table_mut()
                }
            )*

            /// Removes every row of every table.
            pub fn clear(&mut self) {
                $(
                    let keys: Vec<_> = self.snapshot().$accessor().all().keys().collect();
                    for key in keys {
                        self.$accessor().remove(&key);
                    }
                )*
            }
        }
    };
}

tables! {
    clusters: Clusters,
    task_definitions: TaskDefinitions,
    deleted_revisions: DeletedRevisions,
    tasks: Tasks,
    services: Services,
    service_deployments: ServiceDeployments,
    service_revisions: ServiceRevisions,
    account_settings: AccountSettings,
    set_up_scopes: SetUpScopes,
    vpcs: Vpcs,
    subnets: Subnets,
    security_groups: SecurityGroups,
    network_interfaces: NetworkInterfaces,
    route_tables: RouteTables,
    internet_gateways: InternetGateways,
    nat_gateways: NatGateways,
    elastic_addresses: ElasticAddresses,
    network_acls: NetworkAcls,
    prefix_lists: PrefixLists,
    dhcp_options: DhcpOptionsSets,
    load_balancers: LoadBalancers,
    target_groups: TargetGroups,
    targets: Targets,
    listeners: Listeners,
    rules: Rules,
    roles: Roles,
    role_sessions: RoleSessions,
    users: Users,
    groups: Groups,
    policies: Policies,
    instance_profiles: InstanceProfiles,
    account_aliases: AccountAliases,
    access_keys: AccessKeys,
    repositories: Repositories,
    images: Images,
    pull_through_rules: PullThroughRules,
    creation_templates: CreationTemplates,
    log_groups: LogGroups,
    log_streams: LogStreams,
    parameters: Parameters,
    parameter_versions: ParameterVersions,
    certificates: Certificates,
    secrets: Secrets,
    secret_versions: SecretVersions,
}
