//! Rules to a classic BPF program: a binary search over ranges of call numbers.
//!
//! seccompiler makes a chain of tests, 1575 instructions for this profile, and needs a second filter for a second kind of
//! denial. The kernel takes 0.8 ms to load that, a third of the time from `go` to a running container. This makes one
//! program of a tenth of the size. The tests compare the two, call by call.

use super::profile::Argument;
use libc::sock_filter;
use std::collections::BTreeMap;

/// What happens to a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    Allow,
    Fail(u16),
    /// Allowed if one of these holds, else fails with the default.
    Check(Vec<Argument>),
}

// Classic BPF, from linux/bpf_common.h.
const LOAD: u16 = 0x20; // word at an absolute offset
const JUMP: u16 = 0x05;
const JUMP_EQUAL: u16 = 0x15;
const JUMP_AT_LEAST: u16 = 0x35;
const JUMP_BITS: u16 = 0x45;
const RETURN: u16 = 0x06;

const ALLOW: u32 = 0x7fff_0000;
const FAIL: u32 = 0x0005_0000;
const KILL_PROCESS: u32 = 0x8000_0000;

// struct seccomp_data: nr, arch, instruction pointer (64), arguments (64 each).
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
const ARGUMENTS: u32 = 16;

/// The program for one architecture (an `AUDIT_ARCH_` value). Calls of another end the process, numbers that are not
/// listed fail with `default`.
pub(super) fn compile(architecture: u32, calls: &BTreeMap<u32, Verdict>, default: u16) -> Vec<sock_filter> {
    let mut program = vec![
        statement(LOAD, ARCHITECTURE),
        jump(JUMP_EQUAL, architecture, 1, 0),
        statement(RETURN, KILL_PROCESS),
        statement(LOAD, NUMBER),
    ];
    program.extend(search(&ranges(calls, default), default));
    program
}

/// The whole range of numbers, cut where the verdict changes: first number, verdict.
fn ranges(calls: &BTreeMap<u32, Verdict>, default: u16) -> Vec<(u32, Verdict)> {
    let mut ranges: Vec<(u32, Verdict)> = vec![(0, Verdict::Fail(default))];
    let mut set = |start: u32, verdict: Verdict| match ranges.last_mut() {
        Some((_, last)) if *last == verdict => {}
        Some((last_start, last)) if *last_start == start => *last = verdict,
        _ => ranges.push((start, verdict)),
    };
    for (number, verdict) in calls {
        set(*number, verdict.clone());
        if !calls.contains_key(&(number + 1)) {
            set(number + 1, Verdict::Fail(default));
        }
    }
    ranges
}

/// With the number loaded: finds its range and returns the verdict. `ranges` is not empty.
fn search(ranges: &[(u32, Verdict)], default: u16) -> Vec<sock_filter> {
    if let [(_, verdict)] = ranges {
        return leaf(verdict, default);
    }
    let (lower, upper) = ranges.split_at(ranges.len() / 2);
    let below = search(lower, default);
    let mut code = Vec::new();
    match u8::try_from(below.len()) {
        Ok(over) => code.push(jump(JUMP_AT_LEAST, upper[0].0, over, 0)),
        // A conditional jump reaches 255 instructions, the other kind any number.
        Err(_) => {
            code.push(jump(JUMP_AT_LEAST, upper[0].0, 0, 1));
            code.push(statement(JUMP, below.len() as u32));
        }
    }
    code.extend(below);
    code.extend(search(upper, default));
    code
}

fn leaf(verdict: &Verdict, default: u16) -> Vec<sock_filter> {
    match verdict {
        Verdict::Allow => vec![statement(RETURN, ALLOW)],
        Verdict::Fail(errno) => vec![statement(RETURN, FAIL | u32::from(*errno))],
        Verdict::Check(arguments) => {
            let mut code: Vec<sock_filter> = arguments.iter().flat_map(allow_if).collect();
            code.push(statement(RETURN, FAIL | u32::from(default)));
            code
        }
    }
}

/// Returns with "allow" if the condition holds, else goes on behind.
fn allow_if(argument: &Argument) -> Vec<sock_filter> {
    // All these arguments are 32 bits wide in the kernel: what a caller leaves in the upper half is not looked at there,
    // and must not be here. It is the first half of the word on little-endian machines, which is all we run on.
    let load = |index: u8| statement(LOAD, ARGUMENTS + 8 * u32::from(index));
    let allow = statement(RETURN, ALLOW);
    match *argument {
        Argument::Any => vec![allow],
        Argument::Is(index, value) => vec![load(index), jump(JUMP_EQUAL, value, 0, 1), allow],
        Argument::IsNot(index, value) => vec![load(index), jump(JUMP_EQUAL, value, 1, 0), allow],
        Argument::HasNone(index, mask) => vec![load(index), jump(JUMP_BITS, mask, 1, 0), allow],
    }
}

fn statement(code: u16, k: u32) -> sock_filter {
    sock_filter { code, jt: 0, jf: 0, k }
}

fn jump(code: u16, k: u32, jt: u8, jf: u8) -> sock_filter {
    sock_filter { code, jt, jf, k }
}

/// Runs a program as the kernel does.
#[cfg(test)]
pub(super) fn run(program: &[sock_filter], number: u32, architecture: u32, arguments: [u64; 6]) -> u32 {
    let load = |offset: u32| match offset {
        NUMBER => number,
        ARCHITECTURE => architecture,
        _ => {
            let argument = arguments[((offset - ARGUMENTS) / 8) as usize];
            if (offset - ARGUMENTS).is_multiple_of(8) { argument as u32 } else { (argument >> 32) as u32 }
        }
    };
    let (mut at, mut a) = (0usize, 0u32);
    loop {
        let sock_filter { code, jt, jf, k } = program[at];
        at += 1;
        let test = match code {
            LOAD => {
                a = load(k);
                continue;
            }
            RETURN => return k,
            JUMP => {
                at += k as usize;
                continue;
            }
            // AND with a constant, which seccompiler uses.
            0x54 => {
                a &= k;
                continue;
            }
            JUMP_EQUAL => a == k,
            JUMP_AT_LEAST => a >= k,
            JUMP_BITS => a & k != 0,
            0x25 => a > k,
            other => panic!("instruction {other:#x}"),
        };
        at += usize::from(if test { jt } else { jf });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdicts(calls: &[(u32, Verdict)], probe: &[u32]) -> Vec<u32> {
        let program = compile(7, &calls.iter().cloned().collect(), 1);
        probe.iter().map(|number| run(&program, *number, 7, [0; 6])).collect()
    }

    #[test]
    fn ranges_end_where_they_should() {
        let calls = [
            (0, Verdict::Allow),
            (1, Verdict::Allow),
            (5, Verdict::Allow),
            (6, Verdict::Fail(38)),
            (u32::MAX - 1, Verdict::Allow),
        ];
        let probe = [0, 1, 2, 4, 5, 6, 7, 1000, u32::MAX - 1, u32::MAX];
        let (yes, no) = (ALLOW, FAIL | 1);
        assert_eq!(verdicts(&calls, &probe), [yes, yes, no, no, yes, FAIL | 38, no, no, yes, no]);
    }

    #[test]
    fn long_programs_use_long_jumps() {
        let calls: Vec<(u32, Verdict)> = (0..2000).map(|n| (2 * n, Verdict::Allow)).collect();
        let probe: Vec<u32> = (0..4100).collect();
        let expected: Vec<u32> = probe.iter().map(|n| if n % 2 == 0 && *n < 4000 { ALLOW } else { FAIL | 1 }).collect();
        assert_eq!(verdicts(&calls, &probe), expected);
    }

    #[test]
    fn another_architecture_ends_the_process() {
        let program = compile(7, &BTreeMap::new(), 1);
        assert_eq!(run(&program, 0, 8, [0; 6]), KILL_PROCESS);
    }
}
