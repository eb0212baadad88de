//! What runs outlives what manages it, and what was acknowledged is there.

use crate::kit::{Kit, definition};
use anyhow::{Context, bail, ensure};
use longshore_tests::api::{Api, Failure};
use longshore_tests::instance::Instance;
use longshore_tests::random::Random;
use longshore_tests::service::{Balanced, Load};
use longshore_tests::wait;
use serde_json::json;
use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

pub fn no_request_fails(kit: &Kit) -> anyhow::Result<()> {
    kit.on("builtin", |instance| {
        let mut service = Balanced::start(instance)?;
        let before = service.tasks()?;
        ensure!(before.len() == 2, "{before:?}");
        let load = Load::start(&service, 200);
        for role in ["server", "agent", "up", "agent", "server", "up"] {
            let old = instance.pid(role).with_context(|| format!("{role} runs"))?;
            instance.kill(role)?;
            std::thread::sleep(Duration::from_millis(500));
            if role == "up" {
                instance.spawn()?;
            }
            wait::until(&format!("a new {role} runs"), Duration::from_secs(20), || match instance.pid(role) {
                Some(pid) if pid != old && instance.is_ready() => Ok(()),
                seen => Err(format!("{seen:?}")),
            })?;
            std::thread::sleep(Duration::from_secs(1));
        }
        service.api = Api::open(instance.listen)?;
        let after = wait::until("both tasks are there", Duration::from_secs(10), || match service.tasks() {
            Ok(tasks) if tasks.len() == 2 => Ok(tasks),
            other => Err(format!("{other:?}")),
        })?;
        ensure!(before == after, "containers were started again: {before:?}, {after:?}");
        load.end_without_failures()
    })
}

/// What an upgrade of a package does, and the tightest umask that root has somewhere.
pub fn a_program_may_be_replaced(kit: &Kit) -> anyhow::Result<()> {
    let place = |instance: &mut Instance| {
        let umask = instance.dir.join("umask");
        let program = instance.dir.join("longshore");
        std::fs::copy(&instance.binary, &program)?;
        std::fs::write(&umask, format!("#!/bin/sh\numask 077\nexec {} \"$@\"\n", program.display()))?;
        std::fs::set_permissions(&umask, std::fs::Permissions::from_mode(0o755))?;
        instance.binary = umask;
        Ok(())
    };
    kit.on_prepared("builtin", place, |instance| {
        let mode = |path: &Path| anyhow::Ok(std::fs::metadata(path)?.permissions().mode() & 0o777);
        ensure!(mode(&instance.run_dir())? == 0o755, "others may ask for its status");
        let hosts = mode(Path::new("/etc/hosts"))?;
        let mut service = Balanced::start(instance)?;
        ensure!(
            mode(Path::new("/etc/hosts"))? == hosts && hosts & 0o444 == 0o444,
            "everybody resolves names: {hosts:o}"
        );
        std::fs::remove_file(instance.dir.join("longshore"))?;
        instance.binary = kit.binary.clone();
        for role in ["agent", "balancer", "server"] {
            let old = instance.pid(role).with_context(|| format!("{role} runs"))?;
            instance.kill(role)?;
            wait::until(&format!("a new {role} runs"), Duration::from_secs(20), || match instance.pid(role) {
                Some(pid) if pid != old && instance.is_ready() => Ok(()),
                seen => Err(format!("{seen:?}: {}", instance.log_tail())),
            })?;
        }
        service.api = Api::open(instance.listen)?;
        let before = service.tasks()?;
        let (gone, _) = before.first_key_value().context("a task")?;
        service.api.ecs("StopTask", &json!({"task": gone}))?;
        wait::until("another task takes its place", Duration::from_secs(30), || match service.tasks() {
            Ok(tasks) if tasks.len() == 2 && !tasks.contains_key(gone) => Ok(()),
            seen => Err(format!("{seen:?}")),
        })
    })
}

/// Otherwise the other one would answer in its place, and it would call itself ready.
pub fn a_taken_port_is_told(kit: &Kit) -> anyhow::Result<()> {
    kit.on("none", |first| {
        let mut second = Instance::new(&kit.binary, "none")?;
        second.listen = first.listen;
        second.spawn()?;
        let text = format!("cannot listen on {}", first.listen);
        wait::until("it says so", Duration::from_secs(20), || match second.log_tail() {
            told if told.contains(&text) => Ok(()),
            other => Err(other),
        })?;
        second.down()
    })
}

pub fn acknowledged_calls_survive(kit: &Kit) -> anyhow::Result<()> {
    let seed = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_nanos() as u64;
    let result = kit.on("builtin", |instance| kill_between_calls(instance, seed));
    result.with_context(|| format!("seed {seed}"))
}

fn kill_between_calls(instance: &mut Instance, seed: u64) -> anyhow::Result<()> {
    const CALLS: u32 = 200;
    let mut random = Random(seed);
    let mut api = Api::open(instance.listen)?;
    // Clusters and families: acknowledged as there, acknowledged as gone; what was not answered may be either.
    let (mut clusters, mut families) = (BTreeMap::new(), BTreeMap::new());
    let (mut lost, mut kills) = (0, 0);
    let mut until_kill = 10 + random.below(30);
    for number in 0..CALLS {
        let name = format!("c{number}");
        let (operation, input) = match random.below(4) {
            0 => ("RegisterTaskDefinition", definition(&name, "web", &json!({}))),
            1 if !clusters.is_empty() => {
                let index = random.below(clusters.len() as u64) as usize;
                let name: &String = clusters.keys().nth(index).context("a cluster")?;
                ("DeleteCluster", json!({"cluster": name}))
            }
            _ => ("CreateCluster", json!({"clusterName": name})),
        };
        let killer = (until_kill == 0).then(|| {
            until_kill = 10 + random.below(30);
            (instance.pid("up"), instance.pid("server"), Duration::from_micros(random.below(3000)))
        });
        until_kill = until_kill.saturating_sub(1);
        // The kill falls somewhere between the request's first byte and its answer.
        let thread = killer.map(|(_, server, after)| {
            std::thread::spawn(move || {
                std::thread::sleep(after);
                if let Some(server) = server {
                    // SAFETY: kill has no memory effects; the number is a role's of our own instance.
                    unsafe { libc::kill(server, libc::SIGKILL) };
                }
            })
        });
        let result = api.ecs(operation, &input);
        let known = match operation {
            "RegisterTaskDefinition" => families.entry(name.clone()).or_insert(None),
            "DeleteCluster" => clusters.entry(input["cluster"].as_str().context("a name")?.to_owned()).or_insert(None),
            _ => clusters.entry(name.clone()).or_insert(None),
        };
        match result {
            Ok(_) => *known = Some(operation != "DeleteCluster"),
            Err(Failure::Lost(_)) => {
                lost += 1;
                *known = None;
            }
            Err(Failure::Refused { .. }) if operation == "DeleteCluster" => {}
            Err(error) => bail!("{operation}: {error}"),
        }
        if let Some(thread) = thread {
            thread.join().expect("the killer does not panic");
            kills += 1;
            if kills % 2 == 0 {
                // Everything at once, as when the machine's power goes.
                instance.kill("up")?;
                instance.spawn()?;
            }
            let old = killer.and_then(|(_, server, _)| server);
            wait::until("it answers again", Duration::from_secs(20), || match instance.pid("server") {
                server if server != old && instance.is_ready() => Ok(()),
                server => Err(format!("server {server:?}")),
            })?;
            api = Api::open(instance.listen)?;
        }
    }
    ensure!(kills >= 4, "only {kills} kills");
    // Once more, after the last call.
    instance.kill("up")?;
    instance.up()?;
    let mut api = Api::open(instance.listen)?;
    for (name, known) in &clusters {
        let Some(expected) = known else { continue };
        let answer = api.ecs("DescribeClusters", &json!({"clusters": [name]}))?;
        let active = answer["clusters"][0]["status"] == "ACTIVE";
        ensure!(
            active == *expected,
            "cluster {name}: acknowledged {expected}, found {answer} ({lost} calls lost, {kills} kills)"
        );
    }
    for (name, known) in &families {
        if known == &Some(true) {
            api.ecs("DescribeTaskDefinition", &json!({"taskDefinition": name}))
                .with_context(|| format!("family {name}"))?;
        }
    }
    Ok(())
}

pub fn tasks_are_found_again(kit: &Kit) -> anyhow::Result<()> {
    kit.on("builtin", |instance| {
        let mut service = Balanced::start(instance)?;
        let before = service.tasks()?;
        let load = Load::start(&service, 100);
        instance.interrupt()?;
        std::thread::sleep(Duration::from_secs(2));
        instance.up()?;
        service.api = Api::open(instance.listen)?;
        let after = service.tasks()?;
        ensure!(before == after, "containers were started again: {before:?}, {after:?}");
        load.end_without_failures()
    })
}
