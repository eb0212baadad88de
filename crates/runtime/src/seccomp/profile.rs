//! The profile as data. The names are those of the kernel, for all architectures at once: one that this architecture
//! lacks is left out when compiling.

use crate::capability::Capabilities;

/// Calls that are allowed, if the condition on one argument holds.
pub(super) struct Rule {
    pub names: &'static [&'static str],
    pub argument: Argument,
    /// Any one of these capabilities is needed; none if empty.
    capabilities: &'static [&'static str],
    /// Holds only without this capability (which allows the same calls unconditionally).
    unless: Option<&'static str>,
}

/// Index of the argument, and a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Argument {
    Any,
    Is(u8, u32),
    IsNot(u8, u32),
    /// None of these bits is set.
    HasNone(u8, u32),
}

/// The rules that hold for a process with these capabilities.
pub(super) fn rules(capabilities: Capabilities) -> impl Iterator<Item = &'static Rule> {
    RULES.iter().filter(move |rule| {
        let granted = rule.capabilities.is_empty() || rule.capabilities.iter().any(|name| capabilities.contains(name));
        granted && rule.unless.is_none_or(|name| !capabilities.contains(name))
    })
}

/// Calls that must look as if the kernel did not have them.
pub(super) fn missing(capabilities: Capabilities) -> &'static [&'static str] {
    if capabilities.contains("CAP_SYS_ADMIN") { &[] } else { &["clone3"] }
}

const fn plain(names: &'static [&'static str]) -> Rule {
    Rule { names, argument: Argument::Any, capabilities: &[], unless: None }
}

const fn when(names: &'static [&'static str], argument: Argument) -> Rule {
    Rule { names, argument, capabilities: &[], unless: None }
}

const fn with(capability: &'static [&'static str], names: &'static [&'static str]) -> Rule {
    Rule { names, argument: Argument::Any, capabilities: capability, unless: None }
}

/// Flags of `clone` that make namespaces: mount, cgroup, uts, ipc, user, pid, net.
const CLONE_NAMESPACES: u32 = 0x7e02_0000;
const AF_VSOCK: u32 = 40;

static RULES: &[Rule] = &[
    plain(FILES),
    plain(DESCRIPTORS),
    plain(SOCKETS),
    plain(PROCESSES),
    plain(IDENTITY),
    plain(SIGNALS),
    plain(TIME),
    plain(MEMORY),
    plain(IPC),
    plain(SYSTEM),
    plain(ARCHITECTURE),
    when(&["socket"], Argument::IsNot(0, AF_VSOCK)),
    when(&["personality"], Argument::Is(0, 0x0000)), // PER_LINUX
    when(&["personality"], Argument::Is(0, 0x0008)), // PER_LINUX32
    when(&["personality"], Argument::Is(0, 0x2_0000)), // UNAME26
    when(&["personality"], Argument::Is(0, 0x2_0008)),
    when(&["personality"], Argument::Is(0, 0xffff_ffff)), // ask
    Rule {
        names: &["clone"],
        argument: Argument::HasNone(0, CLONE_NAMESPACES),
        capabilities: &[],
        unless: Some("CAP_SYS_ADMIN"),
    },
    with(&["CAP_DAC_READ_SEARCH"], &["open_by_handle_at"]),
    with(
        &["CAP_SYS_ADMIN"],
        &[
            "bpf", "clone", "clone3", "fanotify_init", "fsconfig", "fsmount", "fsopen", "fspick", "listmount", "lookup_dcookie",
            "lsm_get_self_attr", "lsm_list_modules", "lsm_set_self_attr", "mount", "mount_setattr", "move_mount", "open_tree", "perf_event_open",
            "quotactl", "quotactl_fd", "setdomainname", "sethostname", "setns", "statmount", "syslog", "umount", "umount2", "unshare",
        ],
    ),
    with(&["CAP_SYS_BOOT"], &["reboot"]),
    with(&["CAP_SYS_CHROOT"], &["chroot"]),
    with(&["CAP_SYS_MODULE"], &["delete_module", "finit_module", "init_module"]),
    with(&["CAP_SYS_PACCT"], &["acct"]),
    with(&["CAP_SYS_PTRACE"], &["kcmp", "pidfd_getfd", "process_madvise"]),
    with(&["CAP_SYS_RAWIO"], &["ioperm", "iopl"]),
    with(&["CAP_SYS_TIME"], &["clock_settime", "clock_settime64", "settimeofday", "stime"]),
    with(&["CAP_SYS_TTY_CONFIG"], &["vhangup"]),
    with(&["CAP_SYS_NICE"], &["get_mempolicy", "mbind", "set_mempolicy", "set_mempolicy_home_node"]),
    with(&["CAP_SYSLOG"], &["syslog"]),
    with(&["CAP_BPF"], &["bpf"]),
    with(&["CAP_PERFMON"], &["perf_event_open"]),
];

const FILES: &[&str] = &[
    "access", "chdir", "chmod", "chown", "chown32", "copy_file_range", "creat", "faccessat", "faccessat2", "fadvise64",
    "fadvise64_64", "fallocate", "fanotify_mark", "fchdir", "fchmod", "fchmodat", "fchmodat2", "fchown", "fchown32", "fchownat",
    "fdatasync", "fgetxattr", "flistxattr", "flock", "fremovexattr", "fsetxattr", "fstat", "fstat64", "fstatat64", "fstatfs",
    "fstatfs64", "fsync", "ftruncate", "ftruncate64", "futimesat", "getcwd", "getdents", "getdents64", "getxattr",
    "getxattrat", "inotify_add_watch", "inotify_init", "inotify_init1", "inotify_rm_watch", "lchown", "lchown32", "lgetxattr",
    "link", "linkat", "listxattr", "listxattrat", "llistxattr", "lremovexattr", "lsetxattr", "lstat",
    "lstat64", "mkdir", "mkdirat", "mknod", "mknodat", "name_to_handle_at", "newfstatat", "open", "openat", "openat2",
    "readahead", "readlink", "readlinkat", "removexattr", "removexattrat", "rename", "renameat", "renameat2", "rmdir",
    "setxattr", "setxattrat", "stat", "stat64", "statfs", "statfs64", "statx", "symlink", "symlinkat", "sync",
    "sync_file_range", "syncfs", "truncate", "truncate64", "umask", "unlink", "unlinkat", "utime", "utimensat",
    "utimensat_time64", "utimes",
];

const DESCRIPTORS: &[&str] = &[
    "_llseek", "_newselect", "close", "close_range", "dup", "dup2", "dup3", "epoll_create", "epoll_create1", "epoll_ctl",
    "epoll_ctl_old", "epoll_pwait", "epoll_pwait2", "epoll_wait", "epoll_wait_old", "eventfd", "eventfd2", "fcntl", "fcntl64",
    "io_cancel", "io_destroy", "io_getevents", "io_pgetevents", "io_pgetevents_time64", "io_setup", "io_submit", "ioctl",
    "lseek", "pipe", "pipe2", "poll", "ppoll", "ppoll_time64", "pread64", "preadv", "preadv2", "pselect6", "pselect6_time64",
    "pwrite64", "pwritev", "pwritev2", "read", "readv", "select", "sendfile", "sendfile64", "splice", "tee", "vmsplice", "write",
    "writev",
];

const SOCKETS: &[&str] = &[
    "accept", "accept4", "bind", "connect", "getpeername", "getsockname", "getsockopt", "listen", "recv", "recvfrom", "recvmmsg",
    "recvmmsg_time64", "recvmsg", "send", "sendmmsg", "sendmsg", "sendto", "setsockopt", "shutdown", "socketcall", "socketpair",
];

/// With `ptrace` and the calls like it, which are safe since Linux 4.8.
const PROCESSES: &[&str] = &[
    "execve", "execveat", "exit", "exit_group", "fork", "get_robust_list", "get_thread_area", "getcpu", "getpgid", "getpgrp",
    "getpid", "getppid", "getpriority", "getrlimit", "getrusage", "getsid", "gettid", "ioprio_get", "ioprio_set",
    "landlock_add_rule", "landlock_create_ruleset", "landlock_restrict_self", "pidfd_open", "pidfd_send_signal", "prctl",
    "prlimit64", "process_mrelease", "process_vm_readv", "process_vm_writev", "ptrace", "rseq", "sched_get_priority_max",
    "sched_get_priority_min", "sched_getaffinity", "sched_getattr", "sched_getparam", "sched_getscheduler",
    "sched_rr_get_interval", "sched_rr_get_interval_time64", "sched_setaffinity", "sched_setattr", "sched_setparam",
    "sched_setscheduler", "sched_yield", "seccomp", "set_robust_list", "set_thread_area", "set_tid_address", "setpgid",
    "setpriority", "setrlimit", "setsid", "times", "ugetrlimit", "uretprobe", "vfork", "wait4", "waitid", "waitpid",
];

const IDENTITY: &[&str] = &[
    "capget", "capset", "getegid", "getegid32", "geteuid", "geteuid32", "getgid", "getgid32", "getgroups", "getgroups32",
    "getresgid", "getresgid32", "getresuid", "getresuid32", "getuid", "getuid32", "setfsgid", "setfsgid32", "setfsuid",
    "setfsuid32", "setgid", "setgid32", "setgroups", "setgroups32", "setregid", "setregid32", "setresgid", "setresgid32",
    "setresuid", "setresuid32", "setreuid", "setreuid32", "setuid", "setuid32",
];

const SIGNALS: &[&str] = &[
    "kill", "pause", "restart_syscall", "rt_sigaction", "rt_sigpending", "rt_sigprocmask", "rt_sigqueueinfo", "rt_sigreturn",
    "rt_sigsuspend", "rt_sigtimedwait", "rt_sigtimedwait_time64", "rt_tgsigqueueinfo", "sigaltstack", "signalfd", "signalfd4",
    "sigprocmask", "sigreturn", "tgkill", "tkill",
];

const TIME: &[&str] = &[
    "adjtimex", "alarm", "clock_adjtime", "clock_adjtime64", "clock_getres", "clock_getres_time64", "clock_gettime",
    "clock_gettime64", "clock_nanosleep", "clock_nanosleep_time64", "getitimer", "gettimeofday", "nanosleep", "setitimer",
    "time", "timer_create", "timer_delete", "timer_getoverrun", "timer_gettime", "timer_gettime64", "timer_settime",
    "timer_settime64", "timerfd_create", "timerfd_gettime", "timerfd_gettime64", "timerfd_settime", "timerfd_settime64",
];

const MEMORY: &[&str] = &[
    "brk", "cachestat", "madvise", "map_shadow_stack", "membarrier", "memfd_create", "memfd_secret", "mincore", "mlock",
    "mlock2", "mlockall", "mmap", "mmap2", "mprotect", "mremap", "mseal", "msync", "munlock", "munlockall", "munmap",
    "pkey_alloc", "pkey_free", "pkey_mprotect", "remap_file_pages",
];

const IPC: &[&str] = &[
    "futex", "futex_requeue", "futex_time64", "futex_wait", "futex_waitv", "futex_wake", "ipc", "mq_getsetattr", "mq_notify",
    "mq_open", "mq_timedreceive", "mq_timedreceive_time64", "mq_timedsend", "mq_timedsend_time64", "mq_unlink", "msgctl",
    "msgget", "msgrcv", "msgsnd", "semctl", "semget", "semop", "semtimedop", "semtimedop_time64", "shmat", "shmctl", "shmdt",
    "shmget",
];

const SYSTEM: &[&str] = &["getrandom", "sysinfo", "uname"];

#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: &[&str] = &["arch_prctl", "modify_ldt"];
#[cfg(not(target_arch = "x86_64"))]
const ARCHITECTURE: &[&str] = &["arm_fadvise64_64", "arm_sync_file_range", "breakpoint", "cacheflush", "set_tls", "sync_file_range2"];

/// Names that only 32-bit architectures have, for which an external runtime builds a filter too.
#[cfg(test)]
pub(super) const FOREIGN: &[&str] = &[
    "_llseek", "_newselect", "chown32", "clock_adjtime64", "clock_getres_time64", "clock_gettime64",
    "clock_nanosleep_time64", "clock_settime64", "fadvise64_64", "fchown32", "fcntl64", "fstat64", "fstatat64",
    "fstatfs64", "ftruncate64", "futex_time64", "getegid32", "geteuid32", "getgid32", "getgroups32", "getresgid32",
    "getresuid32", "getuid32", "io_pgetevents_time64", "ipc", "lchown32", "lstat64", "mmap2",
    "mq_timedreceive_time64", "mq_timedsend_time64", "ppoll_time64", "pselect6_time64", "recv", "recvmmsg_time64",
    "rt_sigtimedwait_time64", "sched_rr_get_interval_time64", "semtimedop_time64", "send", "sendfile64", "setfsgid32",
    "setfsuid32", "setgid32", "setgroups32", "setregid32", "setresgid32", "setresuid32", "setreuid32", "setuid32",
    "sigprocmask", "sigreturn", "socketcall", "stat64", "statfs64", "stime", "timer_gettime64", "timer_settime64",
    "timerfd_gettime64", "timerfd_settime64", "truncate64", "ugetrlimit", "umount", "utimensat_time64", "waitpid",
];
