//! `cargo xtask demo`: from a fresh clone to a load-balanced service, narrated.

use crate::{build, machine, shell, terminal};
use anyhow::{Context, bail};
use longshore_tests::{http, sample, wait};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

#[derive(clap::Args)]
pub struct Args {
    /// Clean up and exit instead of staying up; the exit status says whether all went well
    #[arg(long)]
    once: bool,
    /// Use the release build: much slower to make, the same to look at
    #[arg(long)]
    release: bool,
    /// Sockets and supervisors of the demonstration's own Longshore
    #[arg(long, env = "LONGSHORE_RUN_DIR", default_value = "/run/longshore")]
    run_dir: PathBuf,
    /// State and images; removed at the end
    #[arg(long, default_value = "/var/lib/longshore-demo")]
    data_dir: PathBuf,
    /// Address of the API
    #[arg(long, env = "LONGSHORE_LISTEN", default_value = "127.0.0.1:4566")]
    listen: SocketAddr,
}

/// Set by Ctrl-C: no further step begins, and everything is cleaned up.
static INTERRUPTED: AtomicBool = AtomicBool::new(false);

pub fn run(args: Args) -> anyhow::Result<()> {
    if !cfg!(target_os = "linux") {
        bail!(
            "Longshore runs containers by Linux's own means; this is another system. A virtual machine with Linux will do."
        );
    }
    let started = Instant::now();
    println!("\n{}", terminal::bold("Longshore: the AWS container stack on your own machine"));
    println!(
        "{}",
        terminal::dim(
            "Builds it, starts it, and brings up a Fargate service behind a load balancer with the AWS CLI as it is."
        )
    );

    terminal::step("What the machine needs");
    if !shell::is_root() {
        terminal::note("Containers, networks and packages need root: sudo may ask for your password.");
        shell::run(Command::new("sudo").arg("--validate"))?;
    }
    machine::install(&[machine::COMPILER, machine::STATIC_LIBC, machine::NFT, machine::IP, machine::CURL])?;
    let aws = machine::aws()?;
    terminal::note(&format!("AWS CLI {} at {}", machine::version(&aws).unwrap_or_default(), aws.display()));

    terminal::step("Build");
    terminal::note("The first time takes some minutes; it is incremental after that.");
    let binary = if args.release { build::release()? } else { build::debug()? };
    sample::compile_web(&longshore_tests::root().join("demo/web/web"))?;
    terminal::note(&format!("{} ({} MiB)", binary.display(), std::fs::metadata(&binary)?.len() >> 20));

    end_on_interrupt();
    let mut demo = Demo { binary, aws, args, up: None };
    demo.refuse_if_occupied()?;
    let result = demo.show();
    if result.is_err() && !interrupted() {
        demo.show_log();
    }
    if result.is_ok() && !demo.args.once && !interrupted() {
        demo.stay()?;
    }
    terminal::step("Clean up");
    let cleaned = demo.clean_up();
    if interrupted() && result.is_err() {
        return cleaned;
    }
    result.and(cleaned)?;
    if demo.args.once {
        println!(
            "\n{} {}",
            terminal::green("✓"),
            terminal::bold(&format!("All of it worked, in {} s.", started.elapsed().as_secs()))
        );
    }
    Ok(())
}

fn interrupted() -> bool {
    INTERRUPTED.load(Ordering::Relaxed)
}

fn end_on_interrupt() {
    extern "C" fn note_it(_: i32) {
        INTERRUPTED.store(true, Ordering::Relaxed);
    }
    let handler: extern "C" fn(i32) = note_it;
    // SAFETY: the handler only stores to an atomic.
    unsafe {
        libc::signal(libc::SIGINT, handler as libc::sighandler_t);
        libc::signal(libc::SIGTERM, handler as libc::sighandler_t);
    }
}

struct Demo {
    binary: PathBuf,
    aws: PathBuf,
    args: Args,
    up: Option<Child>,
}

impl Demo {
    /// Another Longshore's tasks are not ours to end. What an earlier demonstration left is.
    fn refuse_if_occupied(&self) -> anyhow::Result<()> {
        let run_dir = self.args.run_dir.display();
        let config = std::fs::read_to_string(self.args.run_dir.join("config.json")).unwrap_or_default();
        let config: serde_json::Value = serde_json::from_str(&config).unwrap_or_default();
        if let Some(data_dir) = config["data_dir"].as_str() {
            if Path::new(data_dir) != self.args.data_dir {
                bail!(
                    "a Longshore of yours lives in {run_dir} already. Try the walk-through on it: demo/walkthrough.sh.\n  \
                     Or end it with `longshore down` and start the demonstration again."
                );
            }
            terminal::note("An earlier demonstration did not end by itself; it is removed first.");
            shell::run(&mut self.longshore(&["down"]))?;
        }
        if std::net::TcpStream::connect_timeout(&self.args.listen, Duration::from_secs(1)).is_ok() {
            bail!(
                "something listens on {} already; stop it, or choose another address: --listen 127.0.0.1:4577",
                self.args.listen
            );
        }
        Ok(())
    }

    fn show(&mut self) -> anyhow::Result<()> {
        terminal::step("Start Longshore");
        self.start()?;
        terminal::step("Build the sample application's image and push it to the built-in registry");
        terminal::note(&terminal::dim("$ longshore image build -t web demo/web"));
        let context = longshore_tests::root().join("demo/web");
        let context = context.to_str().context("the repository's path is no text")?;
        let image = shell::read(&mut self.longshore(&["image", "build", "-t", "web", context]))?;
        terminal::note(&format!("image {image}"));

        terminal::step("Walk through");
        let mut script = self.with_aws(Command::new(longshore_tests::root().join("demo/walkthrough.sh")));
        script.arg("--keep").env("IMAGE", &image);
        shell::run(&mut script)?;
        if interrupted() {
            bail!("interrupted");
        }
        self.summary()
    }

    fn start(&mut self) -> anyhow::Result<()> {
        let log = self.log();
        let file = std::fs::File::create(&log).with_context(|| format!("write {}", log.display()))?;
        let mut command = self.longshore(&["up"]);
        terminal::note(&terminal::dim("$ sudo longshore up"));
        command.arg("--data-dir").arg(&self.args.data_dir).arg("--listen").arg(self.args.listen.to_string());
        // A process group of its own: Ctrl-C is for us, and we end it in order.
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file).process_group(0);
        let started = Instant::now();
        self.up = Some(command.spawn()?);
        let (listen, up) = (self.args.listen, &mut self.up);
        wait::until("Longshore answers", Duration::from_secs(30), || {
            if let Some(status) = up.as_mut().and_then(|up| up.try_wait().ok().flatten()) {
                return Err(format!("`longshore up` ended ({status})"));
            }
            match http::get(listen, "localhost", "/_longshore/health") {
                Ok(answer) if answer.status == 200 => Ok(()),
                Ok(answer) => Err(answer.text()),
                Err(error) => Err(format!("{error:#}")),
            }
        })?;
        terminal::note(&format!("ready at http://{} after {} ms", self.args.listen, started.elapsed().as_millis()));
        Ok(())
    }

    fn summary(&self) -> anyhow::Result<()> {
        let query = "LoadBalancers[?LoadBalancerName=='FargateLoadBalancer'].DNSName";
        let mut call = self.with_aws(Command::new(&self.aws));
        let name = shell::read(call.args(["elbv2", "describe-load-balancers", "--query", query, "--output", "text"]))?;
        println!("\n{} {}", terminal::green("✓"), terminal::bold("It runs."));
        println!("\n  {}", terminal::bold(&format!("http://{name}/")));
        if self.args.once {
            return Ok(());
        }
        let place = match self.args.run_dir == Path::new("/run/longshore") {
            true => String::new(),
            false => format!(" --run-dir {}", self.args.run_dir.display()),
        };
        let binary = self.binary.display();
        let sudo = if shell::is_root() { "" } else { "sudo " };
        println!("\n  Try, in another terminal:");
        for (command, what) in [
            (format!("eval \"$({binary} env{place})\""), "point the AWS CLI here"),
            (format!("curl http://{name}/"), "ask a task"),
            ("aws ecs list-tasks --cluster fargate-cluster".to_owned(), "look at them"),
            (
                "aws ecs update-service --cluster fargate-cluster --service FargateDemoService --desired-count 4"
                    .to_owned(),
                "more of them",
            ),
            (self.log_command(), "what they write"),
            (format!("{sudo}{binary} status{place}"), "what runs"),
        ] {
            println!("    {:<22} {}", terminal::dim(what), command);
        }
        println!(
            "\n  docs/ARCHITECTURE.md is the map. {}",
            terminal::bold("Ctrl-C ends the demonstration and removes all of it.")
        );
        Ok(())
    }

    /// `aws logs tail` came with version 2.
    fn log_command(&self) -> String {
        match machine::version(&self.aws) {
            Some(version) if version.starts_with("1.") => {
                "aws logs filter-log-events --log-group-name /ecs/python-web-app --query 'events[].message'".to_owned()
            }
            _ => "aws logs tail /ecs/python-web-app --follow".to_owned(),
        }
    }

    fn stay(&mut self) -> anyhow::Result<()> {
        while !interrupted() {
            if let Some(status) = self.up.as_mut().and_then(|up| up.try_wait().ok().flatten()) {
                self.up = None;
                if status.success() {
                    return Ok(());
                }
                self.show_log();
                bail!("`longshore up` ended by itself ({status})");
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        println!();
        Ok(())
    }

    fn clean_up(&mut self) -> anyhow::Result<()> {
        let down = self.longshore(&["down"]).output().context("start longshore down")?;
        if let Some(mut up) = self.up.take() {
            up.wait()?;
        }
        shell::run(shell::as_root("rm").arg("-rf").arg(&self.args.data_dir))?;
        let _ = std::fs::remove_file(self.log());
        if !down.status.success() {
            bail!("`longshore down` failed: {}", String::from_utf8_lossy(&down.stderr).trim());
        }
        terminal::note("Tasks, networks and names are gone, and so is the demonstration's data.");
        Ok(())
    }

    fn log(&self) -> PathBuf {
        longshore_tests::target_dir().join("demo.log")
    }

    fn show_log(&self) {
        let log = std::fs::read_to_string(self.log()).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        if !lines.is_empty() {
            println!("\n  The last that Longshore wrote:");
        }
        for line in &lines[lines.len().saturating_sub(20)..] {
            println!("    {line}");
        }
    }

    /// `longshore <arguments>` as root, on our instance.
    fn longshore(&self, arguments: &[&str]) -> Command {
        let mut command = shell::as_root(&self.binary);
        command.args(arguments).arg("--run-dir").arg(&self.args.run_dir);
        command
    }

    fn with_aws(&self, mut command: Command) -> Command {
        let bin = self.aws.parent().map(Path::to_owned).unwrap_or_default();
        let path = std::env::var_os("PATH").unwrap_or_default();
        let paths = std::iter::once(bin).chain(std::env::split_paths(&path));
        command.env("PATH", std::env::join_paths(paths).unwrap_or(path.clone()));
        command.env("AWS_ENDPOINT_URL", format!("http://{}", self.args.listen));
        command.env("AWS_ACCESS_KEY_ID", "longshore").env("AWS_SECRET_ACCESS_KEY", "longshore");
        command.env("AWS_DEFAULT_REGION", "us-east-1").env("AWS_REGION", "us-east-1").env("AWS_PAGER", "");
        for name in ["AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_OPTION"] {
            command.env_remove(name);
        }
        command
    }
}
