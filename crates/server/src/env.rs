//! `longshore env`: what points clients here.

use crate::cli::EnvFormat;
use crate::config::{Auth, Config};
use crate::credentials;
use std::path::Path;
use std::process::ExitCode;

pub fn run(run_dir: &Path, format: EnvFormat) -> anyhow::Result<ExitCode> {
    let config = Config::read(run_dir)?;
    // Open mode takes every key, and everybody may know it; the account's own is for who may read it.
    let (access_key_id, secret_access_key) = match config.auth {
        Auth::Open => ("longshore".to_owned(), "longshore".to_owned()),
        Auth::Iam => {
            let key = credentials::read(&config)?;
            (key.access_key_id, key.secret_access_key)
        }
    };
    let variables = [
        ("AWS_ENDPOINT_URL", config.api_url()),
        ("AWS_ACCESS_KEY_ID", access_key_id),
        ("AWS_SECRET_ACCESS_KEY", secret_access_key),
        ("AWS_DEFAULT_REGION", config.region.clone()),
        ("AWS_REGION", config.region.clone()),
    ];
    match format {
        EnvFormat::Sh => {
            for (name, value) in &variables {
                println!("export {name}={value}");
            }
            // Credentials of another account would win over the ones above.
            println!("unset AWS_PROFILE AWS_SESSION_TOKEN");
            if is_old_client() {
                println!("# This aws is older than 1.29 or 2.13 and does not read AWS_ENDPOINT_URL.");
                println!("aws() {{ command aws --endpoint-url \"$AWS_ENDPOINT_URL\" \"$@\"; }}");
                println!("[ -z \"${{BASH_VERSION:-}}\" ] || export -f aws");
            }
        }
        EnvFormat::Json => {
            let object: serde_json::Map<_, _> =
                variables.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
            println!("{}", serde_json::to_string_pretty(&object)?);
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Whether the `aws` on the path is one that does not read `AWS_ENDPOINT_URL`.
fn is_old_client() -> bool {
    let Ok(output) = std::process::Command::new("aws").arg("--version").output() else { return false };
    let text = String::from_utf8_lossy(&output.stdout);
    version(&text).is_some_and(|version| version < (1, 29) || ((2, 0)..(2, 13)).contains(&version))
}

/// Major and minor of `aws-cli/2.9.19 Python/…`.
fn version(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.strip_prefix("aws-cli/")?.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read() {
        assert_eq!(version("aws-cli/2.9.19 Python/3.11.2 Linux/6.1"), Some((2, 9)));
        assert_eq!(version("aws-cli/1.45.11 Python/3.11.7"), Some((1, 45)));
        assert_eq!(version("something else"), None);
    }
}
