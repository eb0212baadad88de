//! `longshore down` ends what is its own, all of it, and nothing else.

use crate::kit::{Busybox, Kit, exists, says};
use anyhow::{Context, ensure};
use longshore_tests::instance::Instance;
use longshore_tests::{leftovers, wait};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// What `up` says when it refuses to start.
fn refusal(instance: &mut Instance) -> anyhow::Result<String> {
    match instance.up() {
        Ok(()) => anyhow::bail!("it started"),
        Err(error) => Ok(format!("{error:#}")),
    }
}

fn names(directory: &Path) -> anyhow::Result<Vec<String>> {
    let entries = std::fs::read_dir(directory).with_context(|| format!("list {}", directory.display()))?;
    let mut names: Vec<String> = entries.flatten().map(|e| e.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    Ok(names)
}

/// Everything of the instance is gone from the machine.
fn nothing_runs(instance: &Instance) -> anyhow::Result<()> {
    wait::until("nothing is left", Duration::from_secs(5), || {
        let left = leftovers::of(instance);
        if left.is_empty() { Ok(()) } else { Err(format!("{left:#?}")) }
    })
}

/// Volumes make a task's directory, so that there is something to lose.
fn with_a_file(busybox: &mut Busybox) -> anyhow::Result<Value> {
    busybox.task("sleeps", &json!({"command": ["sh", "-c", "echo 1 > /file; sleep 1000"]}), "RUNNING")
}

pub fn data_of_another_is_left_alone(kit: &Kit) -> anyhow::Result<()> {
    kit.on("builtin", |first| {
        let mut busybox = Busybox::new(first)?;
        let task = with_a_file(&mut busybox)?;
        let arn = task["taskArn"].as_str().context("an ARN")?.to_owned();
        let data = first.data_dir();
        let files = (names(&data.join("tasks"))?, names(&data.join("images"))?);
        ensure!(!files.0.is_empty(), "the task has no directory");

        let mut second = Instance::new(&kit.binary, "builtin")?;
        std::os::unix::fs::symlink(&data, second.data_dir())?;
        let owner = first.run_dir().display().to_string();
        says(&refusal(&mut second)?, &["is in use by the Longshore in", &owner])?;
        second.down()?;
        ensure!(files == (names(&data.join("tasks"))?, names(&data.join("images"))?), "files of a task are gone");

        // Its tasks go on after Ctrl-C, and are its own still.
        first.interrupt()?;
        says(&refusal(&mut second)?, &["belongs to the Longshore in", &owner, "longshore down --run-dir"])?;
        second.down()?;
        first.up()?;
        let mut api = longshore_tests::api::Api::open(first.listen)?;
        let described = api.ecs("DescribeTasks", &json!({"tasks": [arn]}))?;
        ensure!(described["tasks"][0]["lastStatus"] == "RUNNING", "{described}");
        ensure!(files == (names(&data.join("tasks"))?, names(&data.join("images"))?), "files of a task are gone");

        // With its tasks ended, the data may move on.
        first.down()?;
        ensure!(names(&data.join("tasks"))?.is_empty(), "`down` leaves files of tasks");
        second.up()?;
        second.down()
    })
}

/// The last `up` alone does not tell what the ones before it made.
pub fn everything_ends_whatever_the_last_up_was_told(kit: &Kit) -> anyhow::Result<()> {
    kit.on("builtin", |instance| {
        let mut busybox = Busybox::new(instance)?;
        with_a_file(&mut busybox)?;
        let hosts = || std::fs::read_to_string("/etc/hosts").unwrap_or_default();
        let block = format!("# BEGIN Longshore {}", instance.run_dir().display());
        wait::until("names are in /etc/hosts", Duration::from_secs(5), || {
            if hosts().contains(&block) { Ok(()) } else { Err(hosts()) }
        })?;
        instance.interrupt()?;
        instance.runtime = "none".to_owned();
        says(&refusal(instance)?, &["containers of an earlier `up` are in", "longshore down --run-dir"])?;

        instance.runtime = "builtin".to_owned();
        instance.options = vec!["--no-hosts".to_owned()];
        instance.up()?;
        instance.down()?;
        nothing_runs(instance)?;

        // A network without tasks.
        instance.options.clear();
        instance.up()?;
        Busybox::new(instance)?;
        instance.interrupt()?;
        instance.runtime = "none".to_owned();
        instance.up()
    })
}

pub fn what_runs_is_found_without_the_run_directory(kit: &Kit) -> anyhow::Result<()> {
    kit.on("builtin", |instance| {
        let mut busybox = Busybox::new(instance)?;
        with_a_file(&mut busybox)?;
        // What is mounted in it stays.
        Command::new("rm").arg("-rf").arg(instance.run_dir()).output()?;
        instance.command(&["down"])?;
        nothing_runs(instance)?;
        instance.interrupt()?;
        ensure!(!instance.run_dir().exists(), "left: {:?}", names(&instance.run_dir())?);

        instance.up()?;
        let mut busybox = Busybox::new(instance)?;
        with_a_file(&mut busybox)?;
        instance.interrupt()?;
        Command::new("rm").arg("-rf").arg(instance.run_dir()).output()?;
        says(&refusal(instance)?, &["an earlier Longshore in", "longshore down --run-dir"])?;
        instance.down()?;
        nothing_runs(instance)?;
        let cgroup = format!("/sys/fs/cgroup/longshore{}", instance.suffix());
        ensure!(!exists(&cgroup), "{cgroup} is left");
        instance.up()
    })
}
