//! Clusters, task definitions, tasks, services and deployments.

use crate::id::*;
use crate::{Tags, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

mod service;
pub use service::*;

macro_rules! states {
    ($($(#[$doc:meta])* $name:ident { $($variant:ident = $text:literal),* $(,)? })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum $name { $(#[serde(rename = $text)] $variant),* }
        impl $name {
            /// The word that the AWS API uses.
            pub fn as_str(self) -> &'static str { match self { $(Self::$variant => $text),* } }
            pub fn parse(text: &str) -> Option<Self> { match text { $($text => Some(Self::$variant),)* _ => None } }
        }
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.write_str(self.as_str()) }
        }
    )*};
}

states! {
    ClusterStatus { Active = "ACTIVE", Inactive = "INACTIVE" }
    TaskDefinitionStatus { Active = "ACTIVE", Inactive = "INACTIVE", DeleteInProgress = "DELETE_IN_PROGRESS" }
    /// In the order that a task passes through them.
    TaskStatus {
        Provisioning = "PROVISIONING", Pending = "PENDING", Activating = "ACTIVATING", Running = "RUNNING",
        Deactivating = "DEACTIVATING", Stopping = "STOPPING", Deprovisioning = "DEPROVISIONING", Stopped = "STOPPED",
    }
    DesiredStatus { Running = "RUNNING", Stopped = "STOPPED" }
    ContainerStatus { Pending = "PENDING", Running = "RUNNING", Stopped = "STOPPED" }
    HealthStatus { Healthy = "HEALTHY", Unhealthy = "UNHEALTHY", Unknown = "UNKNOWN" }
    StopCode {
        TaskFailedToStart = "TaskFailedToStart", EssentialContainerExited = "EssentialContainerExited",
        UserInitiated = "UserInitiated", ServiceSchedulerInitiated = "ServiceSchedulerInitiated",
        SpotInterruption = "SpotInterruption", TerminationNotice = "TerminationNotice",
    }
    ServiceStatus { Active = "ACTIVE", Draining = "DRAINING", Inactive = "INACTIVE" }
    DeploymentStatus { Primary = "PRIMARY", Active = "ACTIVE", Inactive = "INACTIVE" }
    RolloutState { InProgress = "IN_PROGRESS", Completed = "COMPLETED", Failed = "FAILED" }
    /// Of a service deployment: one release of a service, with its rollback if there was one.
    ServiceDeploymentStatus {
        Pending = "PENDING", InProgress = "IN_PROGRESS", Successful = "SUCCESSFUL", Stopped = "STOPPED",
        StopRequested = "STOP_REQUESTED", RollbackRequested = "ROLLBACK_REQUESTED",
        RollbackInProgress = "ROLLBACK_IN_PROGRESS", RollbackSuccessful = "ROLLBACK_SUCCESSFUL",
        RollbackFailed = "ROLLBACK_FAILED",
    }
    ThresholdKind {
        Count = "COUNT", BoundedPercent = "BOUNDED_PERCENT", UnboundedPercent = "UNBOUNDED_PERCENT",
    }
    /// What Fargate offers.
    CapacityProvider { Fargate = "FARGATE", FargateSpot = "FARGATE_SPOT" }
    PropagateTags { TaskDefinition = "TASK_DEFINITION", Service = "SERVICE", None = "NONE" }
    DependencyCondition { Start = "START", Complete = "COMPLETE", Success = "SUCCESS", Healthy = "HEALTHY" }
}

/// Key: scope and name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cluster {
    pub name: ClusterName,
    pub status: ClusterStatus,
    pub settings: BTreeMap<String, String>,
    pub capacity_providers: Vec<CapacityProvider>,
    /// Taken when neither a launch type nor a strategy is given.
    #[serde(default)]
    pub default_strategy: Vec<StrategyItem>,
    #[serde(default)]
    pub session_logging: Option<SessionLogging>,
    pub created_at: Timestamp,
    #[serde(default)]
    pub inactive_since: Option<Timestamp>,
    pub tags: Tags,
}

/// How sessions of ExecuteCommand are to be logged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionLogging {
    /// `NONE`, `DEFAULT` or `OVERRIDE`, which alone has what follows.
    pub logging: String,
    pub log_group: Option<String>,
    pub bucket: Option<String>,
    pub key_prefix: Option<String>,
}

/// One item of a capacity provider strategy: `base` tasks first, then shares by `weight`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StrategyItem {
    pub provider: CapacityProvider,
    pub weight: u32,
    pub base: u32,
}

/// The highest revision of a family that has been deleted. Key: scope and family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeletedRevision {
    pub latest: u32,
}

/// Key: scope, family and revision.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskDefinition {
    pub family: Family,
    pub revision: u32,
    pub status: TaskDefinitionStatus,
    pub task_role_arn: Option<String>,
    pub execution_role_arn: Option<String>,
    /// `awsvpc`; others are refused until instances exist.
    pub network_mode: String,
    pub requires_compatibilities: Vec<String>,
    /// CPU units: 1024 is one virtual CPU.
    pub cpu_units: u32,
    pub memory_mib: u32,
    pub containers: Vec<ContainerDefinition>,
    /// Names of volumes that live as long as the task, shared among its containers.
    pub volumes: Vec<String>,
    /// Containers see each other's processes (`pidMode` `task`).
    #[serde(default)]
    pub shared_pids: bool,
    /// GiB of `ephemeralStorage`, when it was given.
    #[serde(default)]
    pub ephemeral_gib: Option<u32>,
    pub cpu_architecture: Option<String>,
    pub operating_system_family: Option<String>,
    pub registered_at: Timestamp,
    pub registered_by: String,
    pub deregistered_at: Option<Timestamp>,
    pub delete_requested_at: Option<Timestamp>,
    pub tags: Tags,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ContainerDefinition {
    pub name: String,
    pub image: String,
    pub essential: bool,
    /// A weight among the task's containers, not a ceiling.
    pub cpu_units: u32,
    pub memory_mib: Option<u32>,
    pub memory_reservation_mib: Option<u32>,
    pub ports: Vec<PortMapping>,
    pub entry_point: Option<Vec<String>>,
    pub command: Option<Vec<String>>,
    pub environment: Vec<(String, String)>,
    /// ARNs of objects of S3 with more variables, read when the task starts.
    pub environment_files: Vec<String>,
    /// Variables whose values are read when the task starts.
    pub secrets: Vec<SecretReference>,
    /// Name or ARN of the secret with the user and the password of the image's registry.
    pub repository_credentials: Option<String>,
    pub working_directory: Option<String>,
    pub user: Option<String>,
    pub readonly_root: bool,
    pub depends_on: Vec<(String, DependencyCondition)>,
    pub start_timeout_seconds: Option<u32>,
    pub stop_timeout_seconds: Option<u32>,
    pub health_check: Option<HealthCheck>,
    pub log: Option<AwsLogs>,
    pub ulimits: Vec<Ulimit>,
    pub docker_labels: BTreeMap<String, String>,
    pub capabilities_drop: Vec<String>,
    pub capabilities_add: Vec<String>,
    pub init_process: bool,
    /// Path, size in MiB, options.
    pub tmpfs: Vec<(String, u32, Vec<String>)>,
    pub sysctls: Vec<(String, String)>,
    pub mounts: Vec<MountPoint>,
    pub volumes_from: Vec<VolumeFrom>,
    pub restart_policy: Option<RestartPolicy>,
    /// `enabled` or `disabled`, when it was given: whether a deployment pins the image's tag to a digest.
    pub version_consistency: Option<String>,
    pub pseudo_terminal: bool,
    /// Standard input stays open.
    pub interactive: bool,
}

impl ContainerDefinition {
    /// Its tag is resolved once for all tasks of a deployment.
    pub fn is_pinned_by_deployment(&self) -> bool {
        self.version_consistency.as_deref() != Some("disabled") && !self.image.contains('@')
    }

    /// Whether there are values to read before it can start.
    pub fn needs_secrets(&self) -> bool {
        !self.secrets.is_empty() || !self.environment_files.is_empty() || self.repository_credentials.is_some()
    }
}

/// A variable and where its value is: a parameter's name or ARN, or a secret's ARN.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretReference {
    pub name: String,
    pub value_from: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PortMapping {
    /// The first of a range.
    pub container_port: u16,
    /// The last port of a `containerPortRange`.
    #[serde(default)]
    pub last_port: Option<u16>,
    /// `tcp` or `udp`.
    pub protocol: String,
    pub name: Option<String>,
    pub app_protocol: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HealthCheck {
    /// Starts with `CMD` or `CMD-SHELL`.
    pub command: Vec<String>,
    pub interval_seconds: u32,
    pub timeout_seconds: u32,
    pub retries: u32,
    pub start_period_seconds: u32,
}

/// The `awslogs` driver.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AwsLogs {
    pub group: String,
    pub region: Region,
    pub stream_prefix: String,
    pub create_group: bool,
    pub blocking: bool,
    pub max_buffer_bytes: u64,
    /// A regular expression: lines that do not match it belong to the event of the line before.
    #[serde(default)]
    pub multiline: Option<String>,
    /// The options as given, for describing the task definition.
    pub options: BTreeMap<String, String>,
}

impl AwsLogs {
    /// Where the group is, of a task in this scope.
    pub fn scope(&self, of_task: &Scope) -> Scope {
        Scope { account: of_task.account.clone(), region: self.region.clone() }
    }

    /// The log stream of a task's container.
    pub fn stream(&self, container: &str, task: &TaskId) -> String {
        format!("{}/{container}/{task}", self.stream_prefix)
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ulimit {
    pub name: String,
    pub soft: u64,
    pub hard: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MountPoint {
    pub volume: String,
    pub path: String,
    pub read_only: bool,
}

/// The mounts of another container of the task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VolumeFrom {
    pub container: String,
    pub read_only: bool,
}

/// Restart in place, at most once a period.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RestartPolicy {
    pub enabled: bool,
    pub ignored_exit_codes: Vec<i32>,
    pub attempt_period_seconds: u32,
}

/// What RunTask changes of a task definition.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TaskOverride {
    pub containers: Vec<ContainerOverride>,
    pub cpu_units: Option<u32>,
    pub memory_mib: Option<u32>,
    pub task_role_arn: Option<String>,
    pub execution_role_arn: Option<String>,
    pub ephemeral_gib: Option<u32>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ContainerOverride {
    pub name: String,
    pub command: Option<Vec<String>>,
    pub environment: Vec<(String, String)>,
    /// Instead of the definition's.
    pub environment_files: Option<Vec<String>>,
    pub cpu_units: Option<u32>,
    pub memory_mib: Option<u32>,
    pub memory_reservation_mib: Option<u32>,
}

/// `awsvpcConfiguration`, with everything found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AwsVpcConfiguration {
    pub subnets: Vec<SubnetId>,
    pub security_groups: Vec<SecurityGroupId>,
    pub assign_public_ip: bool,
}

/// Key: scope and id. Rows of stopped tasks stay for one hour.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Task {
    pub id: TaskId,
    pub cluster: ClusterName,
    pub family: Family,
    pub revision: u32,
    /// `service:web` or `family:web`, or what RunTask said.
    pub group: String,
    pub started_by: Option<String>,
    pub service: Option<ServiceName>,
    pub deployment: Option<DeploymentId>,
    pub launch_type: String,
    pub capacity_provider: Option<CapacityProvider>,
    pub desired_status: DesiredStatus,
    pub last_status: TaskStatus,
    pub health: HealthStatus,
    pub containers: Vec<TaskContainer>,
    pub cpu_units: u32,
    pub memory_mib: u32,
    #[serde(default = "Task::ephemeral_gib_default")]
    pub ephemeral_gib: u32,
    pub overrides: TaskOverride,
    pub network: TaskNetwork,
    pub zone: ZoneName,
    pub node: NodeId,
    pub times: TaskTimes,
    pub stop_code: Option<StopCode>,
    pub stopped_reason: Option<String>,
    /// One up with every change that a client can see.
    pub version: u64,
    pub tags: Tags,
    /// Access key of the task role's credentials in use.
    pub access_key_id: Option<String>,
    /// RunTask's idempotency token, and a digest of the request that came with it.
    pub client_token: Option<(String, u64)>,
    /// Tasks that the call with the token could not start besides this one.
    #[serde(default)]
    pub failed_beside: u32,
    /// Scale-in and deployments leave it alone until then.
    #[serde(default)]
    pub protected_until: Option<Timestamp>,
    /// It has counted as healthy: what ends it now is no failure of its deployment's start.
    #[serde(default)]
    pub was_healthy: bool,
    /// Commands may be run in it; there is no agent yet that would.
    #[serde(default)]
    pub enable_execute_command: bool,
}

/// The interface of a task; kept after the interface itself is gone, as DescribeTasks shows it then.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskNetwork {
    /// A UUID: the attachment's id.
    pub attachment: String,
    pub eni: EniId,
    pub vpc: VpcId,
    pub subnet: SubnetId,
    pub address: std::net::Ipv4Addr,
    pub mac: String,
    pub private_dns_name: String,
}

impl Task {
    /// GiB of disk that come with every task.
    pub const EPHEMERAL_GIB_DEFAULT: u32 = 20;

    fn ephemeral_gib_default() -> u32 {
        Self::EPHEMERAL_GIB_DEFAULT
    }

    /// Counts against a service's ceiling: it runs, or is on its way to.
    pub fn is_live(&self) -> bool {
        self.desired_status == DesiredStatus::Running && self.last_status != TaskStatus::Stopped
    }

    pub fn is_protected(&self, now: Timestamp) -> bool {
        self.protected_until.is_some_and(|until| until > now)
    }

    /// Whether one of its containers ran, as far as a node could tell before anything happened to it.
    pub fn has_run(&self) -> bool {
        self.times.started_at.is_some() || self.containers.iter().any(|c| c.status != ContainerStatus::Pending)
    }

    pub fn is_stopped(&self) -> bool {
        self.last_status == TaskStatus::Stopped
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TaskTimes {
    pub created_at: Timestamp,
    pub pull_started_at: Option<Timestamp>,
    pub pull_stopped_at: Option<Timestamp>,
    pub connectivity_at: Option<Timestamp>,
    pub started_at: Option<Timestamp>,
    pub stopping_at: Option<Timestamp>,
    pub execution_stopped_at: Option<Timestamp>,
    pub stopped_at: Option<Timestamp>,
    /// When its load balancer targets began to drain.
    pub deregistered_at: Option<Timestamp>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskContainer {
    /// A UUID; part of the container's ARN.
    pub id: String,
    pub name: String,
    pub image: String,
    pub image_digest: Option<String>,
    /// 64 hexadecimal digits (Fargate shows the task id and a number).
    pub runtime_id: Option<String>,
    pub status: ContainerStatus,
    pub exit_code: Option<i32>,
    pub reason: Option<String>,
    pub health: HealthStatus,
    pub essential: bool,
    /// The definition has a health check.
    pub has_health_check: bool,
    /// As asked for, overrides applied.
    pub cpu_units: u32,
    pub memory_mib: Option<u32>,
    pub memory_reservation_mib: Option<u32>,
}
