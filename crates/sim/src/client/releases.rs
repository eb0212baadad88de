//! Service deployments: looking at them, stopping them.

use super::*;

impl Client {
    pub(super) async fn stop_release(&mut self) {
        let Some(name) = self.a_service() else { return };
        let body = json!({"cluster": self.model.cluster, "service": name});
        let listed = self.call("ecs", "ListServiceDeployments", &body).await;
        self.expect("ListServiceDeployments", &listed, &[]);
        let Ok(listed) = listed else { return };
        let newest = &listed["serviceDeployments"][0]["serviceDeploymentArn"];
        if newest.is_null() {
            return;
        }
        let answer = self.call("ecs", "StopServiceDeployment", &json!({"serviceDeploymentArn": newest})).await;
        // It may be over, or have nothing to go back to.
        self.expect("StopServiceDeployment", &answer, if answer.is_ok() { &[] } else { &["ConflictException"] });
        if !matches!(answer, Err(Failure::Error { .. }))
            && let Some(service) = self.model.services.get_mut(&name)
        {
            service.rolls_back = true;
        }
    }

    /// Every release and every revision of the settled services can be described, and none goes on.
    pub(super) async fn compare_releases(&self) {
        for name in self.model.services.keys() {
            let body = json!({"cluster": self.model.cluster, "service": name});
            let Ok(listed) = self.insist("ecs", "ListServiceDeployments", &body).await else { continue };
            let arns = arns(&listed["serviceDeployments"], "serviceDeploymentArn");
            if arns.is_empty() {
                continue;
            }
            let body = json!({"serviceDeploymentArns": arns[..arns.len().min(20)]});
            let Ok(found) = self.insist("ecs", "DescribeServiceDeployments", &body).await else { continue };
            for release in found["serviceDeployments"].as_array().into_iter().flatten() {
                let status = release["status"].as_str().unwrap_or_default();
                if matches!(status, "PENDING" | "IN_PROGRESS")
                    || status.ends_with("REQUESTED")
                    || status == "ROLLBACK_IN_PROGRESS"
                {
                    self.world
                        .violated("releases", format!("{name} is settled, and a service deployment of it is {status}"));
                }
                let body = json!({"serviceRevisionArns": [release["targetServiceRevision"]["arn"]]});
                let found = self.insist("ecs", "DescribeServiceRevisions", &body).await;
                if found.is_ok_and(|found| found["serviceRevisions"][0].is_null()) {
                    self.world.violated(
                        "releases",
                        format!("the target revision of a service deployment of {name} is not there"),
                    );
                }
            }
        }
    }
}
