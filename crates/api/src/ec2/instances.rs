//! Instances and what belongs to them: keys, images, disks, templates. Here are only tasks of Fargate, so lists of these are
//! empty, whatever filters say, and one that is asked for by its id does not exist. That goes for Amazon's public images and
//! snapshots too.

use super::error::{self, Kind};
use super::list::check_exist;
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::ec2::*;
use longshore_store::Snapshot as State;

pub fn describe_instances(
    _: &State,
    _: &Cx,
    input: DescribeInstancesInput,
) -> Result<DescribeInstancesOutput, AwsError> {
    check_exist(Kind::Instance, input.instance_ids.as_deref(), |_| false)?;
    error::finish(input.dry_run, DescribeInstancesOutput { reservations: Some(Vec::new()), next_token: None })
}

pub fn describe_instance_status(
    _: &State,
    _: &Cx,
    input: DescribeInstanceStatusInput,
) -> Result<DescribeInstanceStatusOutput, AwsError> {
    check_exist(Kind::Instance, input.instance_ids.as_deref(), |_| false)?;
    error::finish(input.dry_run, DescribeInstanceStatusOutput { instance_statuses: Some(Vec::new()), next_token: None })
}

pub fn describe_key_pairs(_: &State, _: &Cx, input: DescribeKeyPairsInput) -> Result<DescribeKeyPairsOutput, AwsError> {
    check_exist(Kind::KeyPair, input.key_names.as_deref(), |_| false)?;
    check_exist(Kind::KeyPair, input.key_pair_ids.as_deref(), |_| false)?;
    error::finish(input.dry_run, DescribeKeyPairsOutput { key_pairs: Some(Vec::new()) })
}

pub fn describe_images(_: &State, _: &Cx, input: DescribeImagesInput) -> Result<DescribeImagesOutput, AwsError> {
    check_exist(Kind::Image, input.image_ids.as_deref(), |_| false)?;
    error::finish(input.dry_run, DescribeImagesOutput { images: Some(Vec::new()), next_token: None })
}

pub fn describe_volumes(_: &State, _: &Cx, input: DescribeVolumesInput) -> Result<DescribeVolumesOutput, AwsError> {
    check_exist(Kind::Volume, input.volume_ids.as_deref(), |_| false)?;
    error::finish(input.dry_run, DescribeVolumesOutput { volumes: Some(Vec::new()), next_token: None })
}

pub fn describe_volume_status(
    _: &State,
    _: &Cx,
    input: DescribeVolumeStatusInput,
) -> Result<DescribeVolumeStatusOutput, AwsError> {
    check_exist(Kind::Volume, input.volume_ids.as_deref(), |_| false)?;
    error::finish(input.dry_run, DescribeVolumeStatusOutput { volume_statuses: Some(Vec::new()), next_token: None })
}

pub fn describe_snapshots(
    _: &State,
    _: &Cx,
    input: DescribeSnapshotsInput,
) -> Result<DescribeSnapshotsOutput, AwsError> {
    check_exist(Kind::Snapshot, input.snapshot_ids.as_deref(), |_| false)?;
    error::finish(input.dry_run, DescribeSnapshotsOutput { snapshots: Some(Vec::new()), next_token: None })
}

pub fn describe_launch_templates(
    _: &State,
    _: &Cx,
    input: DescribeLaunchTemplatesInput,
) -> Result<DescribeLaunchTemplatesOutput, AwsError> {
    let missing = |noun: &str, given: &str| {
        format!("The specified launch template, with template {noun} {given}, does not exist.")
    };
    if let Some(id) = input.launch_template_ids.iter().flatten().next() {
        return Err(AwsError::new("InvalidLaunchTemplateId.NotFound", missing("ID", id)));
    }
    if let Some(name) = input.launch_template_names.iter().flatten().next() {
        return Err(AwsError::new("InvalidLaunchTemplateName.NotFoundException", missing("name", name)));
    }
    error::finish(input.dry_run, DescribeLaunchTemplatesOutput { launch_templates: Some(Vec::new()), next_token: None })
}

pub fn describe_iam_instance_profile_associations(
    _: &State,
    _: &Cx,
    input: DescribeIamInstanceProfileAssociationsInput,
) -> Result<DescribeIamInstanceProfileAssociationsOutput, AwsError> {
    check_exist(Kind::Association, input.association_ids.as_deref(), |_| false)?;
    let iam_instance_profile_associations = Some(Vec::new());
    Ok(DescribeIamInstanceProfileAssociationsOutput { iam_instance_profile_associations, next_token: None })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ec2::testing::{filter, read, refusal};
    use crate::testing::Fixture;

    fn ids(ids: &[&str]) -> Option<Vec<String>> {
        Some(ids.iter().map(|id| id.to_string()).collect())
    }

    #[test]
    fn lists_are_empty() {
        let fixture = Fixture::new();
        let filters = filter("instance-state-name", "running");
        let input = DescribeInstancesInput { filters, instance_ids: Some(Vec::new()), ..Default::default() };
        let output = read(&fixture, describe_instances, input).expect("a list");
        assert_eq!((output.reservations, output.next_token), (Some(Vec::new()), None));
        let output = read(&fixture, describe_images, DescribeImagesInput::default()).expect("a list");
        assert_eq!(output.images, Some(Vec::new()));
        let dry = DescribeVolumesInput { dry_run: Some(true), ..Default::default() };
        assert!(refusal(read(&fixture, describe_volumes, dry)).starts_with("DryRunOperation: "));
    }

    #[test]
    fn what_is_asked_for_by_name_does_not_exist() {
        let fixture = Fixture::new();
        let input = DescribeInstancesInput { instance_ids: ids(&["i-1", "i-2"]), ..Default::default() };
        assert_eq!(
            refusal(read(&fixture, describe_instances, input)),
            "InvalidInstanceID.NotFound: The instance IDs 'i-1, i-2' do not exist"
        );
        let input = DescribeKeyPairsInput { key_names: ids(&["mine"]), ..Default::default() };
        assert_eq!(
            refusal(read(&fixture, describe_key_pairs, input)),
            "InvalidKeyPair.NotFound: The key pair 'mine' does not exist"
        );
        let input = DescribeImagesInput { image_ids: ids(&["ami-1"]), ..Default::default() };
        assert_eq!(
            refusal(read(&fixture, describe_images, input)),
            "InvalidAMIID.NotFound: The image id '[ami-1]' does not exist"
        );
        let input = DescribeVolumesInput { volume_ids: ids(&["vol-1"]), ..Default::default() };
        assert_eq!(
            refusal(read(&fixture, describe_volumes, input)),
            "InvalidVolume.NotFound: The volume 'vol-1' does not exist."
        );
        let input = DescribeSnapshotsInput { snapshot_ids: ids(&["snap-1"]), ..Default::default() };
        assert_eq!(
            refusal(read(&fixture, describe_snapshots, input)),
            "InvalidSnapshot.NotFound: The snapshot 'snap-1' does not exist."
        );
        let input = DescribeLaunchTemplatesInput { launch_template_names: ids(&["web"]), ..Default::default() };
        assert_eq!(
            refusal(read(&fixture, describe_launch_templates, input)),
            "InvalidLaunchTemplateName.NotFoundException: The specified launch template, with template name web, does not exist."
        );
    }
}
