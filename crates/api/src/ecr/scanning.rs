//! Scanning: settings are kept, and every scan says honestly that Longshore has no scanner.

use super::{error, names};
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::ecr::*;
use longshore_store::{Snapshot, Tx};
use longshore_types::arn;
use longshore_types::ecr::Image;

/// Why no image is ever scanned.
const NO_SCANNER: &str = "UnsupportedImageError: Longshore has no vulnerability scanner.";

pub fn put_image_scanning_configuration(
    tx: &mut Tx,
    cx: &Cx,
    input: PutImageScanningConfigurationInput,
) -> Result<PutImageScanningConfigurationOutput, AwsError> {
    let row = names::repository(tx, &cx.scope, input.registry_id.as_deref(), &input.repository_name)?;
    let scan_on_push = input.image_scanning_configuration.scan_on_push.unwrap_or_default();
    tx.repositories().update(&(cx.scope.clone(), row.name.clone()), |row| row.scan_on_push = scan_on_push);
    Ok(PutImageScanningConfigurationOutput {
        registry_id: Some(cx.scope.account.to_string()),
        repository_name: Some(row.name.clone()),
        image_scanning_configuration: Some(ImageScanningConfiguration { scan_on_push: Some(scan_on_push) }),
    })
}

pub fn batch_get_repository_scanning_configuration(
    state: &Snapshot,
    cx: &Cx,
    input: BatchGetRepositoryScanningConfigurationInput,
) -> Result<BatchGetRepositoryScanningConfigurationOutput, AwsError> {
    let (mut found, mut failures) = (Vec::new(), Vec::new());
    for name in input.repository_names {
        match names::repository(state, &cx.scope, None, &name) {
            Ok(row) => found.push(RepositoryScanningConfiguration {
                repository_arn: Some(arn::ecr_repository(&cx.scope, &name)),
                repository_name: Some(name),
                scan_on_push: Some(row.scan_on_push),
                scan_frequency: Some(if row.scan_on_push { "SCAN_ON_PUSH" } else { "MANUAL" }.to_owned()),
                applied_scan_filters: Some(vec![]),
            }),
            Err(refused) => failures.push(RepositoryScanningConfigurationFailure {
                repository_name: Some(name),
                failure_code: Some("REPOSITORY_NOT_FOUND".to_owned()),
                failure_reason: Some(refused.message.clone()),
            }),
        }
    }
    Ok(BatchGetRepositoryScanningConfigurationOutput { scanning_configurations: Some(found), failures: Some(failures) })
}

pub fn start_image_scan(
    state: &Snapshot,
    cx: &Cx,
    input: StartImageScanInput,
) -> Result<StartImageScanOutput, AwsError> {
    let repository = names::repository(state, &cx.scope, input.registry_id.as_deref(), &input.repository_name)?;
    let image = named(state, cx, &repository.name, &input.image_id)?;
    let text = format!(
        "The image '{}' in the repository with name '{}' cannot be scanned: Longshore has no vulnerability scanner.",
        image.digest, repository.name
    );
    Err(AwsError::new("UnsupportedImageTypeException", text))
}

pub fn describe_image_scan_findings(
    state: &Snapshot,
    cx: &Cx,
    input: DescribeImageScanFindingsInput,
) -> Result<DescribeImageScanFindingsOutput, AwsError> {
    let repository = names::repository(state, &cx.scope, input.registry_id.as_deref(), &input.repository_name)?;
    let image = named(state, cx, &repository.name, &input.image_id)?;
    let Some(status) = status(repository.scan_on_push) else {
        let text = format!(
            "Image scan does not exist for the image with '{{imageDigest:'{}', imageTag:'{}'}}' in the repository with name '{}' in the registry with id '{}'",
            image.digest,
            input.image_id.image_tag.as_deref().unwrap_or("null"),
            repository.name,
            cx.scope.account
        );
        return Err(AwsError::new("ScanNotFoundException", text));
    };
    Ok(DescribeImageScanFindingsOutput {
        registry_id: Some(cx.scope.account.to_string()),
        repository_name: Some(repository.name.clone()),
        image_id: Some(ImageIdentifier { image_digest: Some(image.digest.clone()), ..input.image_id }),
        image_scan_status: Some(status),
        ..Default::default()
    })
}

/// The outcome of the scan that a repository asks for on push.
pub fn status(scan_on_push: bool) -> Option<ImageScanStatus> {
    scan_on_push.then(|| ImageScanStatus {
        status: Some("UNSUPPORTED_IMAGE".to_owned()),
        description: Some(NO_SCANNER.to_owned()),
    })
}

fn named(state: &Snapshot, cx: &Cx, repository: &str, id: &ImageIdentifier) -> Result<std::sync::Arc<Image>, AwsError> {
    names::image(state, &cx.scope, repository, id).map_err(|_| error::no_image(&cx.scope, repository, id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ecr::testing::{by_tag, image, web};
    use crate::logs::testing::refusal;

    #[test]
    fn scans_on_push_end_as_unsupported_and_others_are_refused() {
        let (bench, _) = web();
        image(&bench, '1', &["v1"], &[]);
        let findings = |tag: &str| {
            let input = DescribeImageScanFindingsInput {
                repository_name: "web".to_owned(),
                image_id: by_tag(tag),
                ..Default::default()
            };
            bench.read(|state, cx| describe_image_scan_findings(state, cx, input))
        };
        assert!(refusal(findings("v1")).starts_with("ScanNotFoundException: "));
        assert!(refusal(findings("v2")).starts_with("ImageNotFoundException: "));
        let input = PutImageScanningConfigurationInput {
            repository_name: "web".to_owned(),
            image_scanning_configuration: ImageScanningConfiguration { scan_on_push: Some(true) },
            ..Default::default()
        };
        bench.try_write(|tx, cx| put_image_scanning_configuration(tx, cx, input)).expect("put");
        let status = findings("v1").expect("a scan").image_scan_status.and_then(|status| status.status);
        assert_eq!(status.as_deref(), Some("UNSUPPORTED_IMAGE"));
        let input =
            StartImageScanInput { repository_name: "web".to_owned(), image_id: by_tag("v1"), ..Default::default() };
        assert!(
            refusal(bench.read(|state, cx| start_image_scan(state, cx, input)))
                .starts_with("UnsupportedImageTypeException: ")
        );
        let repository_names = vec!["web".to_owned(), "other".to_owned()];
        let input = BatchGetRepositoryScanningConfigurationInput { repository_names };
        let output =
            bench.read(|state, cx| batch_get_repository_scanning_configuration(state, cx, input)).expect("a list");
        assert_eq!(output.scanning_configurations.expect("one")[0].scan_on_push, Some(true));
        assert_eq!(output.failures.expect("one")[0].failure_code.as_deref(), Some("REPOSITORY_NOT_FOUND"));
    }
}
