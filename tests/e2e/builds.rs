//! Builds of images.

use crate::kit::Kit;
use anyhow::{Context, ensure};
use longshore_tests::{sample, wait};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// A killed builder's command dies with it, and the next build removes what it left.
pub fn killed(kit: &Kit) -> anyhow::Result<()> {
    kit.on("builtin", |instance| {
        let image = sample::busybox(instance)?;
        let directory = instance.dir.join("image");
        std::fs::create_dir_all(&directory)?;
        let place = directory.to_str().context("text")?;
        // A number that no other command on this machine has.
        let command = format!("sleep 31{:07}", std::process::id());
        std::fs::write(directory.join("Dockerfile"), format!("FROM {image}\nRUN {command}\n"))?;
        let mut builder = Command::new(&kit.binary)
            .args(["image", "build", "-t", "built", place, "--run-dir"])
            .arg(instance.run_dir())
            .stdout(Stdio::null())
            .spawn()?;
        let limit = Duration::from_secs(30);
        let runs = wait::until("the command runs", limit, || match running(&command) {
            true => Ok(()),
            false => Err("no such process".to_owned()),
        });
        builder.kill()?;
        builder.wait()?;
        runs?;
        wait::until("the command dies with its builder", limit, || match running(&command) {
            true => Err("it runs".to_owned()),
            false => Ok(()),
        })?;
        let builds = instance.run_dir().join("builds");
        ensure!(names(&builds)?.len() == 1, "the directory of a killed builder: {:?}", names(&builds)?);
        std::fs::write(directory.join("Dockerfile"), format!("FROM {image}\nRUN echo fine > /fine\n"))?;
        instance.command(&["image", "build", "-t", "built", place])?;
        ensure!(names(&builds)?.is_empty(), "left: {:?}", names(&builds)?);
        let session = names(&instance.data_dir().join("images/tmp"))?;
        ensure!(session.len() == 1, "more than the agent's: {session:?}");
        Ok(())
    })
}

/// Whether a process has these words in its command line.
fn running(command: &str) -> bool {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let lines = entries.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
    let words = |line: Vec<u8>| String::from_utf8_lossy(&line).replace('\0', " ");
    lines.map(words).any(|line| line.trim_end() == command)
}

fn names(directory: &Path) -> anyhow::Result<Vec<String>> {
    let entries = std::fs::read_dir(directory).with_context(|| format!("list {}", directory.display()))?;
    entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
}
