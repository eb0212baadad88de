//! Task protection, for some minutes, of tasks of services.

use super::*;

impl Client {
    pub(super) async fn protect(&mut self) {
        let Some(service) = self.a_service() else { return };
        let body = json!({"cluster": self.model.cluster, "serviceName": service});
        let Ok(listed) = self.quiet("ecs", "ListTasks", &body).await else { return };
        let mut tasks = listed["taskArns"].as_array().cloned().unwrap_or_default();
        tasks.truncate(1 + self.below(4));
        if tasks.is_empty() {
            return;
        }
        let on = self.chance(75);
        let mut body = json!({"cluster": self.model.cluster, "tasks": tasks, "protectionEnabled": on});
        if on {
            body["expiresInMinutes"] = json!(1 + self.below(5));
        }
        let answer = self.call("ecs", "UpdateTaskProtection", &body).await;
        self.expect("UpdateTaskProtection", &answer, &[]);
        let Ok(answer) = answer else { return };
        let seen =
            self.quiet("ecs", "GetTaskProtection", &json!({"cluster": self.model.cluster, "tasks": tasks})).await;
        let (Ok(seen), true) = (seen, self.resets == self.world.resets()) else { return };
        // Nobody else protects tasks of this cluster, and a minute has not passed, unless the clock was set.
        let latest_ms = self.world.readings().iter().map(|now| now.0).max().unwrap_or_default();
        let is_over = |task: &Value| task["expirationDate"].as_f64().is_some_and(|at| at * 1000.0 <= latest_ms as f64);
        let given = answer["protectedTasks"].as_array().into_iter().flatten();
        let shown: Vec<&Value> = seen["protectedTasks"].as_array().into_iter().flatten().collect();
        let failed: Vec<&Value> = seen["failures"].as_array().into_iter().flatten().map(|f| &f["arn"]).collect();
        for task in given {
            if is_over(task) {
                continue;
            }
            if !shown.contains(&task) && !failed.contains(&&task["taskArn"]) && self.world.policy.commit_ms.1 < 100 {
                self.world.violated("acknowledged write lost", format!("the protection {task} is shown as {shown:?}"));
            }
        }
    }

    /// Nobody is protected any more.
    pub(super) async fn unprotect(&self, service: &str) {
        let body = json!({"cluster": self.model.cluster, "serviceName": service});
        let Ok(listed) = self.insist("ecs", "ListTasks", &body).await else { return };
        let tasks: Vec<Value> = listed["taskArns"].as_array().cloned().unwrap_or_default();
        for tasks in tasks.chunks(10) {
            let body = json!({"cluster": self.model.cluster, "tasks": tasks, "protectionEnabled": false});
            let answer = self.insist("ecs", "UpdateTaskProtection", &body).await;
            self.expect("UpdateTaskProtection", &answer, &[]);
        }
    }
}
