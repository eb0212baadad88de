//! The command line. `--help` teaches; every option is also an environment variable.

use crate::config::{Auth, Config, Throttling};
use crate::{agent, balancer, down, env, image, serve, status, up};
use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

/// The AWS container stack on your own machine: ECS on Fargate, load balancers, VPC networking, a registry and logs,
/// behind the AWS API.
///
/// Start it with `sudo longshore up`, then in another terminal: `eval "$(longshore env)"` and use `aws`, `docker` and
/// `curl` as ever.
#[derive(Parser)]
#[command(name = "longshore", version, max_term_width = 110)]
pub struct Cli {
    /// Say more (debug); the variable RUST_LOG says exactly what.
    #[arg(long, short, global = true)]
    pub verbose: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run everything on this machine, in the foreground, until Ctrl-C. Tasks and load balancers go on after it, and
    /// the next `up` finds them; `longshore down` ends them.
    Up(Options),
    /// Stop everything and remove every trace but the data directory.
    Down(Place),
    /// What runs: processes, address, numbers of tasks and load balancers.
    Status {
        #[command(flatten)]
        place: Place,
        /// For programs.
        #[arg(long)]
        json: bool,
    },
    /// The variables that point the AWS CLI and SDKs here: `eval "$(longshore env)"`.
    Env {
        #[command(flatten)]
        place: Place,
        #[arg(long, value_enum, default_value = "sh")]
        format: EnvFormat,
    },
    /// Whether this machine has what Longshore needs, and how to mend what is missing.
    Doctor(Options),
    /// Images: build from a Dockerfile, import an archive, list.
    Image {
        #[command(subcommand)]
        command: image::ImageCommand,
    },
    /// Shell completions, for example: longshore completions bash > /etc/bash_completion.d/longshore
    Completions { shell: clap_complete::Shell },
    /// Role: API, store and controllers. Started by `up`.
    #[command(hide = true)]
    Server(Role),
    /// Role: the node's agent. Started by `up`.
    #[command(hide = true)]
    Agent(Role),
    /// Role: load balancers and VPC resolvers. Started by `up`.
    #[command(hide = true)]
    Balancer(Role),
}

/// Where an instance of Longshore lives.
#[derive(Args, Clone)]
pub struct Place {
    /// Sockets, namespaces and supervisors; one instance each.
    #[arg(long, env = "LONGSHORE_RUN_DIR", default_value = "/run/longshore")]
    pub run_dir: PathBuf,
}

#[derive(Args, Clone)]
pub struct Options {
    #[command(flatten)]
    pub place: Place,
    /// State, images and logs that outlive a restart.
    #[arg(long, env = "LONGSHORE_DATA_DIR", default_value = "/var/lib/longshore")]
    pub data_dir: PathBuf,
    /// Address and port of the API and the registry.
    #[arg(long, env = "LONGSHORE_LISTEN", default_value = "127.0.0.1:4566")]
    pub listen: SocketAddr,
    /// Who may ask for what: `open` takes every key for the account's own, and is for loopback addresses only; `iam`
    /// verifies signatures and evaluates policies.
    #[arg(long, env = "LONGSHORE_AUTH", value_enum, default_value = "open")]
    pub auth: Auth,
    /// Account number: twelve digits.
    #[arg(long, env = "LONGSHORE_ACCOUNT", default_value = "123456789012", value_parser = account)]
    pub account: String,
    /// Region of requests that name none.
    #[arg(long, env = "LONGSHORE_REGION", default_value = "us-east-1")]
    pub region: String,
    /// Leave /etc/hosts alone: names of load balancers and the registry then resolve inside tasks only.
    #[arg(long, env = "LONGSHORE_NO_HOSTS")]
    pub no_hosts: bool,
    /// What runs containers: `builtin`, the path of an OCI runtime such as /usr/sbin/runc, or `none` for a control plane
    /// with simulated tasks, which needs no root.
    #[arg(long, env = "LONGSHORE_RUNTIME", default_value = "builtin")]
    pub runtime: String,
    /// Give each task users of its own: root of a container is an unprivileged user on the host.
    #[arg(long, env = "LONGSHORE_USER_NAMESPACES", default_value = "auto")]
    pub user_namespaces: UserNamespaces,
    /// Hold clients to the request rates that AWS documents: `aws` answers one request too many with the service's
    /// throttling error, for seeing how a client bears it.
    #[arg(long, env = "LONGSHORE_THROTTLE", value_enum, default_value = "off")]
    pub throttle: Throttling,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum UserNamespaces {
    /// Where the kernel and the file systems can.
    Auto,
    On,
    Off,
}

impl From<UserNamespaces> for longshore_agent::UserNamespaces {
    fn from(given: UserNamespaces) -> Self {
        match given {
            UserNamespaces::Auto => Self::Auto,
            UserNamespaces::On => Self::On,
            UserNamespaces::Off => Self::Off,
        }
    }
}

fn account(text: &str) -> Result<String, String> {
    match text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit()) {
        true => Ok(text.to_owned()),
        false => Err("an account number has twelve digits".to_owned()),
    }
}

#[derive(Args, Clone)]
struct Role {
    /// The run directory of an `up`, whose configuration the role reads.
    run_dir: PathBuf,
}

#[derive(Clone, Copy, ValueEnum)]
pub enum EnvFormat {
    /// `export` lines for a shell.
    Sh,
    /// One JSON object.
    Json,
}

impl Cli {
    pub fn run(self) -> anyhow::Result<ExitCode> {
        match self.command {
            Command::Up(options) => up::run(Config::new(options)?),
            Command::Down(place) => down::run(&place.run_dir),
            Command::Status { place, json } => status::run(&place.run_dir, json),
            Command::Env { place, format } => env::run(&place.run_dir, format),
            Command::Doctor(options) => crate::doctor::run(&Config::new(options)?),
            Command::Image { command } => image::run(command),
            Command::Completions { shell } => {
                clap_complete::generate(shell, &mut Cli::command(), "longshore", &mut std::io::stdout());
                Ok(ExitCode::SUCCESS)
            }
            Command::Server(role) => serve::run(Config::read(&role.run_dir)?),
            Command::Agent(role) => agent::run(Config::read(&role.run_dir)?),
            Command::Balancer(role) => balancer::run(Config::read(&role.run_dir)?),
        }
    }
}
