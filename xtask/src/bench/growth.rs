//! How each grows: launch rate, calls and memory with 10, 100, 1,000 tasks that run.

use super::longshore::Longshore;
use super::{control, median, memory};
use anyhow::{Context, bail};
use longshore_tests::instance::Instance;
use serde_json::json;
use std::time::{Duration, Instant};

#[derive(Clone, Copy, Debug, Default)]
pub struct Level {
    /// Tasks that run.
    pub tasks: usize,
    /// Tasks a second from the first of these RunTask calls (ten tasks each) until all run.
    pub rate: f64,
    /// One more task, sent to RUNNING seen, milliseconds, median of five.
    pub launch: f64,
    /// ListTasks, first page, milliseconds at the client, median.
    pub list: f64,
    /// DescribeTasks of ten, milliseconds at the client, median.
    pub describe: f64,
    /// CPU of all processes while nobody asks, percent of one core.
    pub idle_cpu: f64,
    /// PSS of all processes, KiB.
    pub pss: u64,
}

/// Tasks a second of `count` tasks, ten a call, until all of them run; they are left running.
pub fn launch(ours: &mut Longshore, count: usize) -> anyhow::Result<(Vec<String>, f64)> {
    let started = Instant::now();
    let mut tasks = Vec::with_capacity(count);
    while tasks.len() < count {
        tasks.extend(ours.run_tasks((count - tasks.len()).min(10))?);
    }
    for some in tasks.chunks(100) {
        loop {
            let answer = ours.api.ecs("DescribeTasks", &json!({"tasks": some}))?;
            let states = answer["tasks"].as_array().context("tasks")?;
            if let Some(stopped) = states.iter().find(|state| state["lastStatus"] == "STOPPED") {
                bail!("a task stopped: {stopped}");
            }
            if states.iter().all(|state| state["lastStatus"] == "RUNNING") {
                break;
            }
            if started.elapsed() > Duration::from_secs(300) {
                bail!("{count} tasks do not run within five minutes");
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    Ok((tasks, count as f64 / started.elapsed().as_secs_f64()))
}

pub fn measure(ours: &mut Longshore, instance: &Instance, levels: &[usize]) -> anyhow::Result<Vec<Level>> {
    let mut running: Vec<String> = Vec::new();
    let mut result = Vec::new();
    for level in levels {
        let (more, rate) = launch(ours, level.saturating_sub(running.len()))?;
        running.extend(more);
        result.push(one(ours, instance, &running, rate)?);
    }
    stop(ours, &running)?;
    Ok(result)
}

pub fn stop(ours: &mut Longshore, tasks: &[String]) -> anyhow::Result<()> {
    for task in tasks {
        ours.api.ecs("StopTask", &json!({"task": task}))?;
    }
    tasks.iter().try_for_each(|task| ours.wait(task, "STOPPED").map(drop))
}

fn one(ours: &mut Longshore, instance: &Instance, running: &[String], rate: f64) -> anyhow::Result<Level> {
    let dir = instance.dir.display().to_string();
    memory::settle();
    let processes = memory::processes(|command| command.contains(&dir));
    let cpu = || processes.iter().map(|pid| control::cpu_nanoseconds(*pid as i32)).sum::<u64>();
    let (before, rest) = (cpu(), Duration::from_secs(5));
    std::thread::sleep(rest);
    // Threads that end meanwhile take their account along.
    let idle_cpu = cpu().saturating_sub(before) as f64 / rest.as_nanos() as f64 * 100.0;
    let pss = memory::pss_of(&processes);
    let launches = (0..5).map(|_| super::start::one(ours).map(|(took, _)| took)).collect::<anyhow::Result<Vec<_>>>()?;
    let ten: Vec<&String> = running.iter().take(10).collect();
    let mut timed = |operation: &str, input: serde_json::Value| -> anyhow::Result<f64> {
        let mut took = Vec::new();
        for _ in 0..100 {
            let started = Instant::now();
            ours.api.ecs(operation, &input)?;
            took.push(started.elapsed().as_secs_f64() * 1000.0);
        }
        Ok(median(&took).unwrap_or_default())
    };
    Ok(Level {
        tasks: running.len(),
        rate,
        list: timed("ListTasks", json!({}))?,
        describe: timed("DescribeTasks", json!({"tasks": ten}))?,
        launch: median(&launches).unwrap_or_default(),
        idle_cpu,
        pss,
    })
}
