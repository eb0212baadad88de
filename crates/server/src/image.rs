//! `longshore image`: build, import, list. What is built or imported goes to the built-in registry, so that tasks pull it
//! like any image; the repository is made through the API, as anybody would.

use crate::build_output::Output;
use crate::config::Config;
use crate::status;
use anyhow::{Context, bail};
use base64::Engine as _;
use clap::Subcommand;
use longshore_image::build::BuildOptions;
use longshore_image::{
    Auth, CleanupPolicy, Endpoint, Image, ImageRef, ImageStore, PullOptions, PushOptions, StoreOptions,
};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

#[derive(Subcommand)]
pub enum ImageCommand {
    /// Build an image from a Dockerfile and push it to the built-in registry.
    ///
    /// Prints the name to use in a task definition. Example: longshore image build -t web ./app
    ///
    /// Copied files keep their dates. For the same digest from every checkout, give all of them one:
    /// SOURCE_DATE_EPOCH=$(git log -1 --format=%ct) longshore image build …
    Build {
        #[command(flatten)]
        place: crate::cli::Place,
        /// Repository, and optionally tag: `web` or `web:1.2`. Give it again for more names.
        #[arg(long, short, required = true)]
        tag: Vec<String>,
        /// The Dockerfile, if it is not `Dockerfile` in the context.
        #[arg(long, short)]
        file: Option<PathBuf>,
        /// Value of an ARG: NAME=VALUE.
        #[arg(long = "build-arg", value_parser = pair)]
        build_args: Vec<(String, String)>,
        /// Stage to build.
        #[arg(long)]
        target: Option<String>,
        /// Run every step again.
        #[arg(long)]
        no_cache: bool,
        /// Ask registries for newer base images.
        #[arg(long)]
        pull: bool,
        /// A file that RUN --mount=type=secret shows: id=NAME,src=FILE or id=NAME,env=VARIABLE.
        #[arg(long = "secret", value_parser = secret)]
        secrets: Vec<(String, SecretSource)>,
        /// Platform to build for; only this machine's own.
        #[arg(long)]
        platform: Option<String>,
        /// Directory that COPY takes files from.
        context: PathBuf,
    },
    /// Import an archive of `docker save`, or an OCI layout as tar, and push it to the built-in registry.
    Import {
        #[command(flatten)]
        place: crate::cli::Place,
        /// Repository, and optionally tag.
        #[arg(long, short)]
        tag: String,
        archive: PathBuf,
    },
    /// Remove images from this node that no task runs from and that were not used lately. The registry keeps its own.
    Prune {
        #[command(flatten)]
        place: crate::cli::Place,
        /// Hours without use after which an image goes.
        #[arg(long, value_name = "HOURS", default_value_t = 1)]
        unused_for: u64,
    },
    /// List the images that this node has unpacked.
    #[command(visible_alias = "list")]
    Ls {
        #[command(flatten)]
        place: crate::cli::Place,
    },
}

/// Where a secret comes from.
#[derive(Clone)]
pub enum SecretSource {
    File(PathBuf),
    Variable(String),
}

impl SecretSource {
    fn read(&self) -> anyhow::Result<Vec<u8>> {
        match self {
            Self::File(path) => {
                std::fs::read(path).with_context(|| format!("--secret: cannot read {}", path.display()))
            }
            Self::Variable(name) => match std::env::var_os(name) {
                Some(value) => Ok(std::os::unix::ffi::OsStringExt::into_vec(value)),
                None => bail!("--secret: the variable {name} is not set"),
            },
        }
    }
}

fn secret(text: &str) -> Result<(String, SecretSource), String> {
    let (mut id, mut source) = (None, None);
    for part in text.split(',') {
        match part.split_once('=') {
            Some(("id", value)) => id = Some(value.to_owned()),
            Some(("src" | "source", value)) => source = Some(SecretSource::File(value.into())),
            Some(("env", value)) => source = Some(SecretSource::Variable(value.to_owned())),
            Some(("type", "file" | "env")) => {}
            _ => return Err(format!("`{part}` is not understood: give id=NAME,src=FILE or id=NAME,env=VARIABLE")),
        }
    }
    let id = id.ok_or("give an id")?;
    // As Docker: without a source it is the variable or file of that name.
    let source = source.unwrap_or_else(|| match std::env::var_os(&id) {
        Some(_) => SecretSource::Variable(id.clone()),
        None => SecretSource::File(id.clone().into()),
    });
    Ok((id, source))
}

/// <https://reproducible-builds.org/specs/source-date-epoch/>, from the build argument or the environment.
fn source_date_epoch(args: &BTreeMap<String, String>) -> anyhow::Result<Option<i64>> {
    let given = args.get("SOURCE_DATE_EPOCH").cloned().or_else(|| std::env::var("SOURCE_DATE_EPOCH").ok());
    let parse = |text: String| text.parse().with_context(|| format!("SOURCE_DATE_EPOCH={text}: expected seconds"));
    given.filter(|text| !text.is_empty()).map(parse).transpose()
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("give NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

pub fn run(command: ImageCommand) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        match command {
            ImageCommand::Build {
                place,
                tag,
                file,
                build_args,
                target,
                no_cache,
                pull,
                secrets,
                platform,
                context,
            } => {
                let own = longshore_image::Platform::host().to_string();
                if let Some(other) = platform.filter(|platform| *platform != own) {
                    bail!("--platform {other} is not supported: this machine builds for {own}");
                }
                let site = Site::open(&place.run_dir)?;
                let names = tag.iter().map(|tag| site.name(tag)).collect::<anyhow::Result<Vec<_>>>()?;
                let args: BTreeMap<_, _> = build_args.into_iter().collect();
                let read = |(id, source): (String, SecretSource)| Ok::<_, anyhow::Error>((id, source.read()?));
                let output = Arc::new(Output::new());
                let shown = Arc::clone(&output);
                let options = BuildOptions {
                    dockerfile: file,
                    tags: names.iter().map(|name| name.parse()).collect::<Result<_, _>>()?,
                    source_date_epoch: source_date_epoch(&args)?,
                    args,
                    target,
                    no_cache,
                    secrets: secrets.into_iter().map(read).collect::<Result<_, _>>()?,
                    pull_always: pull,
                    pull: Some(site.pull().await?),
                    events: Some(Arc::new(move |event| shown.show(event))),
                };
                let runner = crate::build_step::Runner::new(&site.config)?;
                let image = site.images.build(&context, &options, &runner).await.map_err(explain)?;
                output.finish(&image);
                for name in &names {
                    site.publish(&image, name).await?;
                }
                Ok(ExitCode::SUCCESS)
            }
            ImageCommand::Import { place, tag, archive } => {
                let site = Site::open(&place.run_dir)?;
                let name = site.name(&tag)?;
                let file = longshore_image::open_archive(&archive).map_err(explain)?;
                let imported = site.images.import(file).await.map_err(explain)?;
                let image = imported.into_iter().next().context("the archive has no image")?.image;
                site.publish(&image, &name).await?;
                Ok(ExitCode::SUCCESS)
            }
            ImageCommand::Prune { place, unused_for } => {
                let site = Site::open(&place.run_dir)?;
                let unused_max = std::time::Duration::from_secs(unused_for * 3600);
                let policy = CleanupPolicy { unused_max, unused_min: unused_max, ..CleanupPolicy::default() };
                let report = site.images.clean_up(&policy)?;
                println!("removed {} images, {} layers, {} MB", report.images, report.layers, report.bytes / 1_000_000);
                Ok(ExitCode::SUCCESS)
            }
            ImageCommand::Ls { place } => {
                let site = Site::open(&place.run_dir)?;
                for summary in site.images.list()? {
                    let names: Vec<&str> = summary.references.iter().map(|(name, _)| name.as_str()).collect();
                    println!(
                        "{}  {:>9} KiB  {}",
                        summary.image.id,
                        summary.image.unpacked_bytes / 1024,
                        names.join(" ")
                    );
                }
                Ok(ExitCode::SUCCESS)
            }
        }
    })
}

fn explain(error: impl std::error::Error + Send + Sync + 'static) -> anyhow::Error {
    anyhow::Error::new(error)
}

/// A running Longshore, with its node's images.
struct Site {
    config: Config,
    images: ImageStore,
}

impl Site {
    fn open(run_dir: &std::path::Path) -> anyhow::Result<Self> {
        let config = Config::read(run_dir).context("start Longshore first: sudo longshore up")?;
        let images = ImageStore::open(&config.data_dir.join("images"), StoreOptions::default())?;
        Ok(Self { config, images })
    }

    fn registry(&self) -> String {
        format!("{}.dkr.ecr.{}.amazonaws.com", self.config.account, self.config.region)
    }

    /// The full name, in the built-in registry.
    fn name(&self, tag: &str) -> anyhow::Result<String> {
        let prefix = format!("{}/", self.registry());
        let short = tag.strip_prefix(&prefix).unwrap_or(tag);
        let (repository, version) = short.rsplit_once(':').unwrap_or((short, "latest"));
        if repository.is_empty() || version.is_empty() || repository.contains(':') {
            bail!("--tag {tag}: give a repository and optionally a tag, such as web:1.2");
        }
        Ok(format!("{prefix}{repository}:{version}"))
    }

    fn repository<'a>(&self, name: &'a str) -> &'a str {
        let path = name.split_once('/').map_or(name, |(_, path)| path);
        path.rsplit_once(':').map_or(path, |(repository, _)| repository)
    }

    async fn credentials(&self) -> anyhow::Result<Auth> {
        let answer =
            self.call("AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken", serde_json::json!({})).await?;
        let token =
            answer["authorizationData"][0]["authorizationToken"].as_str().context("the registry gave no token")?;
        let decoded = String::from_utf8(base64::engine::general_purpose::STANDARD.decode(token)?)?;
        let (username, password) = decoded.split_once(':').context("the registry's token is damaged")?;
        Ok(Auth::Basic { username: username.to_owned(), password: password.to_owned() })
    }

    fn endpoint(&self) -> anyhow::Result<Endpoint> {
        Ok(Endpoint::plain_http(&self.config.api_url())?)
    }

    /// How base images are pulled: ours from here, others from where they are.
    async fn pull(&self) -> anyhow::Result<longshore_image::build::PullFor> {
        let (auth, endpoint, host) = (self.credentials().await?, self.endpoint()?, self.registry());
        Ok(Arc::new(move |image: &ImageRef| match image.host() == host {
            true => PullOptions { auth: auth.clone(), endpoint: Some(endpoint.clone()), progress: None },
            false => PullOptions::default(),
        }))
    }

    async fn publish(&self, image: &Image, name: &str) -> anyhow::Result<()> {
        let repository = self.repository(name);
        let made = self
            .call(
                "AmazonEC2ContainerRegistry_V20150921.CreateRepository",
                serde_json::json!({"repositoryName": repository}),
            )
            .await;
        if let Err(error) = made
            && !error.to_string().contains("RepositoryAlreadyExistsException")
        {
            return Err(error);
        }
        let options = PushOptions { auth: self.credentials().await?, endpoint: Some(self.endpoint()?) };
        let digest = self.images.push(image.id, name, options).await.map_err(explain)?;
        eprintln!("pushed {digest}");
        println!("{name}");
        Ok(())
    }

    /// One call of the AWS API, as any client makes it.
    async fn call(&self, target: &str, body: serde_json::Value) -> anyhow::Result<serde_json::Value> {
        let (status, answer) = status::post(&self.config, target, body.to_string()).await?;
        let answer: serde_json::Value = serde_json::from_slice(&answer).unwrap_or_default();
        if status != 200 {
            bail!(
                "{}: {}",
                answer["__type"].as_str().unwrap_or("error"),
                answer["message"].as_str().unwrap_or_default()
            );
        }
        Ok(answer)
    }
}
