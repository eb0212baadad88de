//! The AWS CLI as a subprocess, unmodified.

use crate::instance::Instance;
use anyhow::{Context, bail};
use serde_json::Value;
use std::net::SocketAddr;
use std::process::Command;

#[derive(Clone)]
pub struct Aws {
    program: String,
    address: SocketAddr,
    /// Access key, secret, and session token if it has one.
    key: (String, String, Option<String>),
    /// For CLIs that do not know AWS_ENDPOINT_URL.
    endpoint_option: bool,
}

impl Aws {
    /// The CLI that `LONGSHORE_TEST_AWS` names, else `aws` of the path.
    pub fn new(instance: &Instance) -> Self {
        let program = std::env::var("LONGSHORE_TEST_AWS").unwrap_or_else(|_| "aws".to_owned());
        let endpoint_option = std::env::var_os("AWS_ENDPOINT_OPTION").is_some();
        let key = ("longshore".to_owned(), "longshore".to_owned(), None);
        Self { program, address: instance.listen, key, endpoint_option }
    }

    pub fn with_program(mut self, program: &str, endpoint_option: bool) -> Self {
        self.program = program.to_owned();
        self.endpoint_option = endpoint_option;
        self
    }

    /// The CLI with the account's own key, as `longshore env` tells it.
    pub fn root(instance: &Instance) -> anyhow::Result<Self> {
        let variables: Value = serde_json::from_str(&instance.command(&["env", "--format", "json"])?)?;
        let get = |name: &str| variables[name].as_str().with_context(|| format!("{name} is not told"));
        Ok(Self::new(instance).with_key(get("AWS_ACCESS_KEY_ID")?, get("AWS_SECRET_ACCESS_KEY")?, None))
    }

    /// The same CLI with another's credentials.
    pub fn with_key(&self, id: &str, secret: &str, session_token: Option<&str>) -> Self {
        Self { key: (id.to_owned(), secret.to_owned(), session_token.map(str::to_owned)), ..self.clone() }
    }

    /// Whether the CLI exists, and which it is.
    pub fn version(&self) -> Option<String> {
        let output = Command::new(&self.program).arg("--version").output().ok()?;
        let text = if output.stdout.is_empty() { output.stderr } else { output.stdout };
        output.status.success().then(|| String::from_utf8_lossy(&text).trim().to_owned())
    }

    /// Gives a command what the CLI and SDKs look for, and nothing of the machine's own.
    pub fn environment(&self, command: &mut Command) {
        let clear = ["AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"];
        for name in clear {
            command.env_remove(name);
        }
        command
            .env("AWS_ENDPOINT_URL", format!("http://{}", self.address))
            .env("AWS_ACCESS_KEY_ID", &self.key.0)
            .env("AWS_SECRET_ACCESS_KEY", &self.key.1)
            .env("AWS_DEFAULT_REGION", "us-east-1")
            .env("AWS_CONFIG_FILE", "/dev/null")
            .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("AWS_MAX_ATTEMPTS", "1")
            .env("AWS_PAGER", "");
        if let Some(token) = &self.key.2 {
            command.env("AWS_SESSION_TOKEN", token);
        }
        if self.endpoint_option {
            command.env("AWS_ENDPOINT_OPTION", "1");
        } else {
            command.env_remove("AWS_ENDPOINT_OPTION");
        }
    }

    pub fn program(&self) -> &str {
        &self.program
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        self.environment(&mut command);
        if self.endpoint_option {
            command.arg("--endpoint-url").arg(format!("http://{}", self.address));
        }
        command.args(arguments).args(["--output", "json"]);
        command
    }

    /// A call that succeeds; `Null` where it answers nothing.
    pub fn call(&self, arguments: &[&str]) -> anyhow::Result<Value> {
        let output = self.command(arguments).output().with_context(|| format!("start {}", self.program))?;
        if !output.status.success() {
            bail!("aws {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim());
        }
        if output.stdout.iter().all(u8::is_ascii_whitespace) {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&output.stdout).with_context(|| format!("aws {} printed no JSON", arguments.join(" ")))
    }

    /// A call's text at `query`, such as `Vpcs[0].VpcId`.
    pub fn text(&self, arguments: &[&str], query: &str) -> anyhow::Result<String> {
        let value = self.call(&[arguments, &["--query", query]].concat())?;
        value.as_str().map(str::to_owned).with_context(|| format!("aws {}: {query} is {value}", arguments.join(" ")))
    }

    /// A call that must be refused: what the CLI says.
    pub fn refusal(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let output = self.command(arguments).output().with_context(|| format!("start {}", self.program))?;
        if output.status.success() {
            bail!(
                "aws {} should have been refused, and answered {}",
                arguments.join(" "),
                String::from_utf8_lossy(&output.stdout)
            );
        }
        Ok(String::from_utf8_lossy(&output.stderr).trim().to_owned())
    }
}
