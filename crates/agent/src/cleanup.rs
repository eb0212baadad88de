//! Keeps the node's disk from filling with images that nothing runs from any more.

use longshore_image::{CleanupPolicy, ImageStore, StoreError};
use std::time::Duration;

/// How often the disk is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// How often images go by age alone: every so many looks. The ECS agent's is half an hour as well.
const LOOKS_PER_ROUND: u32 = 30;

/// Runs for as long as the agent does.
pub async fn run(images: ImageStore) {
    let policy = CleanupPolicy::default();
    let mut tick = tokio::time::interval(LOOK_EVERY);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut looks = 0;
    loop {
        tick.tick().await;
        looks += 1;
        let is_full = images.disk().is_ok_and(|disk| disk.is_above(policy.used_high_percent));
        if !is_full && looks < LOOKS_PER_ROUND {
            continue;
        }
        let store = images.clone();
        match tokio::task::spawn_blocking(move || store.clean_up(&policy)).await {
            Ok(Ok(report)) => {
                looks = 0;
                if report != Default::default() {
                    tracing::info!(?report, "unused images were removed");
                }
            }
            // Something is being pulled: the next look tries again.
            Ok(Err(StoreError::Busy)) => {}
            Ok(Err(error)) => tracing::warn!(%error, "unused images could not be removed"),
            Err(error) => tracing::error!(%error, "the cleanup of images failed"),
        }
    }
}
