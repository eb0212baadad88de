//! The walk-through of the demonstration, with each client and each runtime.

use crate::kit::{Kit, exists};
use anyhow::{Context, bail};
use longshore_tests::aws::Aws;
use longshore_tests::instance::Instance;
use longshore_tests::{root, sample};
use std::process::Command;

/// Runs the script to its end, clean-up included.
fn walk(instance: &Instance, aws: &Aws, image: &str, simulated: bool) -> anyhow::Result<()> {
    let mut command = Command::new(root().join("demo/walkthrough.sh"));
    aws.environment(&mut command);
    // The script says `aws`; a directory with just that name comes first in its path.
    let bin = instance.dir.join("bin");
    std::fs::create_dir_all(&bin)?;
    let name = bin.join("aws");
    let _ = std::fs::remove_file(&name);
    let program = Command::new("sh").args(["-c", &format!("command -v {}", aws.program())]).output()?;
    std::os::unix::fs::symlink(String::from_utf8_lossy(&program.stdout).trim(), &name)?;
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{}:{path}", bin.display())).env("IMAGE", image).env("NO_COLOR", "1");
    if simulated {
        command.env("CURL", "0");
    }
    let output = command.output().context("start the walk-through")?;
    if !output.status.success() {
        let [out, err] = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
        bail!("the walk-through ended with {}:\n{err}\n{out}", output.status);
    }
    Ok(())
}

pub fn passes_with_version_1(kit: &Kit) -> anyhow::Result<()> {
    kit.on("builtin", |instance| {
        let image = sample::web(instance)?;
        walk(instance, &Aws::new(instance), &image, false)
    })
}

/// Debian's version 2 is older than the variable for the endpoint, so that it takes the option.
pub fn passes_with_version_2(kit: &Kit) -> anyhow::Result<()> {
    kit.on("builtin", |instance| {
        let aws = Aws::new(instance).with_program("/usr/bin/aws", true);
        let version = aws.version().context("no CLI at /usr/bin/aws: apt-get install awscli")?;
        if !version.starts_with("aws-cli/2") {
            bail!("/usr/bin/aws is {version}, not version 2");
        }
        let image = sample::web(instance)?;
        walk(instance, &aws, &image, false)
    })
}

pub fn passes_with_runc(kit: &Kit) -> anyhow::Result<()> {
    let runc = ["/usr/sbin/runc", "/usr/bin/runc", "/usr/local/sbin/runc"].into_iter().find(|path| exists(path));
    kit.on(runc.context("no runc: apt-get install runc")?, |instance| {
        let image = sample::web(instance)?;
        walk(instance, &Aws::new(instance), &image, false)
    })
}

pub fn passes_with_simulated_tasks(kit: &Kit) -> anyhow::Result<()> {
    kit.on("none", |instance| walk(instance, &Aws::new(instance), "example.com/web:1", true))
}
