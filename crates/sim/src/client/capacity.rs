//! Capacity providers: strategies with a base, and Spot capacity that goes.

use super::*;
use crate::bug::Bug;
use crate::control;

impl Client {
    /// A strategy with this base on FARGATE; [`crate::check`] reads the base that is due from the service's name.
    pub(super) fn strategy(&self, base: usize) -> Value {
        let base = if self.world.has(Bug::ForgottenBase) { 0 } else { base };
        let fargate = json!({"capacityProvider": "FARGATE", "base": base, "weight": self.below(3)});
        let spot = json!({"capacityProvider": "FARGATE_SPOT", "weight": 1 + self.below(3)});
        if self.chance(50) { json!([fargate, spot]) } else { json!([spot, fargate]) }
    }

    /// Launch type FARGATE, or a strategy.
    pub(super) fn place(&self, body: &mut Value, base: Option<usize>) {
        match base {
            Some(base) => body["capacityProviderStrategy"] = self.strategy(base),
            None => body["launchType"] = json!("FARGATE"),
        }
    }

    /// Interrupts a Spot task, as AWS does when it likes.
    pub(super) async fn interrupt(&mut self) {
        let body = json!({"cluster": self.model.cluster});
        let Ok(listed) = self.quiet("ecs", "ListTasks", &body).await else { return };
        let body = json!({"cluster": self.model.cluster, "tasks": listed["taskArns"]});
        let Ok(found) = self.quiet("ecs", "DescribeTasks", &body).await else { return };
        let spot = |task: &&Value| task["capacityProviderName"] == "FARGATE_SPOT" && task["desiredStatus"] == "RUNNING";
        let spot: Vec<&Value> = found["tasks"].as_array().into_iter().flatten().filter(spot).collect();
        let Some(task) = self.pick(&spot).and_then(|task| task["taskArn"].as_str()) else { return };
        if control::interrupt(&self.world, task).await == Ok(true) {
            self.model.interrupted.insert(task.to_owned());
        }
    }

    /// What was interrupted says so, in ECS's words.
    pub(super) async fn compare_interrupted(&self) {
        for task in &self.model.interrupted {
            let body = json!({"cluster": self.model.cluster, "tasks": [task]});
            let Ok(found) = self.insist("ecs", "DescribeTasks", &body).await else { continue };
            let task = &found["tasks"][0];
            let (code, reason) = (&task["stopCode"], &task["stoppedReason"]);
            if !task.is_null() && (code != "SpotInterruption" || reason != "Your Spot Task was interrupted.") {
                self.world.violated("spot", format!("an interrupted task was stopped by {code}: {reason}"));
            }
        }
    }
}
