//! `runc run --detach` with a bundle that is ready: what starting costs without anybody who manages.

use super::{median, write};
use crate::shell;
use serde_json::json;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

/// Milliseconds.
pub fn starts(work: &Path, count: usize) -> anyhow::Result<f64> {
    let bundle = work.join("bundle");
    std::fs::create_dir_all(bundle.join("rootfs"))?;
    std::fs::copy(work.join("web"), bundle.join("rootfs/web"))?;
    shell::run(Command::new("runc").arg("spec").current_dir(&bundle))?;
    let mut spec: serde_json::Value = serde_json::from_slice(&std::fs::read(bundle.join("config.json"))?)?;
    spec["process"]["terminal"] = json!(false);
    spec["process"]["args"] = json!(["/web"]);
    write(&bundle.join("config.json"), &spec.to_string())?;
    let root = work.join("runc");
    let runc = |arguments: &[&str]| {
        let mut command = Command::new("runc");
        command.arg("--root").arg(&root).args(arguments);
        command
            .stdin(std::process::Stdio::null())
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null());
        command
    };
    let mut took = Vec::new();
    for number in 0..count + 2 {
        let id = format!("bench-{}-{number}", std::process::id());
        let mut command = runc(&["run", "--detach", "--bundle", &bundle.display().to_string(), &id]);
        let started = Instant::now();
        shell::run(&mut command)?;
        if number >= 2 {
            took.push(started.elapsed().as_secs_f64() * 1000.0);
        }
        shell::run(&mut runc(&["delete", "--force", &id]))?;
    }
    Ok(median(&took).unwrap_or_default())
}
