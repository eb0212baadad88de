//! Linux capabilities of a container: the default set, changes to it, and the final drop.

use std::io;

/// The 14 that Docker, and so Fargate, gives by default.
pub const DEFAULT: &[&str] = &[
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FSETID",
    "CAP_FOWNER",
    "CAP_MKNOD",
    "CAP_NET_RAW",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETFCAP",
    "CAP_SETPCAP",
    "CAP_NET_BIND_SERVICE",
    "CAP_SYS_CHROOT",
    "CAP_KILL",
    "CAP_AUDIT_WRITE",
];

/// All that exist, by number.
pub const ALL: &[&str] = &[
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
];

/// A set of capabilities, a bit each by its kernel number.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Capabilities(u64);

impl Capabilities {
    /// The default set, minus `drop`, plus `add`. `ALL` is understood; unknown names are left out, because
    /// [`crate::spec::TaskSpec::validate`] refused them before.
    pub fn resolve(add: &[String], drop: &[String]) -> Self {
        let mut set = Self::from_names(DEFAULT.iter().copied());
        for name in drop {
            set.0 &= !bits(name);
        }
        for name in add {
            set.0 |= bits(name);
        }
        set
    }

    pub fn from_names<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        Capabilities(names.into_iter().fold(0, |set, name| set | bits(name)))
    }

    pub fn contains(self, name: &str) -> bool {
        let bits = bits(name);
        bits != 0 && self.0 & bits == bits
    }

    #[must_use]
    pub fn with(self, name: &str) -> Self {
        Capabilities(self.0 | bits(name))
    }

    /// `CAP_…` names in kernel order.
    pub fn names(self) -> Vec<&'static str> {
        ALL.iter().enumerate().filter(|(number, _)| self.0 >> number & 1 == 1).map(|(_, name)| *name).collect()
    }

    /// Those that this process may pass on. A container on a machine that lacks one runs without it.
    pub fn available() -> Self {
        let bounding = (0..64u32).filter(|n| {
            // SAFETY: PR_CAPBSET_READ takes a number and reads nothing of ours.
            unsafe { libc::prctl(libc::PR_CAPBSET_READ, libc::c_ulong::from(*n), 0, 0, 0) == 1 }
        });
        Capabilities(bounding.fold(0, |set, n| set | 1 << n))
    }

    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Capabilities(self.0 & other.0)
    }

    /// Makes this the bounding set and the most this process can have, for good. A process of another user than root
    /// keeps none of them effective, as after an exec.
    pub fn confine(self) -> io::Result<()> {
        let last = ALL.len() as u32;
        for number in (0..last).filter(|n| self.0 >> n & 1 == 0) {
            // SAFETY: PR_CAPBSET_DROP takes a number. EINVAL means that the kernel does not know this one.
            let result = unsafe { libc::prctl(libc::PR_CAPBSET_DROP, libc::c_ulong::from(number), 0, 0, 0) };
            let error = io::Error::last_os_error();
            if result != 0 && error.raw_os_error() != Some(libc::EINVAL) {
                return Err(error);
            }
        }
        // SAFETY: PR_CAP_AMBIENT_CLEAR_ALL has no arguments.
        unsafe { libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) };
        let mut header = Header { version: VERSION_3, pid: 0 };
        let mut data = [Data::default(); 2];
        // SAFETY: version 3 reads and writes two data elements.
        if unsafe { libc::syscall(libc::SYS_capget, &mut header, data.as_mut_ptr()) } != 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: no arguments, cannot fail.
        let root = unsafe { libc::geteuid() } == 0;
        for (half, data) in data.iter_mut().enumerate() {
            data.permitted &= (self.0 >> (32 * half)) as u32;
            data.effective = if root { data.permitted } else { 0 };
            data.inheritable = 0;
        }
        // SAFETY: as above.
        match unsafe { libc::syscall(libc::SYS_capset, &header, data.as_ptr()) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

const VERSION_3: u32 = 0x2008_0522;

#[repr(C)]
struct Header {
    version: u32,
    pid: i32,
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Data {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

fn bits(name: &str) -> u64 {
    let upper = name.to_ascii_uppercase();
    let short = upper.strip_prefix("CAP_").unwrap_or(&upper);
    if short == "ALL" {
        return (1 << ALL.len()) - 1;
    }
    ALL.iter().position(|known| &known[4..] == short).map_or(0, |number| 1 << number)
}

/// Whether `name`, with or without `CAP_`, is a capability or `ALL`.
pub fn is_known(name: &str) -> bool {
    bits(name) != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_the_kernel() {
        assert_eq!(ALL.len(), 41);
        assert_eq!(bits("SYS_ADMIN"), 1 << 21);
        assert_eq!(bits("cap_bpf"), 1 << 39);
        assert_eq!(Capabilities::resolve(&[], &[]).0, 0xa80425fb, "Docker's default as in CapEff");
    }

    #[test]
    fn drop_comes_before_add() {
        let add = ["SYS_PTRACE".to_owned()];
        let set = Capabilities::resolve(&add, &["ALL".to_owned()]);
        assert_eq!(set.names(), ["CAP_SYS_PTRACE"]);
    }

    #[test]
    fn strangers_are_known_as_such() {
        assert!(is_known("net_raw") && is_known("CAP_NET_RAW") && is_known("ALL"));
        assert!(!is_known("FLY") && !is_known(""));
        assert!(!Capabilities::resolve(&[], &[]).contains("FLY"));
    }
}
