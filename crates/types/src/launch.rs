//! What a node asks for right before it starts a task, and nobody writes down: values of secrets.

use serde::{Deserialize, Serialize};

/// Of one task.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskSecrets {
    /// Containers that have none are left out.
    pub containers: Vec<ContainerSecrets>,
}

#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerSecrets {
    /// The container's.
    pub name: String,
    /// Variables and their values.
    pub environment: Vec<(String, String)>,
    /// User and password for the image's registry.
    pub registry_auth: Option<(String, String)>,
}

/// Values stay out of logs.
impl std::fmt::Debug for ContainerSecrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<&str> = self.environment.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("ContainerSecrets").field("name", &self.name).field("variables", &names).finish_non_exhaustive()
    }
}
