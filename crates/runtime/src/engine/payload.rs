//! The last steps inside a new process of a container, between libcontainer's set-up and the command: cgroup view,
//! look-up of the program, seccomp filter, final capabilities, exec.

use super::cgroup_view::View;
use crate::capability::Capabilities;
use crate::seccomp::Filter;
use crate::sys;
use libcontainer::workload::{Executor, ExecutorError, ExecutorSetEnvsError, ExecutorValidationError};
use oci_spec::runtime::Spec;
use std::collections::HashMap;
use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::RawFd;
use std::rc::Rc;

/// An executor for libcontainer. Its files are closed on exec.
#[derive(Clone)]
pub struct Payload {
    pub filter: Filter,
    /// Final set; the process has `CAP_SYS_ADMIN` until then.
    pub capabilities: Capabilities,
    /// For process 1: mounts to put in place.
    pub view: Option<Rc<View>>,
    /// For process 1: where to say why the command cannot be executed; closed without a word when it can.
    pub report: Option<RawFd>,
    /// How many of the first arguments are our own init, which is not looked up.
    pub own_arguments: usize,
}

impl Executor for Payload {
    /// Runs in the container's namespaces and root, as its user, before the start is allowed.
    fn validate(&self, spec: &Spec) -> Result<(), ExecutorValidationError> {
        let failed = |text: String| ExecutorValidationError::ArgValidationError(text);
        // Not earlier: a change of user clears it.
        sys::die_with_parent().map_err(|error| failed(format!("parent-death signal: {error}")))?;
        if self.report.is_some_and(|report| !sys::has_reader(report)) {
            return Err(failed("the supervisor has died".to_owned()));
        }
        if let Some(view) = &self.view {
            view.attach().map_err(|error| failed(format!("mount the cgroup view: {error}")))?;
        }
        let command = Command::from(spec, self.own_arguments);
        command.locate().map(drop).map_err(failed)
    }

    /// The environment is handed to exec as it stands in the spec, so there is nothing to set.
    fn setup_envs(&self, _: HashMap<String, String>) -> Result<(), ExecutorSetEnvsError> {
        Ok(())
    }

    fn exec(&self, spec: &Spec) -> Result<(), ExecutorError> {
        let failure = self.execute(spec);
        if let Some(report) = self.report {
            // SAFETY: the buffer is valid for its length; the descriptor is ours until exec.
            unsafe { libc::write(report, failure.as_ptr().cast(), failure.len()) };
        }
        // libcontainer's own report for an exec in a running container.
        Err(ExecutorError::Other(failure))
    }
}

impl Payload {
    /// Returns only on failure, with `<exit code or -> <text>`.
    fn execute(&self, spec: &Spec) -> String {
        sys::close_directories();
        let command = Command::from(spec, self.own_arguments);
        let program = match command.locate() {
            Ok(program) => program,
            Err(text) => return format!("- {text}"),
        };
        sys::reset_signals();
        if let Err(error) = self.filter.load() {
            return format!("- load the seccomp filter: {error}");
        }
        if let Err(error) = self.capabilities.confine() {
            return format!("- drop capabilities: {error}");
        }
        let error = command.execute(&program, self.own_arguments);
        let code = if error.kind() == io::ErrorKind::NotFound { 127 } else { 126 };
        let text = match error.raw_os_error() {
            Some(libc::ENOEXEC) => "exec format error".to_owned(),
            // The file was there a moment ago: what is missing is what its first line or header names.
            Some(libc::ENOENT) => {
                "no such file or directory: the interpreter it asks for is not in the image".to_owned()
            }
            Some(libc::EACCES) => "permission denied".to_owned(),
            _ => error.to_string(),
        };
        format!("{code} exec {}: {text}", command.name())
    }
}

/// Arguments and environment of a process.
struct Command<'a> {
    args: &'a [String],
    env: &'a [String],
    skip: usize,
}

impl<'a> Command<'a> {
    fn from(spec: &'a Spec, skip: usize) -> Self {
        let process = spec.process().as_ref();
        let args = process.and_then(|process| process.args().as_deref()).unwrap_or_default();
        let env = process.and_then(|process| process.env().as_deref()).unwrap_or_default();
        Command { args, env, skip }
    }

    fn name(&self) -> &str {
        self.args.get(self.skip).map_or("", String::as_str)
    }

    /// The program's path inside the container, by the container's own `PATH`.
    fn locate(&self) -> Result<CString, String> {
        let name = self.name();
        if name.contains('/') {
            return match executable(name) {
                Ok(path) => Ok(path),
                Err(libc::EACCES) => Err(format!("exec: {name:?}: permission denied")),
                Err(libc::ENOENT) => Err(format!("exec: {name:?}: stat {name}: no such file or directory")),
                Err(errno) => Err(format!("exec: {name:?}: {}", io::Error::from_raw_os_error(errno))),
            };
        }
        let path = self.env.iter().rev().find_map(|pair| pair.strip_prefix("PATH=")).unwrap_or("");
        let mut denied = false;
        for directory in path.split(':') {
            let directory = if directory.is_empty() { "." } else { directory };
            match executable(&format!("{directory}/{name}")) {
                Ok(path) => return Ok(path),
                Err(errno) => denied |= errno == libc::EACCES,
            }
        }
        let why = if denied { "permission denied" } else { "executable file not found in $PATH" };
        Err(format!("exec: {name:?}: {why}"))
    }

    /// Replaces the process. With our init in front, that is what runs, and gets the program's path as an argument.
    fn execute(&self, program: &CStr, own: usize) -> io::Error {
        let text = |text: &String| CString::new(text.as_str());
        let (Ok(mut args), Ok(env)) = (
            self.args.iter().map(text).collect::<Result<Vec<CString>, _>>(),
            self.env.iter().map(text).collect::<Result<Vec<CString>, _>>(),
        ) else {
            return io::Error::from_raw_os_error(libc::EINVAL);
        };
        let mut program = program.to_owned();
        if own > 0 {
            // init, path to execute, argument 0 of it, …
            std::mem::swap(&mut program, &mut args[0]);
            args.insert(0, program.clone());
        }
        let pointers = |list: &[CString]| -> Vec<*const libc::c_char> {
            list.iter().map(|item| item.as_ptr()).chain([std::ptr::null()]).collect()
        };
        let (arguments, environment) = (pointers(&args), pointers(&env));
        // SAFETY: both lists end with null and point into strings that live longer than the call.
        unsafe { libc::execve(program.as_ptr(), arguments.as_ptr(), environment.as_ptr()) };
        io::Error::last_os_error()
    }
}

/// The path, if it is a regular file that this process may execute, else the reason.
fn executable(path: &str) -> Result<CString, i32> {
    let errno = |error: io::Error| error.raw_os_error().unwrap_or(libc::EINVAL);
    let metadata = std::fs::metadata(path).map_err(errno)?;
    if !metadata.is_file() {
        return Err(libc::EACCES);
    }
    let path = CString::new(path).map_err(|_| libc::EINVAL)?;
    // SAFETY: the path is a valid string.
    sys::check(unsafe { libc::access(path.as_ptr(), libc::X_OK) }).map_err(errno)?;
    Ok(path)
}
