//! The system calls a container may make: Docker's default profile, as a BPF filter or as OCI JSON.
//!
//! `profile.rs` is the data. One seccompiler filter has one action for what matches, so there are two: the list of what
//! is allowed, and `clone3`, which must seem not to exist (`ENOSYS`) so that C libraries fall back to `clone`, whose
//! flags can be checked. The kernel takes the strictest answer of all loaded filters.

mod profile;

use crate::capability::Capabilities;
use profile::{Argument, Rule};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule, TargetArch,
};
use std::collections::BTreeMap;
use std::io;

#[derive(Debug, thiserror::Error)]
pub enum SeccompError {
    #[error("compile the seccomp filter")]
    Compile(#[from] seccompiler::BackendError),
    #[error("load the seccomp filter")]
    Load(#[source] io::Error),
}

#[cfg(target_arch = "x86_64")]
const ARCH: TargetArch = TargetArch::x86_64;
#[cfg(target_arch = "aarch64")]
const ARCH: TargetArch = TargetArch::aarch64;

/// Compiled filters, in the order of loading.
#[derive(Debug, Clone)]
pub struct Filters(Vec<BpfProgram>);

impl Filters {
    /// The profile for a process with these capabilities, some of which allow more calls.
    pub fn compile(capabilities: Capabilities) -> Result<Self, SeccompError> {
        let mut allowed: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
        for rule in profile::rules(capabilities) {
            for number in rule.names.iter().filter_map(|name| number(name)) {
                let conditions = conditions(rule)?;
                if conditions.is_empty() {
                    allowed.insert(number, Vec::new());
                } else if allowed.get(&number).is_none_or(|rules| !rules.is_empty()) {
                    allowed.entry(number).or_default().push(SeccompRule::new(conditions)?);
                }
            }
        }
        let mut missing = BTreeMap::new();
        for number in profile::missing(capabilities).iter().filter_map(|name| number(name)) {
            // Allowed by the list, so that its EPERM does not hide the ENOSYS.
            allowed.insert(number, Vec::new());
            missing.insert(number, Vec::new());
        }
        let denied = SeccompAction::Errno(libc::EPERM as u32);
        let mut programs: Vec<BpfProgram> =
            vec![SeccompFilter::new(allowed, denied, SeccompAction::Allow, ARCH)?.try_into()?];
        if !missing.is_empty() {
            let absent = SeccompAction::Errno(libc::ENOSYS as u32);
            programs.push(SeccompFilter::new(missing, SeccompAction::Allow, absent, ARCH)?.try_into()?);
        }
        Ok(Filters(programs))
    }

    /// Confines the calling process for good. Needs `CAP_SYS_ADMIN` or `no_new_privs`; seccompiler's own function is of
    /// no use here, because it always sets the latter.
    pub fn load(&self) -> Result<(), SeccompError> {
        for program in &self.0 {
            let filter = libc::sock_fprog { len: program.len() as u16, filter: program.as_ptr() as *mut libc::sock_filter };
            // SAFETY: `sock_filter` is the kernel's struct under two names, and the kernel only reads the program.
            let result = unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &filter) };
            if result != 0 {
                return Err(SeccompError::Load(io::Error::last_os_error()));
            }
        }
        Ok(())
    }
}

fn number(name: &str) -> Option<i64> {
    name.parse::<syscalls::Sysno>().ok().map(|number| i64::from(number.id()))
}

fn conditions(rule: &Rule) -> Result<Vec<SeccompCondition>, SeccompError> {
    let condition = match rule.argument {
        Argument::Any => return Ok(Vec::new()),
        // These arguments are 32 bits wide in the kernel: what a caller leaves in the upper half is not looked at there,
        // and must not be here.
        Argument::Is(index, value) => (index, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, u64::from(value)),
        Argument::IsNot(index, value) => (index, SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, u64::from(value)),
        Argument::HasNone(index, mask) => (index, SeccompCmpArgLen::Qword, SeccompCmpOp::MaskedEq(mask.into()), 0),
    };
    let (index, length, operator, value) = condition;
    Ok(vec![SeccompCondition::new(index, length, operator, value)?])
}

/// The same profile as `linux.seccomp` of an OCI `config.json`, for an external runtime.
pub fn oci(capabilities: Capabilities) -> serde_json::Value {
    use serde_json::json;
    let architectures = match ARCH {
        TargetArch::x86_64 => json!(["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"]),
        _ => json!(["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"]),
    };
    let mut calls: Vec<serde_json::Value> = profile::rules(capabilities)
        .map(|rule| {
            let mut call = json!({"names": rule.names, "action": "SCMP_ACT_ALLOW"});
            let argument = match rule.argument {
                Argument::Any => None,
                Argument::Is(index, value) => Some(json!({"index": index, "value": value, "op": "SCMP_CMP_EQ"})),
                Argument::IsNot(index, value) => Some(json!({"index": index, "value": value, "op": "SCMP_CMP_NE"})),
                Argument::HasNone(index, mask) => {
                    Some(json!({"index": index, "value": mask, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}))
                }
            };
            if let Some(argument) = argument {
                call["args"] = json!([argument]);
            }
            call
        })
        .collect();
    let missing = profile::missing(capabilities);
    if !missing.is_empty() {
        calls.push(json!({"names": missing, "action": "SCMP_ACT_ERRNO", "errnoRet": libc::ENOSYS}));
    }
    json!({"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": libc::EPERM, "architectures": architectures,
           "syscalls": calls})
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs `probe` in a child under the filter for `capabilities`; its result is the child's exit code.
    fn under(capabilities: Capabilities, probe: fn() -> i32) -> i32 {
        let filters = Filters::compile(capabilities).unwrap();
        // SAFETY: the child makes system calls only and ends.
        let pid = unsafe { libc::fork() };
        if pid == 0 {
            let code = if filters.load().is_ok() { probe() } else { 99 };
            unsafe { libc::_exit(code) };
        }
        let mut status = 0;
        unsafe { libc::waitpid(pid, &mut status, 0) };
        crate::sys::exit_code(status)
    }

    fn errno() -> i32 {
        io::Error::last_os_error().raw_os_error().unwrap_or(0)
    }

    #[test]
    fn new_namespaces_are_denied_and_clone3_does_not_exist() {
        let default = Capabilities::resolve(&[], &[]);
        assert_eq!(under(default, || unsafe { libc::unshare(libc::CLONE_NEWUSER); errno() }), libc::EPERM);
        assert_eq!(under(default, || unsafe { libc::syscall(libc::SYS_clone3, 0, 0); errno() }), libc::ENOSYS);
        assert_eq!(under(default, || unsafe { libc::syscall(libc::SYS_keyctl, 0, 0); errno() }), libc::EPERM);
        let clone_with = || unsafe {
            libc::syscall(libc::SYS_clone, libc::CLONE_NEWUSER | libc::SIGCHLD, 0, 0, 0, 0);
            errno()
        };
        assert_eq!(under(default, clone_with), libc::EPERM);
        let fork = || unsafe {
            match libc::fork() {
                0 => libc::_exit(7),
                pid => { let mut status = 0; libc::waitpid(pid, &mut status, 0); libc::WEXITSTATUS(status) }
            }
        };
        assert_eq!(under(default, fork), 7);
    }

    #[test]
    fn arguments_are_looked_at() {
        let default = Capabilities::resolve(&[], &[]);
        assert_eq!(under(default, || unsafe { libc::socket(libc::AF_VSOCK, libc::SOCK_STREAM, 0); errno() }), libc::EPERM);
        assert_eq!(under(default, || unsafe { (libc::socket(libc::AF_INET, libc::SOCK_STREAM, 0) < 0).into() }), 0);
        assert_eq!(under(default, || unsafe { (libc::personality(0xffff_ffff) < 0).into() }), 0);
        assert_eq!(under(default, || unsafe { libc::personality(0x0004_0000); errno() }), libc::EPERM);
    }

    #[test]
    fn a_capability_allows_its_calls() {
        let chroot = || unsafe { libc::chroot(c"/nowhere".as_ptr()); errno() };
        assert_eq!(under(Capabilities::resolve(&[], &[]), chroot), libc::ENOENT);
        assert_eq!(under(Capabilities::resolve(&[], &["SYS_CHROOT".into()]), chroot), libc::EPERM);
        let unshare = || unsafe { libc::unshare(0) };
        assert_eq!(under(Capabilities::resolve(&["SYS_ADMIN".into()], &[]), unshare), 0);
    }

    #[test]
    fn every_name_is_a_call_of_some_architecture() {
        let all = Capabilities::from_names(["ALL"]);
        let unknown: Vec<&str> =
            profile::rules(all).flat_map(|rule| rule.names).copied().filter(|name| number(name).is_none()).collect();
        let misspelt: Vec<&&str> = unknown.iter().filter(|name| !profile::FOREIGN.contains(name)).collect();
        assert!(misspelt.is_empty(), "misspelt, or newer than the table of numbers: {misspelt:?}");
    }

    #[test]
    fn the_oci_form_says_the_same() {
        let profile = oci(Capabilities::resolve(&[], &[]));
        assert_eq!(profile["defaultAction"], "SCMP_ACT_ERRNO");
        let text = profile.to_string();
        assert!(text.contains("\"openat2\"") && text.contains("\"clone3\"") && !text.contains("\"keyctl\""));
    }
}
