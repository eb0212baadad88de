//! Services, their deployments and revisions, and account settings.

use super::*;

/// Key: scope, cluster and name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Service {
    pub name: ServiceName,
    pub cluster: ClusterName,
    pub status: ServiceStatus,
    pub desired_count: u32,
    /// What new deployments start from.
    #[serde(flatten)]
    pub template: Template,
    pub minimum_healthy_percent: u32,
    pub maximum_percent: u32,
    pub circuit_breaker: CircuitBreaker,
    pub health_check_grace_seconds: u32,
    #[serde(default)]
    pub zone_rebalancing: bool,
    pub enable_ecs_managed_tags: bool,
    #[serde(default)]
    pub enable_execute_command: bool,
    pub propagate_tags: PropagateTags,
    /// Newest first; the first is PRIMARY.
    pub deployments: Vec<Deployment>,
    /// What a rollback goes back to. Kept when its tasks are gone, taken when a rollback begins.
    #[serde(default)]
    pub last_completed: Option<Box<Deployment>>,
    /// The service deployment that goes on, or the last one.
    #[serde(default)]
    pub service_deployment: Option<String>,
    /// Newest first, at most 100.
    pub events: Vec<ServiceEvent>,
    pub created_at: Timestamp,
    #[serde(default)]
    pub inactive_since: Option<Timestamp>,
    pub created_by: String,
    pub tags: Tags,
    /// Failed launches in a row and when the next may be tried.
    pub launch_backoff: LaunchBackoff,
    /// CreateService's idempotency token, and a digest of the request that came with it.
    pub client_token: Option<String>,
    #[serde(default)]
    pub request_digest: u64,
}

/// What a service's tasks are made from: a change of it is a new deployment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Template {
    pub task_definition: (Family, u32),
    pub network: AwsVpcConfiguration,
    pub load_balancers: Vec<ServiceLoadBalancer>,
    #[serde(default = "latest")]
    pub platform_version: String,
    /// Empty: launch type FARGATE.
    #[serde(default)]
    pub capacity: Vec<StrategyItem>,
}

fn latest() -> String {
    "LATEST".to_owned()
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaunchBackoff {
    /// Attempts in a row of which a task never reached RUNNING.
    pub failures: u32,
    /// Attempts in a row of which a task was RUNNING, and ended too early.
    #[serde(default)]
    pub early_exits: u32,
    pub retry_at: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CircuitBreaker {
    pub enable: bool,
    pub rollback: bool,
    /// A task that becomes healthy sets the count to zero.
    #[serde(default = "yes")]
    pub reset_on_healthy_task: bool,
    #[serde(default)]
    pub threshold: Threshold,
}

fn yes() -> bool {
    true
}

impl Default for CircuitBreaker {
    fn default() -> Self {
        Self { enable: false, rollback: false, reset_on_healthy_task: true, threshold: Threshold::default() }
    }
}

/// How many failures make a deployment fail: a number of tasks, or a percentage of the desired count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Threshold {
    pub kind: ThresholdKind,
    pub value: u32,
}

impl Default for Threshold {
    fn default() -> Self {
        Self { kind: ThresholdKind::BoundedPercent, value: 50 }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceLoadBalancer {
    pub target_group: String,
    pub container: String,
    pub port: u16,
}

/// A set of tasks that were made from one revision.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Deployment {
    pub id: DeploymentId,
    pub status: DeploymentStatus,
    #[serde(flatten)]
    pub template: Template,
    pub rollout_state: RolloutState,
    pub rollout_reason: String,
    /// In a row, or with `resetOnHealthyTask` off since its start.
    pub failed_tasks: u32,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    /// Container names and the digests that its tags were resolved to, so that all its tasks run the same bytes.
    pub image_digests: BTreeMap<String, String>,
    /// Number of its [`ServiceRevision`].
    #[serde(default)]
    pub revision: u64,
    /// While it is an old one: of the launches that replace its tasks. The PRIMARY one's is the service's.
    #[serde(default)]
    pub launch_backoff: LaunchBackoff,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServiceEvent {
    pub id: String,
    pub at: Timestamp,
    pub message: String,
}

/// An immutable picture of what a service's tasks are made from. Key: scope, cluster, service and number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServiceRevision {
    pub number: u64,
    pub cluster: ClusterName,
    pub service: ServiceName,
    pub template: Template,
    /// Container, image, and the digest once it is known.
    pub images: Vec<(String, String, Option<String>)>,
    pub created_at: Timestamp,
}

/// One release of a service. Key: scope, cluster, service and id.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServiceDeployment {
    /// 21 characters.
    pub id: String,
    pub cluster: ClusterName,
    pub service: ServiceName,
    pub status: ServiceDeploymentStatus,
    pub status_reason: Option<String>,
    pub created_at: Timestamp,
    pub started_at: Option<Timestamp>,
    pub finished_at: Option<Timestamp>,
    pub stopped_at: Option<Timestamp>,
    pub updated_at: Timestamp,
    pub sources: Vec<RevisionCounts>,
    pub target: RevisionCounts,
    pub minimum_healthy_percent: u32,
    pub maximum_percent: u32,
    pub circuit_breaker: CircuitBreaker,
    /// Failures that the circuit breaker counted, and how many it takes.
    pub failure_count: u32,
    pub threshold: u32,
    pub breaker_triggered: bool,
    pub rollback: Option<Rollback>,
}

impl ServiceDeployment {
    /// Something is still to be done for it.
    pub fn is_open(&self) -> bool {
        use ServiceDeploymentStatus::*;
        matches!(self.status, Pending | InProgress | StopRequested | RollbackRequested | RollbackInProgress)
    }
}

/// A revision and how many of its tasks there were when the service deployment ended (while it goes on they are counted).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevisionCounts {
    pub revision: u64,
    pub requested: u32,
    pub running: u32,
    pub pending: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rollback {
    pub reason: String,
    pub started_at: Timestamp,
    pub revision: u64,
}

/// Key: scope, principal's ARN (empty: the account's default) and name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountSetting {
    pub name: String,
    pub value: String,
    pub principal: String,
}
