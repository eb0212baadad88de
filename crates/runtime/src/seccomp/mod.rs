//! The system calls a container may make: Docker's default profile, as a BPF program or as OCI JSON.
//!
//! `profile.rs` is the data, `compile.rs` makes the program. `clone3` seems not to exist (`ENOSYS`), so that C libraries
//! fall back to `clone`, whose flags can be checked. Programs for other architectures (32-bit x86) are ended.

mod compile;
mod profile;

use crate::capability::Capabilities;
use compile::Verdict;
use profile::Argument;
use std::collections::BTreeMap;
use std::io;

#[cfg(target_arch = "x86_64")]
const AUDIT_ARCH: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const AUDIT_ARCH: u32 = 0xc000_00b7;

/// A compiled filter.
#[derive(Clone)]
pub struct Filter(Vec<libc::sock_filter>);

impl Filter {
    /// The profile for a process with these capabilities, some of which allow more calls.
    pub fn compile(capabilities: Capabilities) -> Self {
        Filter(compile::compile(AUDIT_ARCH, &verdicts(capabilities), libc::EPERM as u16))
    }

    /// Confines the calling process for good. Needs `CAP_SYS_ADMIN` or `no_new_privs`.
    pub fn load(&self) -> io::Result<()> {
        let program = libc::sock_fprog { len: self.0.len() as u16, filter: self.0.as_ptr().cast_mut() };
        // SAFETY: the kernel only reads the program, which lives longer than the call.
        let result = unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &program) };
        crate::sys::check(result).map(drop)
    }
}

/// What happens to each call that is not simply denied.
fn verdicts(capabilities: Capabilities) -> BTreeMap<u32, Verdict> {
    let mut verdicts = BTreeMap::new();
    for rule in profile::rules(capabilities) {
        for number in rule.names.iter().filter_map(|name| number(name)) {
            match (rule.argument, verdicts.get_mut(&number)) {
                (_, Some(Verdict::Allow)) => {}
                (Argument::Any, _) => {
                    verdicts.insert(number, Verdict::Allow);
                }
                (argument, Some(Verdict::Check(arguments))) => arguments.push(argument),
                (argument, _) => {
                    verdicts.insert(number, Verdict::Check(vec![argument]));
                }
            }
        }
    }
    let missing = profile::missing(capabilities).iter().filter_map(|name| number(name));
    verdicts.extend(missing.map(|number| (number, Verdict::Fail(libc::ENOSYS as u16))));
    verdicts
}

fn number(name: &str) -> Option<u32> {
    name.parse::<syscalls::Sysno>().ok().map(|number| number.id() as u32)
}

/// The same profile as `linux.seccomp` of an OCI `config.json`, for an external runtime.
pub fn oci(capabilities: Capabilities) -> serde_json::Value {
    use serde_json::json;
    let architectures = if cfg!(target_arch = "x86_64") {
        json!(["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"])
    } else {
        json!(["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"])
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
        let filter = Filter::compile(capabilities);
        // SAFETY: the child makes system calls only and ends.
        let pid = unsafe { libc::fork() };
        if pid == 0 {
            let code = if filter.load().is_ok() { probe() } else { 99 };
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
        assert_eq!(
            under(default, || unsafe {
                libc::unshare(libc::CLONE_NEWUSER);
                errno()
            }),
            libc::EPERM
        );
        assert_eq!(
            under(default, || unsafe {
                libc::syscall(libc::SYS_clone3, 0, 0);
                errno()
            }),
            libc::ENOSYS
        );
        assert_eq!(
            under(default, || unsafe {
                libc::syscall(libc::SYS_keyctl, 0, 0);
                errno()
            }),
            libc::EPERM
        );
        let clone_with = || unsafe {
            libc::syscall(libc::SYS_clone, libc::CLONE_NEWUSER | libc::SIGCHLD, 0, 0, 0, 0);
            errno()
        };
        assert_eq!(under(default, clone_with), libc::EPERM);
        let fork = || unsafe {
            match libc::fork() {
                0 => libc::_exit(7),
                pid => {
                    let mut status = 0;
                    libc::waitpid(pid, &mut status, 0);
                    libc::WEXITSTATUS(status)
                }
            }
        };
        assert_eq!(under(default, fork), 7);
    }

    #[test]
    fn arguments_are_looked_at() {
        let default = Capabilities::resolve(&[], &[]);
        assert_eq!(
            under(default, || unsafe {
                libc::socket(libc::AF_VSOCK, libc::SOCK_STREAM, 0);
                errno()
            }),
            libc::EPERM
        );
        assert_eq!(under(default, || unsafe { (libc::socket(libc::AF_INET, libc::SOCK_STREAM, 0) < 0).into() }), 0);
        assert_eq!(under(default, || unsafe { (libc::personality(0xffff_ffff) < 0).into() }), 0);
        assert_eq!(
            under(default, || unsafe {
                libc::personality(0x0004_0000);
                errno()
            }),
            libc::EPERM
        );
    }

    #[test]
    fn a_capability_allows_its_calls() {
        let chroot = || unsafe {
            libc::chroot(c"/nowhere".as_ptr());
            errno()
        };
        assert_eq!(under(Capabilities::resolve(&[], &[]), chroot), libc::ENOENT);
        assert_eq!(under(Capabilities::resolve(&[], &["SYS_CHROOT".into()]), chroot), libc::EPERM);
        let unshare = || unsafe { libc::unshare(0) };
        assert_eq!(under(Capabilities::resolve(&["SYS_ADMIN".into()], &[]), unshare), 0);
    }

    /// The same rules compiled by seccompiler, as two programs of which the stricter answer counts.
    fn reference(capabilities: Capabilities) -> Vec<Vec<libc::sock_filter>> {
        use seccompiler::*;
        let condition = |argument: &Argument| {
            let (index, length, operator, value) = match *argument {
                Argument::Any => unreachable!("not a condition"),
                Argument::Is(index, value) => (index, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, u64::from(value)),
                Argument::IsNot(index, value) => (index, SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, u64::from(value)),
                Argument::HasNone(index, mask) => {
                    (index, SeccompCmpArgLen::Qword, SeccompCmpOp::MaskedEq(mask.into()), 0)
                }
            };
            SeccompRule::new(vec![SeccompCondition::new(index, length, operator, value).unwrap()]).unwrap()
        };
        let (mut allowed, mut missing) = (BTreeMap::new(), BTreeMap::new());
        for (number, verdict) in verdicts(capabilities) {
            let rules = match &verdict {
                Verdict::Check(arguments) => arguments.iter().map(condition).collect(),
                _ => Vec::new(),
            };
            if matches!(verdict, Verdict::Fail(_)) {
                missing.insert(i64::from(number), Vec::new());
            }
            allowed.insert(i64::from(number), rules);
        }
        let arch = std::env::consts::ARCH.try_into().unwrap();
        let (denied, absent) = (SeccompAction::Errno(1), SeccompAction::Errno(38));
        let first = SeccompFilter::new(allowed, denied, SeccompAction::Allow, arch).unwrap();
        let mut filters = vec![first];
        if !missing.is_empty() {
            filters.push(SeccompFilter::new(missing, SeccompAction::Allow, absent, arch).unwrap());
        }
        let program = |filter: SeccompFilter| -> Vec<libc::sock_filter> {
            let program: BpfProgram = filter.try_into().unwrap();
            program.iter().map(|i| libc::sock_filter { code: i.code, jt: i.jt, jf: i.jf, k: i.k }).collect()
        };
        filters.into_iter().map(program).collect()
    }

    #[test]
    fn the_program_answers_as_seccompilers_does() {
        let all = ["ALL".to_owned()];
        let admin = ["SYS_ADMIN".to_owned(), "SYS_PTRACE".to_owned()];
        for capabilities in [
            Capabilities::resolve(&[], &[]),
            Capabilities::resolve(&admin, &all),
            Capabilities::resolve(&[], &all),
            Capabilities::resolve(&all, &[]),
        ] {
            let (ours, theirs) = (Filter::compile(capabilities).0, reference(capabilities));
            assert!(ours.len() < 300, "{} instructions", ours.len());
            let values = [
                0,
                1,
                8,
                40,
                0x2_0000,
                0x2_0008,
                0x1000_0000,
                0x0200_0000,
                0x7e02_0000,
                0xffff_ffff,
                0x1_0000_0000,
                0x1_0000_0028,
                u64::MAX,
                0x0010_0000,
                17,
            ];
            for number in (0..700).chain([0x4000_0000, 0x4000_0001, u32::MAX]) {
                for value in values {
                    let arguments = [value, 0, 0, 0, 0, 0];
                    let answers = theirs.iter().map(|program| compile::run(program, number, AUDIT_ARCH, arguments));
                    // Of failure and permission the kernel takes the smaller value.
                    let expected = answers.min().unwrap();
                    let answer = compile::run(&ours, number, AUDIT_ARCH, arguments);
                    assert_eq!(answer, expected, "call {number} with {value:#x}");
                }
            }
        }
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
