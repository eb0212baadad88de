//! Disks that are full, or cannot be written.

use crate::kit::{Kit, definition};
use anyhow::{Context, bail, ensure};
use longshore_tests::api::{Api, Failure};
use longshore_tests::instance::Instance;
use longshore_tests::wait;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// A file system in memory of its own, unmounted in the end.
struct Disk(PathBuf);

impl Disk {
    fn mount(path: &Path, options: &str) -> anyhow::Result<Self> {
        std::fs::create_dir_all(path)?;
        mount(&["-t", "tmpfs", "-o", options, "longshore-test"], path)?;
        Ok(Self(path.to_owned()))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if let Err(error) = Command::new("umount").arg("--lazy").arg(&self.0).status() {
            eprintln!("{} stays mounted: {error}", self.0.display());
        }
    }
}

fn mount(arguments: &[&str], path: &Path) -> anyhow::Result<()> {
    let status = Command::new("mount").args(arguments).arg(path).status()?;
    ensure!(status.success(), "mount {arguments:?} {}: {status}", path.display());
    Ok(())
}

pub fn full(kit: &Kit) -> anyhow::Result<()> {
    let mut instance = Instance::new(&kit.binary, "none")?;
    let disk = Disk::mount(&instance.data_dir(), "size=24m")?;
    instance.up()?;
    let mut api = Api::open(instance.listen)?;
    let mut acknowledged = Vec::new();
    // What else is on the disk grows while calls are made, until nothing more goes in.
    let filler = instance.data_dir().join("filler");
    let mut file = std::fs::File::create(&filler)?;
    let refusal = loop {
        let _ = std::io::Write::write_all(&mut file, &[7; 16 << 10]);
        let family = format!("family-{}", acknowledged.len());
        match api.ecs("RegisterTaskDefinition", &definition(&family, "web", &json!({}))) {
            Ok(_) => acknowledged.push(family),
            Err(Failure::Refused { code, message }) => break format!("{code}: {message}"),
            Err(lost) => bail!("a full disk is answered: {lost}"),
        }
        ensure!(acknowledged.len() < 20_000, "the disk does not fill");
    };
    ensure!(!acknowledged.is_empty(), "nothing fitted: {refusal}");
    ensure!(refusal.starts_with("ServerException") || refusal.starts_with("InternalFailure"), "{refusal}");
    let there = |api: &mut Api, families: &[String]| -> anyhow::Result<()> {
        for family in families {
            let described = api.ecs("DescribeTaskDefinition", &json!({"taskDefinition": family}));
            described.with_context(|| format!("{family} was acknowledged"))?;
        }
        Ok(())
    };
    there(&mut api, &acknowledged).context("reading goes on while the disk is full")?;

    std::fs::remove_file(&filler)?;
    drop(file);
    wait::until("it can be written again", Duration::from_secs(30), || {
        let mut api = Api::open(instance.listen).map_err(|error| format!("{error:#}"))?;
        let registered = api.ecs("RegisterTaskDefinition", &definition("after", "web", &json!({})));
        registered.map(drop).map_err(|error| error.to_string())
    })?;
    acknowledged.push("after".to_owned());
    instance.kill("up")?;
    instance.up()?;
    there(&mut Api::open(instance.listen)?, &acknowledged)?;
    instance.down()?;
    drop(disk);
    Ok(())
}

pub fn read_only(kit: &Kit) -> anyhow::Result<()> {
    let mut instance = Instance::new(&kit.binary, "none")?;
    let _disk = Disk::mount(&instance.data_dir(), "size=1m,ro")?;
    let Err(error) = instance.up() else { bail!("it started on a disk that cannot be written") };
    let (text, directory) = (format!("{error:#}"), instance.data_dir().display().to_string());
    ensure!(text.contains("Read-only file system") && text.contains(&directory), "{text}");
    Ok(())
}

pub fn damaged(kit: &Kit) -> anyhow::Result<()> {
    let mut instance = Instance::new(&kit.binary, "none")?;
    std::fs::create_dir_all(instance.data_dir())?;
    std::fs::write(instance.data_dir().join("store.redb"), [7; 100_000])?;
    let Err(error) = instance.up() else { bail!("it started with a store that is none") };
    let text = format!("{error:#}");
    ensure!(text.contains("store.redb is damaged") && text.contains("`longshore up` ended"), "{text}");
    Ok(())
}
