//! Parameters and secrets that tasks start with: they change, vanish and come back, and the role may lose its policy.

use super::*;

impl Client {
    /// A value that nobody else has, and that [`crate::check`] finds wherever it must not be.
    fn secret_value(&mut self, of: &str) -> String {
        let value = self.fresh(crate::check::SECRET);
        let mut checks = crate::world::lock(&self.world.checks);
        checks.secret_values.entry(of.to_owned()).or_default().insert(value.clone());
        value
    }

    pub(super) async fn set_up_secrets(&mut self) {
        for n in 0..2 {
            let name = format!("/{}/p{n}", self.model.cluster);
            self.put_parameter(&name, true).await;
            self.model.parameters.push(name);
        }
        let name = format!("secret-{}", self.model.cluster);
        // Its ARN is known when it is made; a lost answer finds it by its name.
        let value = self.fresh(crate::check::SECRET);
        let token = format!("{:0>32}", self.fresh("first"));
        let body = json!({"Name": name, "SecretString": value, "ClientRequestToken": token});
        let made = self.insist("secretsmanager", "CreateSecret", &body).await;
        let arn = match &made {
            Ok(made) => made["ARN"].as_str().map(str::to_owned),
            Err(_) => None,
        };
        self.expect(
            "CreateSecret",
            &made,
            if made.is_ok() { &[] } else { &["ResourceExistsException", "InvalidRequestException"] },
        );
        if let Some(arn) = arn {
            crate::world::lock(&self.world.checks).secret_values.entry(arn.clone()).or_default().insert(value);
            self.model.secrets.push(arn);
        }
    }

    async fn put_parameter(&mut self, name: &str, insist: bool) {
        let value = self.secret_value(name);
        let body = json!({"Name": name, "Value": value, "Type": "SecureString", "Overwrite": true});
        let answer = match insist {
            true => self.insist("ssm", "PutParameter", &body).await,
            false => self.call("ssm", "PutParameter", &body).await,
        };
        self.expect("PutParameter", &answer, &[]);
    }

    /// The policy by which the role reads secrets; nobody asks for it where policies are not evaluated.
    pub(super) async fn allow(&self, insist: bool) {
        let policy =
            json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]});
        let body = json!({"RoleName": self.role_name(), "PolicyName": "all", "PolicyDocument": policy.to_string()});
        let answer = match insist {
            true => self.insist("iam", "PutRolePolicy", &body).await,
            false => self.call("iam", "PutRolePolicy", &body).await,
        };
        self.expect("PutRolePolicy", &answer, &[]);
    }

    pub(super) async fn change_secrets(&mut self) {
        let parameters = self.model.parameters.clone();
        let secrets = self.model.secrets.clone();
        match self.below(8) {
            0..3 => {
                let Some(name) = self.pick(&parameters).cloned() else { return };
                self.put_parameter(&name, false).await;
            }
            3 => {
                let Some(name) = self.pick(&parameters) else { return };
                let _ = self.call("ssm", "DeleteParameter", &json!({"Name": name})).await;
            }
            4..6 => {
                let Some(arn) = self.pick(&secrets).cloned() else { return };
                let value = self.secret_value(&arn);
                let body = json!({"SecretId": arn, "SecretString": value});
                let _ = self.call("secretsmanager", "PutSecretValue", &body).await;
            }
            6 => {
                let Some(arn) = self.pick(&secrets) else { return };
                let body = json!({"SecretId": arn, "RecoveryWindowInDays": 7});
                let _ = self.call("secretsmanager", "DeleteSecret", &body).await;
            }
            _ if self.world.policy.authority => {
                let body = json!({"RoleName": self.role_name(), "PolicyName": "all"});
                let _ = self.call("iam", "DeleteRolePolicy", &body).await;
            }
            _ => {}
        }
        if self.chance(40) {
            self.restore_secrets(false).await;
        }
    }

    /// Everything that a task needs is there again.
    pub(super) async fn restore_secrets(&mut self, insist: bool) {
        for name in self.model.parameters.clone() {
            self.put_parameter(&name, insist).await;
        }
        for arn in self.model.secrets.clone() {
            let body = json!({"SecretId": arn});
            let answer = match insist {
                true => self.insist("secretsmanager", "RestoreSecret", &body).await,
                false => self.call("secretsmanager", "RestoreSecret", &body).await,
            };
            self.expect("RestoreSecret", &answer, &[]);
        }
        self.allow(insist).await;
    }

    /// References to some of them, for a container definition.
    pub(super) fn references(&self) -> Value {
        let all: Vec<&String> = self.model.parameters.iter().chain(&self.model.secrets).collect();
        let chosen = all.into_iter().filter(|_| self.chance(60)).enumerate();
        chosen.map(|(n, from)| json!({"name": format!("SECRET_{n}"), "valueFrom": from})).collect()
    }
}
