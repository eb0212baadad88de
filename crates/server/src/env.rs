//! `longshore env`: what points clients here.

use crate::cli::EnvFormat;
use crate::config::Config;
use std::path::Path;
use std::process::ExitCode;

pub fn run(run_dir: &Path, format: EnvFormat) -> anyhow::Result<ExitCode> {
    let config = Config::read(run_dir)?;
    let variables = [
        ("AWS_ENDPOINT_URL", config.api_url()),
        ("AWS_ACCESS_KEY_ID", "longshore".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "longshore".to_owned()),
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
        }
        EnvFormat::Json => {
            let object: serde_json::Map<_, _> =
                variables.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
            println!("{}", serde_json::to_string_pretty(&object)?);
        }
    }
    Ok(ExitCode::SUCCESS)
}
