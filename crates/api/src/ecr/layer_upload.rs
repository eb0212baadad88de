//! InitiateLayerUpload, UploadLayerPart, CompleteLayerUpload: a layer through the API instead of the registry.

use super::{error, names};
use crate::Cx;
use crate::routes::{Backend, LayerUploadError};
use longshore_aws_model::ecr::*;
use longshore_aws_model::{AwsError, ErrorMember};

/// What a part should have: with base64 it fits in the 16 MiB that the API takes in one request.
const PART_BYTES: i64 = 10 << 20;

pub async fn initiate_layer_upload(
    backend: Backend,
    cx: Cx,
    input: InitiateLayerUploadInput,
) -> Result<InitiateLayerUploadOutput, AwsError> {
    let name = find(&backend, &cx, input.registry_id.as_deref(), &input.repository_name)?;
    let upload = backend.manifests.begin_upload(&cx.scope, &name).await.map_err(|e| refused(&cx, &name, "", e))?;
    Ok(InitiateLayerUploadOutput { upload_id: Some(upload), part_size: Some(PART_BYTES) })
}

pub async fn upload_layer_part(
    backend: Backend,
    cx: Cx,
    input: UploadLayerPartInput,
) -> Result<UploadLayerPartOutput, AwsError> {
    let name = find(&backend, &cx, input.registry_id.as_deref(), &input.repository_name)?;
    let (first, last) = (input.part_first_byte, input.part_last_byte);
    if first < 0 || last < first || last - first + 1 != input.layer_part_blob.len() as i64 {
        return Err(bad_part(
            &cx,
            &name,
            &input.upload_id,
            "Layer part's length does not match the byte range specified",
        ));
    }
    let append =
        backend.manifests.append_upload(&cx.scope, &name, &input.upload_id, first as u64, input.layer_part_blob);
    append.await.map_err(|e| refused(&cx, &name, &input.upload_id, e))?;
    Ok(UploadLayerPartOutput {
        registry_id: Some(cx.scope.account.to_string()),
        repository_name: Some(name),
        upload_id: Some(input.upload_id),
        last_byte_received: Some(last),
    })
}

pub async fn complete_layer_upload(
    backend: Backend,
    cx: Cx,
    input: CompleteLayerUploadInput,
) -> Result<CompleteLayerUploadOutput, AwsError> {
    let name = find(&backend, &cx, input.registry_id.as_deref(), &input.repository_name)?;
    let [digest] = input.layer_digests.as_slice() else {
        return Err(error::invalid_at("layerDigests", "one digest is expected: that of the whole layer"));
    };
    let there = backend.manifests.blob_size(&cx.scope, &name, digest).await.map_err(error::server)?;
    if there.is_some() {
        let text = format!(
            "Layer with digest '{digest}' already exists in the repository with name '{name}' in registry with id '{}'",
            cx.scope.account
        );
        return Err(AwsError::new("LayerAlreadyExistsException", text));
    }
    let finish = backend.manifests.finish_upload(&cx.scope, &name, &input.upload_id, digest);
    finish.await.map_err(|e| refused(&cx, &name, &input.upload_id, e))?;
    Ok(CompleteLayerUploadOutput {
        registry_id: Some(cx.scope.account.to_string()),
        repository_name: Some(name),
        upload_id: Some(input.upload_id),
        layer_digest: Some(digest.clone()),
    })
}

fn find(backend: &Backend, cx: &Cx, registry: Option<&str>, name: &str) -> Result<String, AwsError> {
    backend.store.read(|state| names::repository(state, &cx.scope, registry, name)).map(|row| row.name.clone())
}

fn bad_part(cx: &Cx, name: &str, upload: &str, text: impl Into<String>) -> AwsError {
    AwsError::new("InvalidLayerPartException", text)
        .with("registryId", ErrorMember::Text(cx.scope.account.to_string()))
        .with("repositoryName", ErrorMember::Text(name.to_owned()))
        .with("uploadId", ErrorMember::Text(upload.to_owned()))
}

fn refused(cx: &Cx, name: &str, upload: &str, failure: LayerUploadError) -> AwsError {
    let account = &cx.scope.account;
    match failure {
        LayerUploadError::RepositoryNotFound => error::no_repository(&cx.scope, name),
        LayerUploadError::Unknown => AwsError::new(
            "UploadNotFoundException",
            format!(
                "The upload with id '{upload}' does not exist in the repository with name '{name}' in registry with id '{account}'"
            ),
        ),
        LayerUploadError::OutOfOrder { offset } => {
            let last = offset as i64 - 1;
            let text = format!(
                "The layer part does not begin where the upload with id '{upload}' stands. Last valid byte received: {last}"
            );
            let error = bad_part(cx, name, upload, text);
            // An upload without a byte has no last one.
            if offset > 0 { error.with("lastValidByteReceived", ErrorMember::Number(last)) } else { error }
        }
        LayerUploadError::Empty => {
            AwsError::new("EmptyUploadException", format!("The upload with id '{upload}' has no layer parts"))
        }
        LayerUploadError::DigestMismatch => AwsError::new(
            "InvalidLayerException",
            format!("The calculated digest of the upload with id '{upload}' does not match the one specified"),
        ),
        LayerUploadError::TooMany | LayerUploadError::TooLarge => AwsError::new(
            "LimitExceededException",
            "The operation did not succeed because it would have exceeded a service limit for your account.",
        ),
        LayerUploadError::Failed(cause) => error::server(cause),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ecr::testing::{LAYER, digest, web};
    use crate::logs::testing::refusal;

    #[test]
    fn parts_follow_each_other_and_end_in_a_layer() {
        let (bench, registry) = web();
        let repository_name = || "web".to_owned();
        let begin = InitiateLayerUploadInput { repository_name: repository_name(), registry_id: None };
        let upload_id = bench.call(initiate_layer_upload, begin).expect("begun").upload_id.expect("an id");
        let part = |first: i64, last: i64, bytes: &[u8]| {
            let input = UploadLayerPartInput {
                repository_name: repository_name(),
                upload_id: upload_id.clone(),
                part_first_byte: first,
                part_last_byte: last,
                layer_part_blob: bytes.to_vec(),
                ..Default::default()
            };
            bench.call(upload_layer_part, input)
        };
        let complete = |digest: &str| {
            let input = CompleteLayerUploadInput {
                repository_name: repository_name(),
                upload_id: upload_id.clone(),
                layer_digests: vec![digest.to_owned()],
                ..Default::default()
            };
            bench.call(complete_layer_upload, input)
        };
        assert!(refusal(complete(&digest('1'))).starts_with("EmptyUploadException: "));
        assert_eq!(part(0, 2, b"abc").expect("taken").last_byte_received, Some(2));
        assert!(refusal(part(0, 2, b"abc")).ends_with("Last valid byte received: 2"));
        let error = part(0, 2, b"abc").expect_err("it was received");
        let text = |text: &str| ErrorMember::Text(text.to_owned());
        let expected = [
            ("registryId", text("123456789012")),
            ("repositoryName", text("web")),
            ("uploadId", text(&upload_id)),
            ("lastValidByteReceived", ErrorMember::Number(2)),
        ];
        assert_eq!(error.members, expected);
        assert!(refusal(part(3, 9, b"d")).starts_with("InvalidLayerPartException: "));
        part(3, 3, b"d").expect("taken");
        assert!(refusal(complete(LAYER)).starts_with("LayerAlreadyExistsException: "));
        complete(&digest('1')).expect("complete");
        assert_eq!(registry.uploaded(), [(digest('1'), b"abcd".to_vec())]);
        assert!(refusal(part(4, 4, b"e")).starts_with("UploadNotFoundException: "));
    }
}
