//! DeregisterTargets: the targets drain; a controller removes them when that is over.

use super::names;
use super::register_targets::parse;
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::elbv2::{DeregisterTargetsInput, DeregisterTargetsOutput};
use longshore_store::Tx;
use longshore_types::elbv2::{TargetHealth, TargetState};

/// Targets that are not registered are passed over, as AWS does.
pub fn deregister_targets(
    tx: &mut Tx,
    cx: &Cx,
    input: DeregisterTargetsInput,
) -> Result<DeregisterTargetsOutput, AwsError> {
    let group = names::target_group(tx, &cx.scope, &input.target_group_arn)?;
    for given in &input.targets {
        let (address, port) = parse(given, &group)?;
        let key = (cx.scope.clone(), group.arn.clone(), format!("{address}:{port}"));
        tx.targets().update(&key, |target| {
            if target.draining_since.is_none() {
                target.draining_since = Some(cx.now);
                target.health = draining();
            }
        });
    }
    Ok(DeregisterTargetsOutput {})
}

fn draining() -> TargetHealth {
    TargetHealth {
        state: TargetState::Draining,
        reason: Some("Target.DeregistrationInProgress".to_owned()),
        description: Some("Target deregistration is in progress".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elbv2::testing::*;
    use crate::testing::Fixture;
    use longshore_aws_model::elbv2::TargetDescription;

    #[test]
    fn a_target_drains_and_a_stranger_is_passed_over() {
        let fixture = Fixture::new();
        let arn = target_group(&fixture, "web");
        register(&fixture, &arn, "172.31.0.10");
        let target = |id: &str| TargetDescription { id: Some(id.to_owned()), ..Default::default() };
        let targets = vec![target("172.31.0.10"), target("172.31.0.11")];
        let input = DeregisterTargetsInput { target_group_arn: arn, targets };
        write(&fixture, deregister_targets, input).expect("deregistered");
        fixture.read(|state, cx| {
            let rows: Vec<_> = state.targets().all().collect();
            assert_eq!(rows.len(), 1);
            assert_eq!((rows[0].draining_since, &rows[0].health), (Some(cx.now), &draining()));
        });
    }
}
