//! What stands for Amazon S3: `<data>/s3/<bucket>/<key>`. Load balancers write their logs there, environment files are read.

use longshore_api::ecs::environment_files::ObjectError;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Component, Path, PathBuf};

/// Nothing that becomes a process's environment is larger: the kernel would not take it.
const BYTES_MAX: u64 = 4 << 20;

/// The directory that stands for a bucket.
pub fn directory(data_dir: &Path, bucket: &str) -> PathBuf {
    data_dir.join("s3").join(bucket)
}

/// Reads a small object.
pub fn read(data_dir: &Path, bucket: &str, key: &str) -> Result<Vec<u8>, ObjectError> {
    // Whoever may register a task definition chooses both, and shall not leave the directory.
    if !is_bucket(bucket) {
        return Err(ObjectError::NoSuchBucket);
    }
    if key.contains('\0') || !Path::new(key).components().all(|part| matches!(part, Component::Normal(_))) {
        return Err(ObjectError::NoSuchKey);
    }
    let bucket = directory(data_dir, bucket);
    if !bucket.is_dir() {
        return Err(ObjectError::NoSuchBucket);
    }
    // Without waiting for a writer, should it be a FIFO.
    let file = std::fs::File::options().read(true).custom_flags(libc::O_NONBLOCK).open(bucket.join(key));
    let file = file.map_err(|error| match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => ObjectError::NoSuchKey,
        _ => ObjectError::Io(error),
    })?;
    let metadata = file.metadata().map_err(ObjectError::Io)?;
    if !metadata.is_file() {
        return Err(ObjectError::NoSuchKey);
    }
    let mut bytes = Vec::new();
    file.take(BYTES_MAX + 1).read_to_end(&mut bytes).map_err(ObjectError::Io)?;
    if bytes.len() as u64 > BYTES_MAX {
        return Err(ObjectError::Io(std::io::Error::new(ErrorKind::FileTooLarge, "the object has more than 4 MiB")));
    }
    Ok(bytes)
}

fn is_bucket(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-_".contains(&byte);
    !name.is_empty() && name.len() <= 63 && name.bytes().all(allowed) && !name.starts_with('.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_files_below_their_bucket_and_nothing_else() {
        let data = std::env::temp_dir().join(format!("longshore-buckets-{}", std::process::id()));
        std::fs::create_dir_all(data.join("s3/env/a")).expect("made");
        std::fs::write(data.join("s3/env/a/b.env"), "A=1").expect("written");
        std::fs::write(data.join("secret"), "no").expect("written");
        let read = |bucket: &str, key: &str| match super::read(&data, bucket, key) {
            Ok(bytes) => String::from_utf8(bytes).expect("text"),
            Err(ObjectError::NoSuchBucket) => "no bucket".to_owned(),
            Err(ObjectError::NoSuchKey) => "no key".to_owned(),
            Err(ObjectError::Io(error)) => error.to_string(),
        };
        assert_eq!(read("env", "a/b.env"), "A=1");
        for (bucket, key, expected) in [
            ("none", "a/b.env", "no bucket"),
            ("..", "secret", "no bucket"),
            ("", "secret", "no bucket"),
            ("env", "a", "no key"),
            ("env", "none", "no key"),
            ("env", "a/b.env/c", "no key"),
            ("env", "../../secret", "no key"),
            ("env", "/etc/passwd", "no key"),
        ] {
            assert_eq!(read(bucket, key), expected, "{bucket} {key}");
        }
        std::fs::remove_dir_all(&data).expect("removed");
    }
}
