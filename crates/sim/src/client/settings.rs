//! Account settings, one name a client, and subnets with few addresses.

use super::*;

impl Client {
    pub(super) async fn change_setting(&mut self) {
        const NAMES: [(&str, [&str; 2]); 3] = [
            ("containerInsights", ["enabled", "disabled"]),
            ("defaultLogDriverMode", ["blocking", "non-blocking"]),
            ("fargateTaskRetirementWaitPeriod", ["0", "14"]),
        ];
        let number: usize = self.model.cluster.trim_start_matches('c').parse().unwrap_or(1);
        let (name, values) = NAMES[(number - 1) % NAMES.len()];
        let value = values[self.below(2)];
        let operation = if self.chance(50) { "PutAccountSetting" } else { "PutAccountSettingDefault" };
        let answer = self.insist("ecs", operation, &json!({"name": name, "value": value})).await;
        self.expect(operation, &answer, &[]);
        let body = json!({"name": name, "effectiveSettings": true});
        let listed = self.insist("ecs", "ListAccountSettings", &body).await;
        if let Ok(listed) = listed
            && listed["settings"][0]["value"] != json!(value)
            && self.resets == self.world.resets()
        {
            self.world.violated("acknowledged write lost", format!("{name} is {}, not {value}", listed["settings"]));
        }
    }

    /// A VPC of this client's own with two subnets of eleven addresses each.
    pub(super) async fn small_network(&mut self) {
        let Ok(made) = self.insist("ec2", "CreateVpc", &json!({"CidrBlock": "10.7.0.0/16"})).await else { return };
        let vpc = &made["vpc"]["vpcId"];
        let mut subnets = vec![];
        for (n, zone) in ["us-east-1a", "us-east-1b"].iter().enumerate() {
            let block = format!("10.7.{n}.0/28");
            let body = json!({"VpcId": vpc, "CidrBlock": block, "AvailabilityZone": zone});
            match self.insist("ec2", "CreateSubnet", &body).await {
                Ok(made) => subnets.extend(made["subnet"]["subnetId"].as_str().map(str::to_owned)),
                // An answer was lost.
                Err(_) => continue,
            }
        }
        if !subnets.is_empty() {
            self.model.subnets = subnets;
            self.model.is_small = true;
        }
    }
}
