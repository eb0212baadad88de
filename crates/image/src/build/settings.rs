//! The instructions that only change the image's configuration. Pure: no file is read or written here.

use super::instruction::{Command, Healthcheck, Instruction};
use super::words::{self, Lookup};
use crate::config::{self, ImageConfig};

/// What the shell form is given to unless SHELL says otherwise.
const DEFAULT_SHELL: [&str; 2] = ["/bin/sh", "-c"];

/// The program and arguments of a command.
pub(super) fn argv(command: &Command, config: &ImageConfig) -> Vec<String> {
    match command {
        Command::Exec(argv) => argv.clone(),
        Command::Shell(text) if text.is_empty() => Vec::new(),
        Command::Shell(text) if config.shell.is_empty() => {
            DEFAULT_SHELL.into_iter().chain([text.as_str()]).map(str::to_owned).collect()
        }
        Command::Shell(text) => config.shell.iter().chain([text]).cloned().collect(),
    }
}

/// Sets `name` in a list of `NAME=value`.
pub(super) fn set_env(env: &mut Vec<String>, name: &str, value: &str) {
    let entry = format!("{name}={value}");
    match env.iter_mut().find(|e| e.split_once('=').is_some_and(|(known, _)| known == name)) {
        Some(known) => *known = entry,
        None => env.push(entry),
    }
}

/// The value of `name` in a list of `NAME=value`.
pub(super) fn get_env<'a>(env: &'a [String], name: &str) -> Option<&'a str> {
    env.iter().find_map(|e| e.split_once('=').filter(|(known, _)| *known == name).map(|(_, value)| value))
}

/// A path as WORKDIR understands it: relative to the current one, cleaned, absolute.
pub(super) fn join_workdir(current: &str, path: &str) -> String {
    let joined = std::path::Path::new("/").join(current).join(path);
    format!("/{}", super::copy::clean(&joined).display())
}

/// Applies an instruction that is settings alone. `cmd_is_own` tells whether this stage has set CMD itself.
pub(super) fn apply(
    config: &mut ImageConfig,
    instruction: &Instruction,
    escape: char,
    lookup: Lookup<'_>,
    cmd_is_own: &mut bool,
) -> Result<(), String> {
    let expand = |text: &str| words::expand(text, escape, lookup);
    match instruction {
        Instruction::Env(pairs) => {
            // Values see the variables from before the whole instruction.
            let pairs: Vec<_> =
                pairs.iter().map(|(n, v)| Ok((expand(n)?, expand(v)?))).collect::<Result<_, String>>()?;
            pairs.iter().for_each(|(name, value)| set_env(&mut config.env, name, value));
        }
        Instruction::Label(pairs) => {
            for (name, value) in pairs {
                config.labels.insert(expand(name)?, expand(value)?);
            }
        }
        Instruction::User(user) => config.user = expand(user)?,
        Instruction::StopSignal(signal) => {
            let signal = expand(signal)?;
            let plain = |c: char| c.is_ascii_alphanumeric() || c == '+' || c == '-';
            if signal.is_empty() || !signal.chars().all(plain) {
                return Err(format!("invalid signal `{signal}`"));
            }
            config.stop_signal = Some(signal);
        }
        Instruction::Expose(ports) => {
            for word in ports {
                for port in expand(word)?.split_whitespace() {
                    config.exposed_ports.extend(exposed(port)?);
                }
            }
            config.exposed_ports.sort();
            config.exposed_ports.dedup();
        }
        Instruction::Volume(paths) => {
            for path in paths {
                config.volumes.push(expand(path)?);
            }
            config.volumes.sort();
            config.volumes.dedup();
        }
        Instruction::Shell(shell) => config.shell = shell.clone(),
        Instruction::Cmd(command) => {
            config.cmd = argv(command, config);
            *cmd_is_own = true;
        }
        Instruction::Entrypoint(command) => {
            config.entrypoint = argv(command, config);
            // An inherited CMD was meant for the inherited entry point.
            if !*cmd_is_own {
                config.cmd.clear();
            }
        }
        Instruction::Healthcheck(check) => config.healthcheck = Some(healthcheck(check)),
        Instruction::Onbuild(trigger) => config.on_build.push(trigger.clone()),
        Instruction::Run { .. }
        | Instruction::Copy(_)
        | Instruction::Arg(_)
        | Instruction::Workdir(_)
        | Instruction::Maintainer(_) => {}
    }
    Ok(())
}

/// `80`, `80/udp` or `8000-8005/tcp`, as the configuration lists them.
fn exposed(text: &str) -> Result<Vec<String>, String> {
    let wrong = || format!("invalid port `{text}`: expected PORT, PORT/tcp, PORT/udp or FIRST-LAST");
    let (ports, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let protocol = protocol.to_ascii_lowercase();
    if !["tcp", "udp", "sctp"].contains(&protocol.as_str()) {
        return Err(wrong());
    }
    let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
    let (first, last): (u16, u16) = first.parse().ok().zip(last.parse().ok()).ok_or_else(wrong)?;
    if first == 0 || last < first {
        return Err(wrong());
    }
    Ok((first..=last).map(|port| format!("{port}/{protocol}")).collect())
}

fn healthcheck(check: &Healthcheck) -> config::Healthcheck {
    match check {
        Healthcheck::None => config::Healthcheck { test: vec!["NONE".to_owned()], ..config::Healthcheck::default() },
        Healthcheck::Command { command, interval, timeout, start_period, start_interval, retries } => {
            config::Healthcheck {
                test: match command {
                    Command::Exec(argv) => ["CMD".to_owned()].into_iter().chain(argv.iter().cloned()).collect(),
                    Command::Shell(text) => vec!["CMD-SHELL".to_owned(), text.clone()],
                },
                interval: *interval,
                timeout: *timeout,
                start_period: *start_period,
                start_interval: *start_interval,
                retries: *retries,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_point_drops_an_inherited_command_but_not_an_own_one() {
        let cmd = Instruction::Cmd(Command::Exec(vec!["own".into()]));
        let entrypoint = Instruction::Entrypoint(Command::Shell("run me".into()));
        let mut config = ImageConfig { cmd: vec!["inherited".into()], ..ImageConfig::default() };
        let mut own = false;
        apply(&mut config, &entrypoint, '\\', &|_| None, &mut own).expect("valid");
        assert_eq!((config.cmd.len(), config.entrypoint.join(" ").as_str()), (0, "/bin/sh -c run me"));
        apply(&mut config, &cmd, '\\', &|_| None, &mut own).expect("valid");
        apply(&mut config, &entrypoint, '\\', &|_| None, &mut own).expect("valid");
        assert_eq!(config.cmd, ["own"]);
    }

    #[test]
    fn ports_and_directories() {
        assert_eq!(exposed("80").expect("valid"), ["80/tcp"]);
        assert_eq!(exposed("53-54/UDP").expect("valid"), ["53/udp", "54/udp"]);
        for wrong in ["", "x", "0", "80/icmp", "9-8", "99999"] {
            assert!(exposed(wrong).is_err(), "{wrong}");
        }
        assert_eq!(join_workdir("/srv/app", "../lib"), "/srv/lib");
        assert_eq!(join_workdir("", "a"), "/a");
        assert_eq!(join_workdir("/a", "/b/./c/"), "/b/c");
    }
}
