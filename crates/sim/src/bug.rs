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
    /// The scheduler starts tasks and does not look at its ceiling.
    GreedyScheduler,
    /// The scheduler does not look at protections.
    BlindScheduler,
    /// Tasks get the stop signal before their targets have drained.
    HastySignal,
    /// A service deployment that was over goes on.
    SecondRelease,
    /// A revision is changed when its service is.
    EditedRevision,
    /// A node resolves a tag that its deployment has pinned.
    MovingTag,
    /// The base of a strategy gets lost.
    ForgottenBase,
    /// A task whose Spot capacity goes does not say so.
    SilentInterruption,
    /// An error's text has the value of a secret.
    LoudSecret,
    /// Tasks are not spread over zones again.
    UnevenZones,
    /// The control plane writes something at each start.
    RestlessStart,
    /// The agent does not say which networks it has.
    SilentAgent,
    /// All tasks of a service are stopped at once for their health.
    NervousScheduler,
    /// Failures of a deployment's tasks are not counted.
    DeafBreaker,
    /// Nobody remembers which deployment completed last.
    ForgottenRelease,
    /// Launches do not wait for the back-off.
    HotLaunches,
}

impl Bug {
    pub const ALL: [Bug; 25] = [
        Bug::LyingDisk,
        Bug::BlindAgent,
        Bug::NaiveMerge,
        Bug::LeakedInterface,
        Bug::EagerScheduler,
        Bug::DeafNode,
        Bug::ForgottenToken,
        Bug::StaleTarget,
        Bug::KeptSecrets,
        Bug::GreedyScheduler,
        Bug::BlindScheduler,
        Bug::HastySignal,
        Bug::SecondRelease,
        Bug::EditedRevision,
        Bug::MovingTag,
        Bug::ForgottenBase,
        Bug::SilentInterruption,
        Bug::LoudSecret,
        Bug::UnevenZones,
        Bug::RestlessStart,
        Bug::SilentAgent,
        Bug::NervousScheduler,
        Bug::DeafBreaker,
        Bug::ForgottenRelease,
        Bug::HotLaunches,
    ];
}
