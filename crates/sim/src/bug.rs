//! Bugs on purpose: each stands for a mistake that somebody could make in the part it is planted beside, and a checker has to
//! find it. They live at the seams of the simulation and never in the product.

/// One planted bug.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Bug {
    /// The disk says that a batch is durable, and it is not.
    LyingDisk,
    /// The agent does not find the supervisor of an earlier agent, nor its traces.
    BlindAgent,
    /// What a node reports is written as it is, not merged: states go back.
    NaiveMerge,
    /// A task's interface stays on the node after the task.
    LeakedInterface,
    /// The scheduler stops one more task than the floor allows.
    EagerScheduler,
    /// One message to the node is lost and nobody notices.
    DeafNode,
    /// Idempotency tokens are not looked at.
    ForgottenToken,
    /// A target stays registered when its task has stopped.
    StaleTarget,
    /// Credentials outlive their task.
    KeptSecrets,
}

impl Bug {
    pub const ALL: [Bug; 9] = [
        Bug::LyingDisk,
        Bug::BlindAgent,
        Bug::NaiveMerge,
        Bug::LeakedInterface,
        Bug::EagerScheduler,
        Bug::DeafNode,
        Bug::ForgottenToken,
        Bug::StaleTarget,
        Bug::KeptSecrets,
    ];
}
