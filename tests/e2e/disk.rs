//! Disks that are full, or cannot be written.

use crate::kit::{Busybox, Kit, definition, register, run_task, says, wait_status};
use anyhow::{Context, bail, ensure};
use longshore_tests::api::{Api, Failure};
use longshore_tests::instance::Instance;
use longshore_tests::wait;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// A file system of its own, unmounted in the end.
struct Disk(PathBuf);

impl Disk {
    /// In memory.
    fn mount(path: &Path, options: &str) -> anyhow::Result<Self> {
        std::fs::create_dir_all(path)?;
        mount(&["-t", "tmpfs", "-o", options, "longshore-test"], path)?;
        Ok(Self(path.to_owned()))
    }

    /// In the file at `image`.
    fn mount_ext4(path: &Path, image: &Path, size_mib: u64) -> anyhow::Result<Self> {
        std::fs::create_dir_all(path)?;
        std::fs::File::create(image)?.set_len(size_mib << 20)?;
        let made = Command::new("mkfs.ext4").arg("-q").arg(image).status()?;
        ensure!(made.success(), "mkfs.ext4 {}: {made}", image.display());
        let image = image.to_str().context("a path of ours is text")?;
        mount(&["-o", "loop", image], path)?;
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

pub fn filled_by_a_task(kit: &Kit) -> anyhow::Result<()> {
    let mut instance = Instance::new(&kit.binary, "builtin")?;
    let disk = Disk::mount_ext4(&instance.data_dir(), &instance.dir.join("disk.img"), 400)?;
    instance.up()?;
    fill_and_stop(&instance).with_context(|| format!("the log of the instance:\n{}", instance.log_tail()))?;
    instance.down()?;
    drop(disk);
    Ok(())
}

fn fill_and_stop(instance: &Instance) -> anyhow::Result<()> {
    let mut busybox = Busybox::new(instance)?;
    let idle = json!({"command": ["sleep", "1000"]});
    let idle = register(&mut busybox.api, &definition("idle", &busybox.image, &idle))?;
    let service = json!({
        "serviceName": "idle", "taskDefinition": idle, "desiredCount": 0, "launchType": "FARGATE",
        "networkConfiguration": busybox.network.configuration(),
    });
    busybox.api.ecs("CreateService", &service)?;

    // It takes whatever room is given back, for as long as it runs.
    let fill = json!({"command": ["sh", "-c", "while :; do cat /dev/zero >> /big; sleep 0.1; done 2> /dev/null"]});
    let filler = busybox.task("filler", &fill, "RUNNING")?["taskArn"].as_str().context("an ARN")?.to_owned();
    // Changes need room, too, and find the disk full in the end.
    let limit = Duration::from_secs(120);
    let refusal = wait::until("the disk is full", limit, || {
        let large = json!({"dockerLabels": {"large": "x".repeat(20_000)}});
        match busybox.api.ecs("RegisterTaskDefinition", &definition("more", "web", &large)) {
            Ok(_) => Err(instance.command(&["status"]).unwrap_or_default()),
            Err(refusal) => Ok(refusal.to_string()),
        }
    })?;
    says(&refusal, &["the disk is full", &instance.data_dir().display().to_string()])?;
    says(&instance.command(&["status"])?, &["disk full: ", " MiB are kept free"])?;
    let refused = run_task(&mut busybox.api, &busybox.network, &idle).unwrap_or_else(|error| format!("{error:#}"));
    says(&refused, &["the disk is full"])?;
    busybox.api.ecs("UpdateService", &json!({"service": "idle", "desiredCount": 1}))?;
    std::thread::sleep(Duration::from_secs(2));
    let tasks = busybox.api.ecs("ListTasks", &json!({"serviceName": "idle"}))?;
    ensure!(tasks["taskArns"] == json!([]), "a service starts nothing on a full disk: {tasks}");

    busybox.api.ecs("StopTask", &json!({"task": filler})).context("what fills the disk can be stopped")?;
    wait_status(&mut busybox.api, &filler, "STOPPED")?;
    let task = wait::until("there is room again", limit, || {
        run_task(&mut busybox.api, &busybox.network, &idle).map_err(|error| format!("{error:#}"))
    })?;
    wait_status(&mut busybox.api, &task, "RUNNING")?;
    let of_service = wait::until("the service starts what waited", limit, || {
        let tasks = busybox.api.ecs("ListTasks", &json!({"serviceName": "idle"})).map_err(|e| e.to_string())?;
        tasks["taskArns"][0].as_str().map(str::to_owned).ok_or_else(|| tasks.to_string())
    })?;
    wait_status(&mut busybox.api, &of_service, "RUNNING")?;
    let status = instance.command(&["status"])?;
    ensure!(!status.contains("disk full"), "{status}");
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
