//! A repository of the built-in registry, whose tags move and whose lifecycle policy prunes.

use super::*;
use crate::images::HOST;

impl Client {
    fn repository(&self, kind: &str) -> String {
        format!("{}/{kind}", self.model.cluster)
    }

    /// The image by its tag in the built-in registry.
    pub(super) fn registry_image(&self, kind: &str) -> String {
        format!("{HOST}/{}:v1", self.repository(kind))
    }

    pub(super) async fn set_up_images(&mut self) {
        for kind in ["good", "crashy"] {
            let body = json!({"repositoryName": self.repository(kind)});
            let made = self.insist("ecr", "CreateRepository", &body).await;
            self.expect(
                "CreateRepository",
                &made,
                if made.is_ok() { &[] } else { &["RepositoryAlreadyExistsException"] },
            );
            self.push(kind, true).await;
        }
    }

    async fn push(&mut self, kind: &str, insist: bool) {
        let manifest = json!({"schemaVersion": 2, "of": self.fresh("m")}).to_string();
        let body = json!({"repositoryName": self.repository(kind), "imageManifest": manifest, "imageTag": "v1"});
        let answer = match insist {
            true => self.insist("ecr", "PutImage", &body).await,
            false => self.call("ecr", "PutImage", &body).await,
        };
        self.expect("PutImage", &answer, if answer.is_ok() { &[] } else { &["ImageAlreadyExistsException"] });
    }

    pub(super) async fn change_images(&mut self) {
        let kind = ["good", "crashy"][self.below(2)];
        match self.below(6) {
            0..3 => self.push(kind, false).await,
            3 => {
                let policy = json!({"rules": [{"rulePriority": 1, "action": {"type": "expire"}, "selection":
                    {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 1}}]});
                let body = json!({"repositoryName": self.repository(kind), "lifecyclePolicyText": policy.to_string()});
                let answer = self.call("ecr", "PutLifecyclePolicy", &body).await;
                self.expect("PutLifecyclePolicy", &answer, &[]);
            }
            4 => {
                let body = json!({"repositoryName": self.repository(kind), "imageIds": [{"imageTag": "v1"}]});
                let answer = self.call("ecr", "BatchDeleteImage", &body).await;
                self.expect("BatchDeleteImage", &answer, &[]);
            }
            _ => {
                let body = json!({"repositoryName": self.repository(kind)});
                let answer = self.call("ecr", "DescribeImages", &body).await;
                self.expect("DescribeImages", &answer, &[]);
            }
        }
    }

    /// Every tag names an image, and nothing is pruned any more.
    pub(super) async fn restore_images(&mut self) {
        for kind in ["good", "crashy"] {
            let body = json!({"repositoryName": self.repository(kind)});
            let _ = self.insist("ecr", "DeleteLifecyclePolicy", &body).await;
            self.push(kind, true).await;
        }
    }
}
