//! What a node is asked to run and what it reports.

use crate::Timestamp;
use crate::ec2::Cidr;
use crate::ecs::*;
use crate::id::*;
use crate::launch::ContainerSecrets;
use serde::{Deserialize, Serialize};
use std::net::Ipv4Addr;

/// One VPC as the node's data plane needs it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VpcIntent {
    pub id: VpcId,
    /// The first one gives the resolver's address.
    pub cidrs: Vec<Cidr>,
    pub subnets: Vec<SubnetIntent>,
    pub route_tables: Vec<RouteTableIntent>,
    /// Those that deny something.
    pub network_acls: Vec<NetworkAclIntent>,
    pub security_groups: Vec<SecurityGroupIntent>,
    /// Addresses of load balancers, in the VPC's own namespace.
    pub local_addresses: Vec<(Ipv4Addr, Vec<SecurityGroupId>)>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SubnetIntent {
    pub id: SubnetId,
    pub cidr: Cidr,
    pub route_table: Option<RouteTableId>,
    /// None where everything may pass.
    pub network_acl: Option<NetworkAclId>,
}

/// Gateways looked up, prefix lists written out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RouteTableIntent {
    pub id: RouteTableId,
    pub routes: Vec<RouteIntent>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RouteIntent {
    pub to: Cidr,
    pub via: RouteVia,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RouteVia {
    Internet,
    /// A NAT gateway by its public address and its own subnet.
    Nat {
        address: Ipv4Addr,
        subnet: SubnetId,
    },
    Nowhere,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NetworkAclIntent {
    pub id: NetworkAclId,
    pub entries: Vec<crate::ec2::NetworkAclEntry>,
}

/// What a task's `resolv.conf` says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResolverIntent {
    pub name_servers: Vec<Ipv4Addr>,
    pub search: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SecurityGroupIntent {
    pub id: SecurityGroupId,
    pub rules: Vec<crate::ec2::SecurityGroupRule>,
}

/// One task, whole: the node needs nothing else to run it and to answer its metadata endpoint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskIntent {
    pub id: TaskId,
    pub arn: String,
    pub scope: crate::Scope,
    pub cluster: ClusterName,
    pub cluster_arn: String,
    pub family: Family,
    pub revision: u32,
    pub service: Option<ServiceName>,
    pub group: String,
    pub launch_type: String,
    pub zone: ZoneName,
    pub zone_id: String,
    pub run: RunIntent,
    /// One of its containers has run: a node that has no trace of it has lost it, and does not start it again.
    pub was_running: bool,
    pub cpu_units: u32,
    pub memory_mib: u32,
    /// Definitions with the overrides applied.
    pub containers: Vec<ContainerIntent>,
    pub volumes: Vec<String>,
    #[serde(default)]
    pub shared_pids: bool,
    /// GiB for the containers' own layers and the volumes together; `None` for the default size.
    #[serde(default)]
    pub ephemeral_gib: Option<u32>,
    pub network: EniIntent,
    pub credentials: Option<CredentialsIntent>,
    pub created_at: Timestamp,
    pub tags: crate::Tags,
}

/// What should become of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunIntent {
    Run,
    /// Send the stop signal now.
    Stop {
        reason: String,
    },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ContainerIntent {
    pub id: String,
    pub arn: String,
    pub definition: ContainerDefinition,
    /// The digest that the deployment is pinned to.
    pub image_digest: Option<String>,
    /// Empty on its way to the node, which asks for them when it starts the task, and writes them nowhere but into what
    /// the supervisor reads.
    #[serde(skip)]
    pub secrets: ContainerSecrets,
    /// The task's subnet has no way to the internet, so that only Longshore's own registry can be reached.
    #[serde(default)]
    pub own_registry_only: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EniIntent {
    pub id: EniId,
    pub vpc: VpcId,
    pub subnet: SubnetId,
    pub subnet_cidr: Cidr,
    pub resolver: ResolverIntent,
    pub address: Ipv4Addr,
    pub mac: String,
    pub private_dns_name: String,
    pub security_groups: Vec<SecurityGroupId>,
    pub public_address: Option<Ipv4Addr>,
}

/// Credentials of the task role, served at 169.254.170.2.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct CredentialsIntent {
    /// The unguessable part of the path.
    pub id: String,
    pub role_arn: String,
    pub access_key_id: String,
    pub secret_access_key: String,
    pub session_token: String,
    pub expires_at: Timestamp,
}

/// The secret and the token stay out of logs.
impl std::fmt::Debug for CredentialsIntent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CredentialsIntent").field("role_arn", &self.role_arn).finish_non_exhaustive()
    }
}

/// What a node sees of one task. Sent whole at each change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskObservation {
    pub scope: crate::Scope,
    pub id: TaskId,
    pub phase: TaskPhase,
    pub containers: Vec<ContainerObservation>,
    pub pull_started_at: Option<Timestamp>,
    pub pull_stopped_at: Option<Timestamp>,
    pub connectivity_at: Option<Timestamp>,
    pub started_at: Option<Timestamp>,
    pub execution_stopped_at: Option<Timestamp>,
    /// Why it ended, or could not start.
    pub stop: Option<(StopCode, String)>,
}

/// A node's view of a task's life. Only grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskPhase {
    /// Accepted.
    Pending,
    /// Images, network, start order.
    Activating,
    Running,
    /// The stop signal is out, or an essential container has ended.
    Stopping,
    /// Nothing of it is left on the node.
    Stopped,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ContainerObservation {
    pub name: String,
    pub status: ContainerStatus,
    pub runtime_id: Option<String>,
    pub image_digest: Option<String>,
    pub exit_code: Option<i32>,
    pub reason: Option<String>,
    pub health: HealthStatus,
}
