//! Counters of the task: cgroups and the interface in our network namespace.

use super::container::Container;
use crate::cgroup::Hierarchies;
use crate::protocol::{ContainerUsage, NetworkUsage, Stats};
use crate::sys;
use std::path::Path;

/// Reads all counters now.
pub fn collect(id: u64, cgroups: &Hierarchies, task_cgroup: &str, containers: &[Container]) -> Stats {
    let usage = |container: &Container| {
        let group = container.bundle.as_ref().map(|bundle| cgroups.group(bundle.cgroup.as_str()).usage());
        ContainerUsage { name: container.spec.name.clone(), usage: group.unwrap_or_default() }
    };
    let devices = sys::read_text(Path::new("/proc/thread-self/net/dev"), 64 << 10).unwrap_or_default();
    Stats {
        id,
        timestamp_ms: sys::wall_ms(),
        task: cgroups.group(task_cgroup).usage(),
        network: network(&devices, "eth0"),
        containers: containers.iter().map(usage).collect(),
    }
}

/// `name: rx_bytes rx_packets … (8 columns) tx_bytes tx_packets …`
fn network(devices: &str, name: &str) -> NetworkUsage {
    let columns = devices.lines().filter_map(|line| line.split_once(':')).find(|(device, _)| device.trim() == name);
    let Some((_, columns)) = columns else { return NetworkUsage::default() };
    let columns: Vec<u64> = columns.split_whitespace().map(|column| column.parse().unwrap_or(0)).collect();
    let column = |index: usize| columns.get(index).copied().unwrap_or(0);
    NetworkUsage {
        rx_bytes: column(0),
        rx_packets: column(1),
        rx_errors: column(2),
        rx_dropped: column(3),
        tx_bytes: column(8),
        tx_packets: column(9),
        tx_errors: column(10),
        tx_dropped: column(11),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interface_is_found_among_others() {
        let devices = "Inter-|   Receive  |  Transmit\n face |bytes packets\n    lo:  5 1 0 0 0 0 0 0  5 1 0 0 0 0 0 0\n  eth0: 100 2 0 7 0 0 0 0 200 3 8 0 0 0 0 0\n";
        let usage = NetworkUsage {
            rx_bytes: 100,
            rx_packets: 2,
            rx_dropped: 7,
            tx_bytes: 200,
            tx_packets: 3,
            tx_errors: 8,
            ..NetworkUsage::default()
        };
        assert_eq!(network(devices, "eth0"), usage);
        assert_eq!(network(devices, "eth1"), NetworkUsage::default());
    }
}
