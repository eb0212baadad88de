//! `environmentFiles` of container definitions and overrides: objects of S3 with a variable a line, read as the execution
//! role when a task starts. Fargate takes them as Docker takes an `--env-file`.
//! <https://docs.aws.amazon.com/AmazonECS/latest/developerguide/use-environment-file.html>

use super::error;
use super::resolve_secrets::Acting;
use crate::{Cx, identity};
use longshore_aws_model::AwsError;
use longshore_aws_model::ecs as wire;
use longshore_store::Snapshot;
use longshore_types::Scope;
use longshore_types::arn::Arn;
use longshore_types::ecs::ContainerDefinition;

const FILES_MAX: usize = 10;
const FAILED: &str =
    "ResourceInitializationError: failed to download env files: file download command: non empty error stream:";

/// Why an object cannot be had.
#[derive(Debug)]
pub enum ObjectError {
    NoSuchBucket,
    NoSuchKey,
    Io(std::io::Error),
}

/// Reads an object: bucket and key.
pub type ReadObject<'a> = &'a dyn Fn(&str, &str) -> Result<Vec<u8>, ObjectError>;

/// The ARNs of a container's files.
pub fn arns(given: Option<Vec<wire::EnvironmentFile>>, container: &str) -> Result<Vec<String>, AwsError> {
    let given = given.unwrap_or_default();
    if given.len() > FILES_MAX {
        return Err(error::client(format!(
            "Too many environment files for container '{container}': environmentFiles has at most {FILES_MAX} entries."
        )));
    }
    let arn = |file: wire::EnvironmentFile| {
        let (kind, arn) = (file.r#type.unwrap_or_default(), file.value.unwrap_or_default());
        if kind != "s3" {
            return Err(error::client(format!(
                "Invalid type '{kind}' in environmentFiles of container '{container}': the type is s3."
            )));
        }
        match object(&arn) {
            Some((_, key)) if key.ends_with(".env") => Ok(arn),
            Some(_) => Err(error::client(format!(
                "Invalid value '{arn}' in environmentFiles of container '{container}': the file must have the extension .env."
            ))),
            None => Err(error::client(format!(
                "Invalid value '{arn}' in environmentFiles of container '{container}': it is not the ARN of an object of Amazon S3."
            ))),
        }
    };
    given.into_iter().map(arn).collect()
}

/// Bucket and key of `arn:aws:s3:::<bucket>/<key>`.
fn object(arn: &str) -> Option<(&str, &str)> {
    let arn = Arn::parse(arn).filter(|arn| arn.service == "s3")?;
    arn.resource.split_once('/').filter(|(bucket, key)| !bucket.is_empty() && !key.is_empty())
}

/// The variables that a container's files add to its own: `environment` and `secrets` come before files, and a file before
/// those after it. Or the reason that the task is stopped for.
pub fn variables(
    state: &Snapshot,
    acting: Acting<'_>,
    scope: &Scope,
    read: ReadObject<'_>,
    container: &ContainerDefinition,
) -> Result<Vec<(String, String)>, String> {
    let own = container.environment.iter().map(|(name, _)| name).chain(container.secrets.iter().map(|s| &s.name));
    let mut taken: Vec<String> = own.cloned().collect();
    let mut variables = Vec::new();
    for arn in &container.environment_files {
        let bytes = download(state, &|| acting(scope.clone()), read, arn)?;
        let file =
            parse(&bytes).map_err(|why| format!("ResourceInitializationError: invalid env file {arn}: {why}"))?;
        // In one file the last line wins.
        for (name, value) in file.into_iter().rev() {
            if !taken.contains(&name) {
                taken.push(name.clone());
                variables.push((name, value));
            }
        }
    }
    Ok(variables)
}

fn download(state: &Snapshot, acting: &dyn Fn() -> Cx, read: ReadObject<'_>, arn: &str) -> Result<Vec<u8>, String> {
    // As the node's SDK tells an error of S3.
    let failed = |code: &str, text: &str, status: u16| {
        let id = acting().request_id;
        format!("{FAILED} {code}: {text} status code: {status}, request id: {id}, host id: {id}")
    };
    let denied = || failed("AccessDenied", "Access Denied", 403);
    let Some((bucket, key)) = object(arn) else {
        return Err(failed("NoSuchKey", "The specified key does not exist.", 404));
    };
    let of_bucket = format!("arn:aws:s3:::{bucket}");
    let may = |action: &str, resource: &str| identity::allows(state, acting(), action, resource).is_ok();
    if !may("s3:GetBucketLocation", &of_bucket) || !may("s3:GetObject", arn) {
        return Err(denied());
    }
    read(bucket, key).map_err(|error| match error {
        ObjectError::NoSuchBucket => failed("NoSuchBucket", "The specified bucket does not exist", 404),
        // S3 tells what is not there only to those who may list.
        ObjectError::NoSuchKey if !may("s3:ListBucket", &of_bucket) => denied(),
        ObjectError::NoSuchKey => failed("NoSuchKey", "The specified key does not exist.", 404),
        ObjectError::Io(error) => failed("InternalError", &error.to_string(), 500),
    })
}

/// `VARIABLE=VALUE` lines, as they are: nothing is unquoted, expanded or trimmed but the space before a name. Empty lines,
/// lines that begin with `#`, and names alone, which Docker would take from its own environment, say nothing.
pub(crate) fn parse(bytes: &[u8]) -> Result<Vec<(String, String)>, String> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut variables = Vec::new();
    for (number, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        let number = number + 1;
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let line = str::from_utf8(line).map_err(|_| format!("line {number} is not UTF-8"))?;
        if line.contains('\0') {
            return Err(format!("line {number} has a zero byte"));
        }
        let line = line.trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (name, value) = line.split_once('=').map_or((line, None), |(name, value)| (name, Some(value)));
        if name.is_empty() {
            return Err(format!("no variable name on line {number}"));
        }
        if name.contains([' ', '\t']) {
            return Err(format!("the variable on line {number} contains whitespaces"));
        }
        if let Some(value) = value {
            variables.push((name.to_owned(), value.to_owned()));
        }
    }
    Ok(variables)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Fixture;
    use longshore_types::ecs::SecretReference;

    fn objects(bucket: &str, key: &str) -> Result<Vec<u8>, ObjectError> {
        match (bucket, key) {
            ("env", "a.env") => Ok(b"A=first\nB=first\nC=first\n".to_vec()),
            ("env", "b.env") => Ok(b"C=second\nD=second\nD=again\n".to_vec()),
            ("env", "bad.env") => Ok(b"X=1\nno way=1\n".to_vec()),
            ("env", _) => Err(ObjectError::NoSuchKey),
            _ => Err(ObjectError::NoSuchBucket),
        }
    }

    fn read(files: &[&str]) -> Result<Vec<(String, String)>, String> {
        let fixture = Fixture::new();
        let container = ContainerDefinition {
            name: "app".to_owned(),
            environment: vec![("A".to_owned(), "own".to_owned())],
            secrets: vec![SecretReference { name: "B".to_owned(), value_from: "/b".to_owned() }],
            environment_files: files.iter().map(|file| format!("arn:aws:s3:::{file}")).collect(),
            ..Default::default()
        };
        let acting = |_| fixture.cx();
        let mut read = fixture.read(|state, cx| variables(state, &acting, &cx.scope, &objects, &container))?;
        read.sort();
        Ok(read)
    }

    #[test]
    fn lines_are_taken_as_docker_takes_them() {
        let text = "\u{feff}A=1\r\n\n# comment\n  # too\n  B= two words \nC=\"quoted\"\nD=a=b#c\nEMPTY=\nALONE\nE=$A\n";
        let read: Vec<String> =
            parse(text.as_bytes()).expect("fine").into_iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(read, ["A=1", "B= two words ", "C=\"quoted\"", "D=a=b#c", "EMPTY=", "E=$A"]);
        for (text, why) in [
            ("A=1\n=2", "no variable name on line 2"),
            ("export A=1", "the variable on line 1 contains whitespaces"),
            ("A =1", "the variable on line 1 contains whitespaces"),
            ("A=\0", "line 1 has a zero byte"),
        ] {
            assert_eq!(parse(text.as_bytes()), Err(why.to_owned()));
        }
        assert_eq!(parse(b"A=1\nB=\xff"), Err("line 2 is not UTF-8".to_owned()));
    }

    #[test]
    fn a_containers_own_variables_come_first_and_then_the_first_file() {
        let read = read(&["env/a.env", "env/b.env"]).expect("all are there");
        let read: Vec<String> = read.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(read, ["C=first", "D=again"]);
    }

    #[test]
    fn what_lacks_is_told_as_fargate_tells_it() {
        let failure = |file: &str| read(&[file]).expect_err("it fails");
        let begin = "ResourceInitializationError: failed to download env files: file download command: non empty error stream: ";
        let key = failure("env/none.env");
        assert!(
            key.starts_with(&format!(
                "{begin}NoSuchKey: The specified key does not exist. status code: 404, request id: "
            )),
            "{key}"
        );
        let bucket = failure("nobody/a.env");
        assert!(bucket.starts_with(&format!("{begin}NoSuchBucket: ")), "{bucket}");
        assert_eq!(
            failure("env/bad.env"),
            "ResourceInitializationError: invalid env file arn:aws:s3:::env/bad.env: the variable on line 2 contains whitespaces"
        );
    }

    #[test]
    fn only_env_files_of_s3_are_taken_and_no_more_than_ten() {
        let file = |kind: &str, value: &str| wire::EnvironmentFile {
            r#type: Some(kind.to_owned()),
            value: Some(value.to_owned()),
        };
        let good = "arn:aws:s3:::bucket/a/b.env";
        assert_eq!(arns(Some(vec![file("s3", good)]), "app"), Ok(vec![good.to_owned()]));
        for (kind, value) in [
            ("ssm", good),
            ("s3", "s3://bucket/a.env"),
            ("s3", "arn:aws:s3:::bucket"),
            ("s3", "arn:aws:s3:::/a.env"),
            ("s3", "arn:aws:s3:::bucket/a.txt"),
            ("s3", "arn:aws:ssm:us-east-1:123456789012:parameter/a.env"),
        ] {
            let error = arns(Some(vec![file(kind, value)]), "app").expect_err(value);
            assert!(error.code == "ClientException" && error.message.contains("environmentFiles"), "{error:?}");
        }
        assert!(
            arns(Some(vec![file("s3", good); 11]), "app").expect_err("too many").message.contains("environmentFiles")
        );
    }
}
