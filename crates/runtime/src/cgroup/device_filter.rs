//! The device filter of version 2, which has no files for it: a small BPF program on the group's directory.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::Path;

/// Kind, major, minor; `None` is any. What is listed may be opened for reading and writing and made.
const ALLOWED: &[(u32, Option<u32>, Option<u32>)] = &[
    (CHARACTER, Some(1), Some(3)), // null
    (CHARACTER, Some(1), Some(5)), // zero
    (CHARACTER, Some(1), Some(7)), // full
    (CHARACTER, Some(1), Some(8)), // random
    (CHARACTER, Some(1), Some(9)), // urandom
    (CHARACTER, Some(5), Some(0)), // tty
    (CHARACTER, Some(5), Some(1)), // console
    (CHARACTER, Some(5), Some(2)), // ptmx
    (CHARACTER, Some(136), None),  // pts
];

const CHARACTER: u32 = 2;
const ACCESS_MKNOD: i32 = 1;

/// Attaches the filter to the group at `directory` and those below it.
pub(super) fn attach(directory: &Path) -> io::Result<()> {
    let directory = std::fs::File::open(directory)?;
    let program = load(&program())?;
    let mut attach = AttachAttribute {
        target: directory.as_raw_fd() as u32,
        program: program.as_raw_fd() as u32,
        attach_type: BPF_CGROUP_DEVICE,
        flags: BPF_F_ALLOW_MULTI,
    };
    // SAFETY: the attribute is the prefix of `union bpf_attr` that this command reads.
    bpf(BPF_PROG_ATTACH, (&raw mut attach).cast(), size_of::<AttachAttribute>()).map(drop)
}

/// ```text
/// r2 = ctx.access_type & 0xffff (kind)   r3 = ctx.access_type >> 16 (access)   r4 = major   r5 = minor
/// if r3 == mknod: return 1
/// for each rule: unless r2, r4, r5 differ: return 1
/// return 0
/// ```
fn program() -> Vec<Instruction> {
    let mut code = vec![
        Instruction::new(LOAD_WORD, 2, 1, 0, 0),
        Instruction::new(MOVE, 3, 2, 0, 0),
        Instruction::new(AND_NUMBER, 2, 0, 0, 0xffff),
        Instruction::new(SHIFT_RIGHT_NUMBER, 3, 0, 0, 16),
        Instruction::new(LOAD_WORD, 4, 1, 4, 0),
        Instruction::new(LOAD_WORD, 5, 1, 8, 0),
        // mknod alone is harmless: the node cannot be opened.
        Instruction::new(JUMP_UNLESS_EQUAL, 3, 0, 2, ACCESS_MKNOD),
        Instruction::new(MOVE_NUMBER, 0, 0, 0, 1),
        Instruction::new(EXIT, 0, 0, 0, 0),
    ];
    for (kind, major, minor) in ALLOWED {
        let mut tests = vec![(2, *kind)];
        tests.extend(major.map(|major| (4, major)));
        tests.extend(minor.map(|minor| (5, minor)));
        let count = tests.len();
        for (index, (register, value)) in tests.into_iter().enumerate() {
            // Over the remaining tests and the two instructions that allow.
            let over = (count - index - 1 + 2) as i16;
            code.push(Instruction::new(JUMP_UNLESS_EQUAL, register, 0, over, value as i32));
        }
        code.push(Instruction::new(MOVE_NUMBER, 0, 0, 0, 1));
        code.push(Instruction::new(EXIT, 0, 0, 0, 0));
    }
    code.push(Instruction::new(MOVE_NUMBER, 0, 0, 0, 0));
    code.push(Instruction::new(EXIT, 0, 0, 0, 0));
    code
}

fn load(code: &[Instruction]) -> io::Result<OwnedFd> {
    let license = c"Apache-2.0";
    let mut attribute = LoadAttribute {
        program_type: BPF_PROG_TYPE_CGROUP_DEVICE,
        count: code.len() as u32,
        instructions: code.as_ptr() as u64,
        license: license.as_ptr() as u64,
        ..LoadAttribute::default()
    };
    let fd = bpf(BPF_PROG_LOAD, (&raw mut attribute).cast(), size_of::<LoadAttribute>())?;
    // SAFETY: the kernel just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn bpf(command: i32, attribute: *mut libc::c_void, size: usize) -> io::Result<i32> {
    // SAFETY: the callers pass an attribute of `size` bytes whose pointers are valid for the call.
    match unsafe { libc::syscall(libc::SYS_bpf, command, attribute, size) } {
        -1 => Err(io::Error::last_os_error()),
        result => Ok(result as i32),
    }
}

#[repr(C)]
#[derive(Default)]
struct LoadAttribute {
    program_type: u32,
    count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buffer: u64,
    kernel_version: u32,
    flags: u32,
}

#[repr(C)]
struct AttachAttribute {
    target: u32,
    program: u32,
    attach_type: u32,
    flags: u32,
}

#[repr(C)]
struct Instruction {
    code: u8,
    registers: u8,
    offset: i16,
    number: i32,
}

impl Instruction {
    fn new(code: u8, destination: u8, source: u8, offset: i16, number: i32) -> Self {
        // The kernel's bit field: destination in the low half on little-endian machines, in the high half on the others.
        let registers =
            if cfg!(target_endian = "little") { source << 4 | destination } else { destination << 4 | source };
        Instruction { code, registers, offset, number }
    }
}

const LOAD_WORD: u8 = 0x61;
const MOVE: u8 = 0xbf;
const MOVE_NUMBER: u8 = 0xb7;
const AND_NUMBER: u8 = 0x57;
const SHIFT_RIGHT_NUMBER: u8 = 0x77;
const JUMP_UNLESS_EQUAL: u8 = 0x55;
const EXIT: u8 = 0x95;

const BPF_PROG_LOAD: i32 = 5;
const BPF_PROG_ATTACH: i32 = 8;
const BPF_PROG_TYPE_CGROUP_DEVICE: u32 = 15;
const BPF_CGROUP_DEVICE: u32 = 6;
const BPF_F_ALLOW_MULTI: u32 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jumps_land_on_the_next_rule() {
        let code = program();
        for (at, instruction) in code.iter().enumerate().filter(|(_, i)| i.code == JUMP_UNLESS_EQUAL) {
            let target = at + 1 + instruction.offset as usize;
            assert!(target < code.len() && code[target - 1].code == EXIT, "jump at {at} to {target}");
        }
    }

    /// The kernel's verifier accepts the program, and it denies and allows. Needs a version 2 mount, which a machine on
    /// version 1 has as `unified`.
    #[test]
    fn devices_outside_the_list_cannot_be_opened() {
        let roots = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"];
        let Some(root) = roots.iter().map(Path::new).find(|root| root.join("cgroup.controllers").exists()) else {
            return;
        };
        let group = root.join(format!("longshore-test-devices-{}", std::process::id()));
        std::fs::create_dir(&group).unwrap();
        let attached = attach(&group);
        // SAFETY: the child makes system calls on values of its own and ends.
        let pid = unsafe { libc::fork() };
        if pid == 0 {
            let opens = |path: &std::ffi::CStr| unsafe { libc::open(path.as_ptr(), libc::O_RDONLY) } >= 0;
            let joined = crate::sys::write_value(&group.join("cgroup.procs"), "0").is_ok();
            let fine = joined && opens(c"/dev/null") && opens(c"/dev/urandom") && !opens(c"/dev/kmsg");
            unsafe { libc::_exit(i32::from(!fine)) };
        }
        let mut status = 0;
        unsafe { libc::waitpid(pid, &mut status, 0) };
        std::fs::remove_dir(&group).unwrap();
        attached.unwrap();
        assert_eq!(status, 0);
    }
}
