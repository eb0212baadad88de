//! The sizes that Fargate offers.
//! <https://docs.aws.amazon.com/AmazonECS/latest/developerguide/fargate-tasks-services.html>

/// CPU units, and the memory that goes with them: smallest, largest, step, all in MiB.
const SIZES: [(u32, u32, u32, u32); 6] = [
    (512, 1024, 4096, 1024),
    (1024, 2048, 8192, 1024),
    (2048, 4096, 16_384, 1024),
    (4096, 8192, 30_720, 1024),
    (8192, 16_384, 61_440, 4096),
    (16_384, 32_768, 122_880, 8192),
];

/// Whether Fargate runs tasks of this size (CPU units and MiB).
pub fn is_offered(cpu_units: u32, memory_mib: u32) -> bool {
    if cpu_units == 256 {
        return matches!(memory_mib, 512 | 1024 | 2048);
    }
    SIZES.iter().any(|&(cpu, least, most, step)| {
        cpu == cpu_units && (least..=most).contains(&memory_mib) && memory_mib.is_multiple_of(step)
    })
}

/// Whether Fargate knows this CPU value at all.
pub fn is_cpu(cpu_units: u32) -> bool {
    cpu_units == 256 || SIZES.iter().any(|&(cpu, ..)| cpu == cpu_units)
}

/// Whether ECS knows a Linux capability of this name.
pub fn is_capability(name: &str) -> bool {
    CAPABILITIES.split_ascii_whitespace().any(|known| known == name)
}

/// <https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_KernelCapabilities.html>
const CAPABILITIES: &str = "ALL AUDIT_CONTROL AUDIT_WRITE BLOCK_SUSPEND CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID \
    IPC_LOCK IPC_OWNER KILL LEASE LINUX_IMMUTABLE MAC_ADMIN MAC_OVERRIDE MKNOD NET_ADMIN NET_BIND_SERVICE NET_BROADCAST \
    NET_RAW SETFCAP SETGID SETPCAP SETUID SYS_ADMIN SYS_BOOT SYS_CHROOT SYS_MODULE SYS_NICE SYS_PACCT SYS_PTRACE \
    SYS_RAWIO SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG SYSLOG WAKE_ALARM";

/// Whether a kernel parameter belongs to namespaces that a task has of its own.
/// <https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_SystemControl.html>
pub fn is_sysctl(name: &str) -> bool {
    const IPC: &str = "kernel.msgmax kernel.msgmnb kernel.msgmni kernel.sem kernel.shmall kernel.shmmax kernel.shmmni kernel.shm_rmid_forced";
    let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c)) && !name.contains("..");
    let longer = |start: &str| name.len() > start.len() && name.starts_with(start);
    plain && (longer("net.") || longer("fs.mqueue.") || IPC.split(' ').any(|known| known == name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_of_the_host_are_not_a_tasks() {
        for name in ["net.core.somaxconn", "net.ipv4.tcp_syncookies", "fs.mqueue.msg_max", "kernel.sem"] {
            assert!(is_sysctl(name), "{name}");
        }
        for name in ["kernel.panic", "vm.swappiness", "net.", "net.a/../../kernel.panic", "net...x", ""] {
            assert!(!is_sysctl(name), "{name}");
        }
    }

    #[test]
    fn sizes_are_those_of_the_table() {
        for (cpu, memory) in [(256, 512), (256, 2048), (512, 1024), (1024, 8192), (4096, 30_720), (16_384, 122_880)] {
            assert!(is_offered(cpu, memory), "{cpu}/{memory}");
        }
        for (cpu, memory) in [(256, 4096), (256, 1536), (512, 512), (512, 5120), (1000, 2048), (8192, 17_408), (0, 0)] {
            assert!(!is_offered(cpu, memory), "{cpu}/{memory}");
        }
    }
}
