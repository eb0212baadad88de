//! `/stats` and `/task/stats`: the kernel's counters in the shape of Docker's statistics.
//! <https://docs.docker.com/reference/api/engine/version/v1.30/#tag/Container/operation/ContainerStats>

use crate::Node;
use crate::hub::Known;
use crate::spec;
use longshore_runtime::protocol::{ContainerStatus, NetworkUsage, Stats, Usage};
use longshore_types::Timestamp;
use longshore_types::id::TaskId;
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A sample younger than this is not taken anew.
const FRESH_MS: u64 = 500;

/// The last two samples of each task that somebody asks about: rates need two.
#[derive(Default)]
pub struct Samples(Mutex<HashMap<TaskId, Pair>>);

#[derive(Clone, Default)]
struct Pair {
    last: Option<Sample>,
    previous: Option<Sample>,
}

#[derive(Clone)]
struct Sample {
    stats: Stats,
    /// CPU time of the whole machine, nanoseconds.
    system_ns: u64,
}

impl Samples {
    fn lock(&self) -> MutexGuard<'_, HashMap<TaskId, Pair>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Statistics of the task's containers by their runtime ids; `null` for one that does not run.
    pub async fn take(&self, node: &Node, known: &Known) -> Map<String, Value> {
        let task = &known.intent;
        let mut pair = self.lock().get(&task.id).cloned().unwrap_or_default();
        let now = node.machine.now_ms();
        if pair.last.as_ref().is_none_or(|last| now.saturating_sub(last.stats.timestamp_ms) > FRESH_MS)
            && let Some(stats) = node.machine.stats(&task.id).await
        {
            let sample = Sample { stats, system_ns: system_ns() };
            pair = Pair { last: Some(sample), previous: pair.last };
            let mut samples = self.lock();
            samples.retain(|id, _| node.has(id));
            samples.insert(task.id.clone(), pair.clone());
        }
        let limit = u64::from(task.memory_mib) << 20;
        let of = |name: &str| {
            let running = known.containers.get(name).is_some_and(|(state, _)| state.status == ContainerStatus::Running);
            pair.last.as_ref().filter(|_| running).map(|last| container(name, last, pair.previous.as_ref(), limit))
        };
        let ids = task.containers.iter().map(|c| (spec::runtime_id(&task.id, c), &c.definition.name));
        ids.map(|(id, name)| {
            let mut body = of(name).unwrap_or(Value::Null);
            if body.is_object() {
                body["id"] = json!(id);
            }
            (id, body)
        })
        .collect()
    }
}

fn usage<'a>(sample: &'a Sample, name: &str) -> Option<&'a Usage> {
    sample.stats.containers.iter().find(|c| c.name == name).map(|c| &c.usage)
}

fn container(name: &str, last: &Sample, previous: Option<&Sample>, task_limit: u64) -> Value {
    let empty = Usage::default();
    let now = usage(last, name).unwrap_or(&empty);
    let before = previous.and_then(|sample| usage(sample, name));
    let stats = &last.stats;
    json!({
        "read": time(stats.timestamp_ms),
        "preread": previous.map_or_else(|| "0001-01-01T00:00:00Z".to_owned(), |p| time(p.stats.timestamp_ms)),
        "name": name,
        "num_procs": 0,
        "storage_stats": {},
        "pids_stats": pids(now),
        "blkio_stats": {
            "io_service_bytes_recursive": [
                {"major": 0, "minor": 0, "op": "read", "value": now.block_read_bytes},
                {"major": 0, "minor": 0, "op": "write", "value": now.block_write_bytes},
            ],
            "io_serviced_recursive": null,
            "io_queue_recursive": null,
            "io_service_time_recursive": null,
            "io_wait_time_recursive": null,
            "io_merged_recursive": null,
            "io_time_recursive": null,
            "sectors_recursive": null,
        },
        "cpu_stats": cpu(now, Some(last.system_ns)),
        "precpu_stats": cpu(before.unwrap_or(&empty), previous.map(|sample| sample.system_ns)),
        "memory_stats": {
            "usage": now.memory_bytes,
            "max_usage": now.memory_max_bytes,
            "stats": now.memory_stat,
            "limit": now.memory_limit_bytes.map_or(task_limit, |own| own.min(task_limit)),
        },
        "networks": {"eth0": network(&stats.network)},
        "network_rate_stats": rates(stats, previous.map(|sample| &sample.stats)),
    })
}

fn pids(usage: &Usage) -> Value {
    let mut body = json!({"current": usage.pids});
    if let Some(limit) = usage.pids_limit {
        body["limit"] = json!(limit);
    }
    body
}

fn cpu(usage: &Usage, system_ns: Option<u64>) -> Value {
    let mut body = json!({
        "cpu_usage": {
            "total_usage": usage.cpu_ns,
            "usage_in_kernelmode": usage.cpu_system_ns,
            "usage_in_usermode": usage.cpu_user_ns,
        },
        "throttling_data": {
            "periods": usage.throttle_periods,
            "throttled_periods": usage.throttled_periods,
            "throttled_time": usage.throttled_ns,
        },
    });
    if let Some(system_ns) = system_ns {
        body["system_cpu_usage"] = json!(system_ns);
        body["online_cpus"] = json!(std::thread::available_parallelism().map_or(1, usize::from));
    }
    body
}

fn network(usage: &NetworkUsage) -> Value {
    json!({
        "rx_bytes": usage.rx_bytes, "rx_packets": usage.rx_packets,
        "rx_errors": usage.rx_errors, "rx_dropped": usage.rx_dropped,
        "tx_bytes": usage.tx_bytes, "tx_packets": usage.tx_packets,
        "tx_errors": usage.tx_errors, "tx_dropped": usage.tx_dropped,
    })
}

/// Bytes a second between two samples; `null` where there is only one.
fn rates(last: &Stats, previous: Option<&Stats>) -> Value {
    let Some(previous) = previous else { return Value::Null };
    let seconds = last.timestamp_ms.saturating_sub(previous.timestamp_ms) as f64 / 1000.0;
    if seconds <= 0.0 {
        return Value::Null;
    }
    let rate = |now: u64, before: u64| now.saturating_sub(before) as f64 / seconds;
    json!({
        "rx_bytes_per_sec": rate(last.network.rx_bytes, previous.network.rx_bytes),
        "tx_bytes_per_sec": rate(last.network.tx_bytes, previous.network.tx_bytes),
    })
}

fn time(ms: u64) -> String {
    Timestamp(ms as i64).rfc3339()
}

/// The first line of `/proc/stat`: hundredths of a second by kind, of which guests are counted in others.
fn system_ns() -> u64 {
    parse_system_ns(&std::fs::read_to_string("/proc/stat").unwrap_or_default())
}

fn parse_system_ns(stat: &str) -> u64 {
    let ticks = stat.lines().next().unwrap_or_default().split_whitespace().skip(1).take(8);
    ticks.filter_map(|n| n.parse::<u64>().ok()).sum::<u64>() * 10_000_000
}

#[cfg(test)]
mod tests {
    use super::*;
    use longshore_runtime::protocol::ContainerUsage;

    fn sample(timestamp_ms: u64, cpu_ns: u64, rx_bytes: u64) -> Sample {
        let usage = Usage { cpu_ns, memory_limit_bytes: Some(32 << 20), ..Usage::default() };
        let stats = Stats {
            timestamp_ms,
            network: NetworkUsage { rx_bytes, ..NetworkUsage::default() },
            containers: vec![ContainerUsage { name: "web".into(), usage }],
            ..Stats::default()
        };
        Sample { stats, system_ns: timestamp_ms * 2_000_000 }
    }

    #[test]
    fn two_samples_make_rates_and_a_difference() {
        let body = container("web", &sample(3000, 900, 700), Some(&sample(1000, 400, 100)), 512 << 20);
        assert_eq!(body["cpu_stats"]["cpu_usage"]["total_usage"], 900);
        assert_eq!(body["precpu_stats"]["cpu_usage"]["total_usage"], 400);
        assert_eq!(body["network_rate_stats"]["rx_bytes_per_sec"], 300.0);
        assert_eq!(body["memory_stats"]["limit"], 32 << 20);
        assert_eq!(body["read"], "1970-01-01T00:00:03.000Z");
    }

    #[test]
    fn the_first_sample_has_no_past() {
        let body = container("web", &sample(3000, 900, 700), None, 16 << 20);
        assert_eq!(body["network_rate_stats"], Value::Null);
        assert_eq!(body["precpu_stats"]["system_cpu_usage"], Value::Null);
        assert_eq!(body["memory_stats"]["limit"], 16 << 20, "the task's limit, when it is lower");
    }

    #[test]
    fn the_machines_time_is_the_sum_without_guests() {
        assert_eq!(parse_system_ns("cpu  1 2 3 4 0 0 0 0 9 9\ncpu0 1\n"), 100_000_000);
    }
}
