//! What an interface costs. Prints figures (`--nocapture`) and fails only when something is badly wrong.

use std::time::{Duration, Instant};

use crate::lab::*;

const COUNT: usize = 50;

#[test]
fn attaching_takes_a_few_milliseconds() {
    in_lab(async |lab| {
        lab.network().apply(&config(1, vec![vpc("v1", vec![group("sg-1", &["80 from sg-1"])])])).await.unwrap();
        let tasks: Vec<_> =
            (0..COUNT).map(|number| (lab.spawn(), eni("v1", &format!("10.0.1.{}", number + 10), &["sg-1"]))).collect();
        lab.task("v1", "10.0.2.250", &["sg-1"]).await;
        let memory = free_kilobytes();
        let mut attaching = vec![];
        for (pid, eni) in &tasks {
            let start = Instant::now();
            lab.network().attach("v1", eni, *pid).await.unwrap();
            attaching.push(start.elapsed());
        }
        let used = memory.saturating_sub(free_kilobytes()) / COUNT as u64;
        let start = Instant::now();
        lab.network().apply(&config(2, vec![vpc("v1", vec![group("sg-1", &["81 from sg-1"])])])).await.unwrap();
        let applying = start.elapsed();
        let start = Instant::now();
        lab.network().apply(&config(3, vec![vpc("v1", vec![group("sg-1", &["81 from sg-1"])])])).await.unwrap();
        let repeating = start.elapsed();
        let mut detaching = vec![];
        for (_, eni) in &tasks {
            let start = Instant::now();
            lab.network().detach("v1", &eni.id).await.unwrap();
            detaching.push(start.elapsed());
        }
        let (attach, detach) = (median(&mut attaching), median(&mut detaching));
        println!(
            "attach {attach:?} (slowest of {COUNT}: {:?}), detach {detach:?}, apply {applying:?}, unchanged {repeating:?}, {used} kB each",
            attaching[COUNT - 1]
        );
        assert!(attach < Duration::from_millis(50), "{attach:?}");
    });
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn free_kilobytes() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap();
    let line = text.lines().find(|line| line.starts_with("MemAvailable")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
