//! ModifyTargetGroup: its health check.

use super::{health_check, names, view};
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::elbv2::{ModifyTargetGroupInput, ModifyTargetGroupOutput};
use longshore_store::Tx;

pub fn modify_target_group(
    tx: &mut Tx,
    cx: &Cx,
    mut input: ModifyTargetGroupInput,
) -> Result<ModifyTargetGroupOutput, AwsError> {
    let row = names::target_group(tx, &cx.scope, &input.target_group_arn)?;
    let mut row = (*row).clone();
    let given = health_check::Given::of_modify(&mut input);
    row.health_check = health_check::changed(&row.health_check, &row.protocol_version, given)?;
    let sent = view::target_group(tx, &cx.scope, &row);
    tx.target_groups().put((cx.scope.clone(), row.arn.clone()), row);
    Ok(ModifyTargetGroupOutput { target_groups: Some(vec![sent]) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elbv2::testing::*;
    use crate::testing::Fixture;

    #[test]
    fn what_is_given_changes_and_the_rest_stays() {
        let fixture = Fixture::new();
        let arn = target_group(&fixture, "web");
        let modify = |input| {
            write(&fixture, modify_target_group, ModifyTargetGroupInput { target_group_arn: arn.clone(), ..input })
        };
        let input = ModifyTargetGroupInput { health_check_path: Some("/health".to_owned()), ..Default::default() };
        let changed = modify(input).expect("changed").target_groups.expect("one");
        assert_eq!(changed[0].health_check_path.as_deref(), Some("/health"));
        assert_eq!(changed[0].health_check_interval_seconds, Some(30));
        let input = ModifyTargetGroupInput { health_check_timeout_seconds: Some(30), ..Default::default() };
        assert_eq!(
            refusal(modify(input)),
            "ValidationError: Health check timeout '30' must be smaller than the interval '30'"
        );
    }
}
