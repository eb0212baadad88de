//! A large image from one registry, Longshore's, to a node that has none of it: pulled and unpacked by Longshore and by Docker.

use super::docker::Docker;
use super::median;
use super::memory;
use crate::shell;
use anyhow::Context;
use base64::Engine as _;
use longshore_tests::api::Api;
use longshore_tests::aws::Aws;
use longshore_tests::calls::{self, Network};
use longshore_tests::instance::Instance;
use longshore_tests::random::Random;
use longshore_tests::sample;
use serde_json::json;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

const LAYERS: usize = 10;
const FILES_A_LAYER: usize = 1000;
const FILE_BYTES: usize = 50_000;
/// Each round has an image of its own, so that nobody has a layer of it.
const ROUNDS: usize = 3;

#[derive(Clone, Copy, Debug, Default)]
pub struct Pull {
    /// Of a layer file as pushed, all together, and of the files in them.
    pub compressed_megabytes: u64,
    pub megabytes: u64,
    pub longshore: Puller,
    pub docker: Puller,
}

#[derive(Clone, Copy, Debug, Default)]
pub struct Puller {
    /// Median of the rounds.
    pub seconds: f64,
    /// Most that the process that pulls had resident in any round, KiB.
    pub resident: u64,
}

pub fn measure(binary: &Path, work: &Path) -> anyhow::Result<Pull> {
    let mut instance = Instance::started(binary, "builtin")?;
    let names = (0..ROUNDS).map(|round| publish(&instance, work, round)).collect::<anyhow::Result<Vec<_>>>()?;
    // What was built is unpacked here, too. A new node has nothing.
    instance.interrupt()?;
    std::fs::remove_dir_all(instance.data_dir().join("images"))?;
    instance.up()?;

    let aws = Aws::new(&instance).with_program(&crate::machine::aws()?.display().to_string(), false);
    let network = Network::default(&aws)?;
    let mut api = Api::open(instance.listen)?;
    api.ecs("CreateCluster", &json!({}))?;
    let docker = Docker::on_host(work)?;
    docker.log_in(&instance.listen.to_string(), &password(&mut api)?)?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    let mut result = Pull { megabytes: (LAYERS * FILES_A_LAYER * FILE_BYTES / 1_000_000) as u64, ..Pull::default() };
    for (round, name) in names.iter().enumerate() {
        let agent = instance.pid("agent").context("an agent")? as u32;
        memory::forget_peak(agent);
        ours.push(by_longshore(&mut api, &network, name)?);
        result.longshore.resident = result.longshore.resident.max(memory::peak(agent));

        memory::forget_peak(docker.pid());
        let started = Instant::now();
        docker.pull(&format!("{}/{}", instance.listen, repository(round)))?;
        theirs.push(started.elapsed().as_secs_f64());
        result.docker.resident = result.docker.resident.max(memory::peak(docker.pid()));
    }
    drop(docker);
    let sizes = aws.call(&["ecr", "describe-images", "--repository-name", &repository(0)])?;
    result.compressed_megabytes = sizes["imageDetails"][0]["imageSizeInBytes"].as_u64().unwrap_or_default() / 1_000_000;
    result.longshore.seconds = median(&ours).unwrap_or_default();
    result.docker.seconds = median(&theirs).unwrap_or_default();
    instance.down()?;
    Ok(result)
}

fn repository(round: usize) -> String {
    format!("large-{round}")
}

/// Builds and pushes an image of ten layers: its name.
fn publish(instance: &Instance, work: &Path, round: usize) -> anyhow::Result<String> {
    let context = work.join("large");
    std::fs::create_dir_all(&context)?;
    sample::compile_web(&context.join("web"))?;
    let mut dockerfile = String::from("FROM scratch\nCOPY web /web\n");
    let mut random = Random(round as u64 + 1);
    for layer in 0..LAYERS {
        let dir = context.join(format!("layer-{layer}"));
        std::fs::create_dir_all(&dir)?;
        for file in 0..FILES_A_LAYER {
            let mut file = std::io::BufWriter::new(std::fs::File::create(dir.join(format!("file-{file}")))?);
            // Words out of a few thousand: compresses about as programs do.
            for _ in 0..FILE_BYTES / 8 {
                file.write_all(&(random.below(5000) * 0x0101_4A3B_77F1).to_le_bytes())?;
            }
        }
        dockerfile.push_str(&format!("COPY layer-{layer} /layer-{layer}/\n"));
    }
    dockerfile.push_str("CMD [\"/web\"]\n");
    std::fs::write(context.join("Dockerfile"), dockerfile)?;
    let context = context.to_str().context("a path that is text")?;
    instance.command(&["image", "build", "--no-cache", "-t", &repository(round), context])
}

/// Seconds from `pullStartedAt` to `pullStoppedAt` of a task.
fn by_longshore(api: &mut Api, network: &Network, image: &str) -> anyhow::Result<f64> {
    let definition = calls::register(api, &calls::definition("large", image, &json!({})))?;
    let task = calls::run_task(api, network, &definition)?;
    let state = calls::wait_status(api, &task, "RUNNING")?;
    let time = |name: &str| state[name].as_f64().with_context(|| format!("{name} in {state}"));
    let took = time("pullStoppedAt")? - time("pullStartedAt")?;
    api.ecs("StopTask", &json!({"task": task}))?;
    calls::wait_status(api, &task, "STOPPED")?;
    Ok(took)
}

/// What `docker login` takes, for the user AWS.
fn password(api: &mut Api) -> anyhow::Result<String> {
    let answer = api.call("ecr", "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken", &json!({}))?;
    let token = answer["authorizationData"][0]["authorizationToken"].as_str().context("a token")?;
    let text = String::from_utf8(base64::engine::general_purpose::STANDARD.decode(token)?)?;
    Ok(text.split_once(':').context("user and password")?.1.to_owned())
}

/// What a log-in and pulls need of a Docker.
impl Docker {
    fn log_in(&self, registry: &str, password: &str) -> anyhow::Result<()> {
        let mut login = self.cli(&["login", "--username", "AWS", "--password-stdin", registry]);
        let mut child = login.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        child.stdin.take().context("its input")?.write_all(password.as_bytes())?;
        anyhow::ensure!(child.wait()?.success(), "docker login to {registry} failed");
        Ok(())
    }

    fn pull(&self, name: &str) -> anyhow::Result<()> {
        let command: &mut Command = &mut self.cli(&["pull", "--quiet", name]);
        shell::run(command.stdout(Stdio::null()))
    }
}
