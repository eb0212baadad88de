//! A process 1 for containers that ask for one: forwards signals to the command, reaps orphans, ends as the command does.
//!
//! It is 200 bytes of machine code in an ELF file that we write ourselves, bind-mounted into the container. Running our
//! own executable in there instead would map the supervisor's memory, or the host's file, into reach of the container.

use std::arch::global_asm;

unsafe extern "C" {
    #[link_name = "longshore_init_begin"]
    static BEGIN: u8;
    #[link_name = "longshore_init_end"]
    static END: u8;
    #[link_name = "longshore_pause_begin"]
    static PAUSE_BEGIN: u8;
    #[link_name = "longshore_pause_end"]
    static PAUSE_END: u8;
}

// Process 1 of a PID namespace that containers share. Whoever starts it ignores SIGCHLD, so that the kernel reaps orphans.
#[cfg(target_arch = "x86_64")]
global_asm!(
    ".pushsection .rodata.longshore_pause,\"a\",@progbits",
    "longshore_pause_begin:",
    "2:",
    "mov eax, 34", // pause
    "syscall",
    "jmp 2b",
    "longshore_pause_end:",
    ".popsection",
);

#[cfg(target_arch = "aarch64")]
global_asm!(
    ".pushsection .rodata.longshore_pause,\"a\",@progbits",
    ".balign 4",
    "longshore_pause_begin:",
    "2:",
    "mov x8, #73", // ppoll(nothing, for ever)
    "mov x0, #0",
    "mov x1, #0",
    "mov x2, #0",
    "mov x3, #0",
    "mov x4, #8",
    "svc #0",
    "b 2b",
    "longshore_pause_end:",
    ".popsection",
);

// Started as `init <path> <argument 0> <argument>…`.
//
//     block all signals; fork
//     child:  unblock; execve(argv[1], &argv[2], envp); exit(127)
//     parent: loop { wait for a signal; unless SIGCHLD, pass it on;
//                    else reap all; if the child is among them, exit as it did }
#[cfg(target_arch = "x86_64")]
global_asm!(
    ".pushsection .rodata.longshore_init,\"a\",@progbits",
    "longshore_init_begin:",
    "mov r14, rsp",
    "sub rsp, 32",
    "mov qword ptr [rsp], -1",
    "mov qword ptr [rsp + 8], 0",
    "mov eax, 14", // rt_sigprocmask(SIG_BLOCK, all)
    "xor edi, edi",
    "mov rsi, rsp",
    "xor edx, edx",
    "mov r10d, 8",
    "syscall",
    "mov eax, 57", // fork
    "syscall",
    "mov edi, 126",
    "test eax, eax",
    "js 8f",
    "jz 5f",
    "mov r12d, eax",
    "2:",
    "mov eax, 128", // rt_sigtimedwait
    "mov rdi, rsp",
    "xor esi, esi",
    "xor edx, edx",
    "mov r10d, 8",
    "syscall",
    "test eax, eax",
    "jle 2b",
    "cmp eax, 17",
    "je 3f",
    "mov esi, eax",
    "mov edi, r12d",
    "mov eax, 62", // kill
    "syscall",
    "jmp 2b",
    "3:",
    "mov eax, 61", // wait4(-1, &status, WNOHANG)
    "mov edi, -1",
    "lea rsi, [rsp + 16]",
    "mov edx, 1",
    "xor r10d, r10d",
    "syscall",
    "test eax, eax",
    "jle 2b",
    "cmp eax, r12d",
    "jne 3b",
    "mov edi, dword ptr [rsp + 16]",
    "mov eax, edi",
    "and eax, 0x7f",
    "jz 4f",
    "lea edi, [rax + 128]",
    "jmp 8f",
    "4:",
    "shr edi, 8",
    "and edi, 0xff",
    "jmp 8f",
    "5:",
    "mov eax, 14", // rt_sigprocmask(SIG_SETMASK, none)
    "mov edi, 2",
    "lea rsi, [rsp + 8]",
    "xor edx, edx",
    "mov r10d, 8",
    "syscall",
    "mov rax, qword ptr [r14]",
    "mov rdi, qword ptr [r14 + 16]",
    "lea rsi, [r14 + 24]",
    "lea rdx, [r14 + rax * 8 + 16]",
    "mov eax, 59", // execve
    "syscall",
    "mov edi, 127",
    "8:",
    "mov eax, 231", // exit_group
    "syscall",
    "longshore_init_end:",
    ".popsection",
);

#[cfg(target_arch = "aarch64")]
global_asm!(
    ".pushsection .rodata.longshore_init,\"a\",@progbits",
    ".balign 4",
    "longshore_init_begin:",
    "mov x19, sp",
    "sub sp, sp, #32",
    "mov x0, #-1",
    "stp x0, xzr, [sp]",
    "mov x8, #135", // rt_sigprocmask(SIG_BLOCK, all)
    "mov x0, #0",
    "mov x1, sp",
    "mov x2, #0",
    "mov x3, #8",
    "svc #0",
    "mov x8, #220", // clone(SIGCHLD)
    "mov x0, #17",
    "mov x1, #0",
    "mov x2, #0",
    "mov x3, #0",
    "mov x4, #0",
    "svc #0",
    "mov x20, x0",
    "mov x0, #126",
    "tbnz x20, #63, 8f",
    "cbz x20, 5f",
    "2:",
    "mov x8, #137", // rt_sigtimedwait
    "mov x0, sp",
    "mov x1, #0",
    "mov x2, #0",
    "mov x3, #8",
    "svc #0",
    "cmp w0, #0",
    "b.le 2b",
    "cmp w0, #17",
    "b.eq 3f",
    "mov w1, w0",
    "mov w0, w20",
    "mov x8, #129", // kill
    "svc #0",
    "b 2b",
    "3:",
    "mov x8, #260", // wait4(-1, &status, WNOHANG)
    "mov x0, #-1",
    "add x1, sp, #16",
    "mov x2, #1",
    "mov x3, #0",
    "svc #0",
    "cmp w0, #0",
    "b.le 2b",
    "cmp w0, w20",
    "b.ne 3b",
    "ldr w0, [sp, #16]",
    "ands w1, w0, #0x7f",
    "b.eq 4f",
    "add w0, w1, #128",
    "b 8f",
    "4:",
    "ubfx w0, w0, #8, #8",
    "b 8f",
    "5:",
    "mov x8, #135", // rt_sigprocmask(SIG_SETMASK, none)
    "mov x0, #2",
    "add x1, sp, #8",
    "mov x2, #0",
    "mov x3, #8",
    "svc #0",
    "ldr x3, [x19]",
    "ldr x0, [x19, #16]",
    "add x1, x19, #24",
    "add x2, x19, x3, lsl #3",
    "add x2, x2, #16",
    "mov x8, #221", // execve
    "svc #0",
    "mov x0, #127",
    "8:",
    "mov x8, #94", // exit_group
    "svc #0",
    "longshore_init_end:",
    ".popsection",
);

const HEADER: usize = 64;
const PROGRAM_HEADER: usize = 56;
const ADDRESS: u64 = 0x40_0000;
#[cfg(target_arch = "x86_64")]
const MACHINE: u16 = 62;
#[cfg(target_arch = "aarch64")]
const MACHINE: u16 = 183;

/// The executable's bytes.
pub(super) fn image() -> Vec<u8> {
    executable(&raw const BEGIN, &raw const END)
}

/// Those of a process that does nothing, for ever.
pub(super) fn pause() -> Vec<u8> {
    executable(&raw const PAUSE_BEGIN, &raw const PAUSE_END)
}

fn executable(begin: *const u8, end: *const u8) -> Vec<u8> {
    // SAFETY: the assembler places both labels of a pair in one read-only section, with the code between them.
    let code = unsafe { std::slice::from_raw_parts(begin, end.offset_from_unsigned(begin)) };
    let total = (HEADER + PROGRAM_HEADER + code.len()) as u64;
    let mut file = Vec::with_capacity(total as usize);
    file.extend(*b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0");
    file.extend(2u16.to_le_bytes()); // executable
    file.extend(MACHINE.to_le_bytes());
    file.extend(1u32.to_le_bytes());
    file.extend((ADDRESS + (HEADER + PROGRAM_HEADER) as u64).to_le_bytes()); // entry
    file.extend((HEADER as u64).to_le_bytes()); // program headers
    file.extend(0u64.to_le_bytes()); // no sections
    file.extend(0u32.to_le_bytes());
    for half in [HEADER as u16, PROGRAM_HEADER as u16, 1, 64, 0, 0] {
        file.extend(half.to_le_bytes());
    }
    file.extend(1u32.to_le_bytes()); // load
    file.extend(5u32.to_le_bytes()); // readable, executable
    for word in [0, ADDRESS, ADDRESS, total, total, 0x1000] {
        file.extend(word.to_le_bytes());
    }
    file.extend(code);
    file
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;
    use std::process::{Command, Stdio};
    use std::time::Duration;

    fn written() -> (tempfile::TempDir, std::path::PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("init");
        std::fs::write(&path, image()).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        // A test beside this one may have forked while the file was open for writing, and not executed anything yet.
        let is_busy = || {
            let tried = Command::new(&path).args(["/bin/true", "true"]).status();
            tried.is_err_and(|error| error.kind() == std::io::ErrorKind::ExecutableFileBusy)
        };
        while is_busy() {
            std::thread::sleep(Duration::from_millis(1));
        }
        (directory, path)
    }

    #[test]
    fn it_ends_as_the_command_does() {
        let (_directory, init) = written();
        let run =
            |line: &str| Command::new(&init).args(["/bin/sh", "sh", "-c", line]).env("WHO", "me").output().unwrap();
        let output = run("echo $0 $WHO; exit 7");
        assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(7), &b"sh me\n"[..]));
        assert_eq!(run("kill -9 $$").status.code(), Some(137));
        let missing = Command::new(&init).args(["/nope", "nope"]).status().unwrap();
        assert_eq!(missing.code(), Some(127));
    }

    #[test]
    fn it_passes_signals_on() {
        let (_directory, init) = written();
        let script = "trap 'exit 9' TERM; echo on; while :; do sleep 0.01; done";
        let mut child =
            Command::new(&init).args(["/bin/sh", "sh", "-c", script]).stdout(Stdio::piped()).spawn().unwrap();
        let mut on = [0; 3];
        std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut on).unwrap();
        std::thread::sleep(Duration::from_millis(5));
        crate::sys::kill(child.id() as i32, libc::SIGTERM).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(9));
    }
}
