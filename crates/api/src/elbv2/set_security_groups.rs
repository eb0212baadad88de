//! SetSecurityGroups: of the load balancer and of its interfaces.

use super::error::refuse;
use super::{error, names, placement};
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::elbv2::{SetSecurityGroupsInput, SetSecurityGroupsOutput};
use longshore_store::Tx;

pub fn set_security_groups(
    tx: &mut Tx,
    cx: &Cx,
    input: SetSecurityGroupsInput,
) -> Result<SetSecurityGroupsOutput, AwsError> {
    refuse!(input; enforce_security_group_inbound_rules_on_private_link_traffic);
    let row = names::load_balancer(tx, &cx.scope, &input.load_balancer_arn)?;
    if input.security_groups.is_empty() {
        return Err(error::validation("At least one security group must be specified"));
    }
    let groups = placement::security_groups(tx, &cx.scope, &row.vpc, input.security_groups)?;
    for node in &row.nodes {
        let key = (cx.scope.clone(), node.eni.clone());
        tx.network_interfaces().update(&key, |interface| interface.security_groups.clone_from(&groups));
    }
    let sent = groups.iter().map(ToString::to_string).collect();
    tx.load_balancers().update(&(cx.scope.clone(), input.load_balancer_arn), |row| row.security_groups = groups);
    Ok(SetSecurityGroupsOutput { security_group_ids: Some(sent), ..Default::default() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elbv2::testing::*;
    use crate::testing::Fixture;

    #[test]
    fn the_interfaces_follow() {
        let fixture = Fixture::new();
        let arn = load_balancer(&fixture, "web");
        fixture.write(|tx, cx| {
            let mut group = (*tx.security_groups().prefix(&cx.scope).next().expect("the default one")).clone();
            group.id = "sg-2".into();
            tx.security_groups().put((cx.scope.clone(), group.id.clone()), group);
        });
        let set = |groups: &[&str]| {
            let security_groups = groups.iter().map(|id| id.to_string()).collect();
            let input =
                SetSecurityGroupsInput { load_balancer_arn: arn.clone(), security_groups, ..Default::default() };
            write(&fixture, set_security_groups, input)
        };
        assert_eq!(set(&["sg-2"]).expect("set").security_group_ids, Some(vec!["sg-2".to_owned()]));
        fixture.read(|state, _| {
            assert!(state.network_interfaces().all().all(|interface| interface.security_groups == ["sg-2".into()]));
        });
        assert_eq!(refusal(set(&["sg-3"])), "InvalidSecurityGroup: The security group 'sg-3' does not exist");
        assert_eq!(refusal(set(&[])), "ValidationError: At least one security group must be specified");
    }
}
