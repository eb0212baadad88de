//! Executes the instructions of one stage after the other.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use super::copy::{Origin, Plan, Rights, Sources};
use super::ignore::Ignore;
use super::instruction::{Command, Copy, Dockerfile, Instruction, Source, StageSource, Step};
use super::mount::{self, Mount, Stubs};
use super::{
    BuildError, BuildEvent, BuildOptions, DockerfileError, MountSource, RunMount, RunRequest, RunStep, cache,
    instruction, layer, remote, settings, words,
};
use crate::config::{ConfigFile, History};
use crate::digest::{ChainId, Digest};
use crate::image::LowerDirs;
use crate::manifest::Platform;
use crate::reference::ImageRef;
use crate::registry::blocking;
use crate::stack::{LayerStack, Node};
use crate::store::record::LayerRecord;
use crate::store::session::TempPath;
use crate::store::{ImageStore, Inner, StoreError, blobs, writable};
use crate::tree::remove_tree;

/// PATH of commands in images that set none, as every runtime has it.
const DEFAULT_PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Where a here-document that names its own interpreter is put for the command.
const SCRIPT: &str = "/.longshore-here-document";

/// What every runtime mounts: an image that lacks these still lacks them after a RUN.
const RUNTIME_MOUNTS: [&str; 6] = ["/dev", "/proc", "/sys", "/etc/hosts", "/etc/hostname", "/etc/resolv.conf"];

/// What a mount shows lies here in its own little tree.
const SHOWN: &str = "/shown";

/// Build arguments that need no ARG, because they describe the builder's network and not the image.
const PROXY_ARGS: [&str; 8] =
    ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy", "ALL_PROXY", "all_proxy"];

/// What ARG declared, each with a value if it has one.
type Args = BTreeMap<String, Option<String>>;

/// An image being made.
#[derive(Clone)]
pub(super) struct Built {
    pub config: ConfigFile,
    /// Bottom first.
    pub layers: Vec<LayerRecord>,
}

impl Built {
    fn top(&self) -> Option<ChainId> {
        self.layers.last().map(|layer| layer.chain)
    }

    /// The unpacked layers, top first.
    fn dirs(&self, inner: &Inner) -> Vec<PathBuf> {
        if self.layers.is_empty() {
            return vec![inner.layout.empty_layer()];
        }
        self.layers.iter().rev().map(|layer| inner.layout.layer_fs(layer.chain)).collect()
    }
}

/// The state of a stage.
struct State {
    built: Built,
    args: Args,
    cmd_is_own: bool,
}

impl State {
    fn lookup(&self, name: &str) -> Option<String> {
        // ENV wins over ARG.
        let env = settings::get_env(&self.built.config.config.env, name).map(str::to_owned);
        env.or_else(|| self.args.get(name).cloned().flatten())
    }
}

pub(super) struct Builder<'a> {
    store: &'a ImageStore,
    options: &'a BuildOptions,
    runner: &'a dyn RunStep,
    file: &'a Dockerfile,
    context: Arc<LayerStack>,
    ignore: Arc<Ignore>,
    /// When the Dockerfile was, and with it its here-documents.
    written: SystemTime,
    /// ARG before the first FROM, with the values given for this build.
    globals: BTreeMap<String, String>,
    used_args: BTreeSet<String>,
    /// The stages that are done, with the arguments that a stage on top of one has too.
    built: HashMap<usize, (Built, Args)>,
    /// What each stage's FROM names, with variables put in.
    pub images: Vec<String>,
    /// Instructions in all, and how many were begun.
    pub total: usize,
    begun: usize,
}

impl<'a> Builder<'a> {
    pub fn new(
        store: &'a ImageStore,
        context: &Path,
        dockerfile: &Path,
        options: &'a BuildOptions,
        runner: &'a dyn RunStep,
        file: &'a Dockerfile,
    ) -> Result<Self, BuildError> {
        let mut builder = Self {
            store,
            options,
            runner,
            file,
            context: Arc::new(LayerStack::new(vec![context.to_owned()])),
            ignore: Arc::new(ignore_file(context, dockerfile)?),
            written: std::fs::metadata(dockerfile)
                .and_then(|meta| meta.modified())
                .map_err(|source| BuildError::Dockerfile { path: dockerfile.to_owned(), source })?,
            globals: platform_args(),
            used_args: BTreeSet::new(),
            built: HashMap::new(),
            images: Vec::new(),
            total: 0,
            begun: 0,
        };
        for (line, name, default) in &file.globals {
            let value = match (options.args.get(name), default) {
                (Some(given), _) => Some(given.clone()),
                (None, Some(default)) => {
                    let lookup = |name: &str| builder.globals.get(name).cloned();
                    Some(words::expand(default, file.escape, &lookup).map_err(|e| DockerfileError::new(*line, e))?)
                }
                (None, None) => None,
            };
            builder.used_args.insert(name.clone());
            if let Some(value) = value {
                builder.globals.insert(name.clone(), value);
            }
        }
        builder.images = file
            .stages
            .iter()
            .map(|stage| builder.expand_global(stage.line, &stage.image))
            .collect::<Result<_, _>>()?;
        Ok(builder)
    }

    /// Builds stage `number`; those it needs are built already.
    pub async fn stage(&mut self, number: usize) -> Result<(), BuildError> {
        let file = self.file;
        let stage = &file.stages[number];
        let image = self.images[number].clone();
        let platform = stage.platform.as_deref().map(|text| self.expand_global(stage.line, text)).transpose()?;
        if let Some(platform) = platform.filter(|p| !p.is_empty()) {
            let ours = Platform::host().to_string();
            if platform != ours {
                let message = format!("platform {platform} is not supported: this machine builds for {ours}");
                return Err(DockerfileError::new(stage.line, message).into());
            }
        }
        self.begin(stage.line, &stage.text, false);
        let (built, args) = match file.stage_named(&image, number) {
            Some(base) => self.built[&base].clone(),
            None if image == "scratch" => {
                let mut config = ConfigFile::scratch();
                // As Docker, which gives it to images of nothing only.
                config.config.env.push(DEFAULT_PATH.to_owned());
                (Built { config, layers: Vec::new() }, Args::new())
            }
            None => (self.base(stage.line, &image).await?, Args::new()),
        };
        let mut state = State { built, args, cmd_is_own: false };
        // What the image left for us comes first, and is not left for the next.
        let triggers = std::mem::take(&mut state.built.config.config.on_build);
        self.total += triggers.len();
        for trigger in triggers {
            let step = instruction::parse_trigger(&trigger, stage.line, file.escape)?;
            self.step(number, &mut state, &step).await?;
        }
        for step in &stage.steps {
            self.step(number, &mut state, step).await?;
        }
        self.built.insert(number, (state.built, state.args));
        Ok(())
    }

    fn expand_global(&self, line: usize, text: &str) -> Result<String, DockerfileError> {
        let lookup = |name: &str| self.globals.get(name).cloned();
        words::expand(text, self.file.escape, &lookup).map_err(|e| DockerfileError::new(line, e))
    }

    pub fn take(&mut self, stage: usize) -> Built {
        self.built.remove(&stage).expect("the target is among the stages that were built").0
    }

    /// Tells of build arguments that no ARG asked for: most likely a misspelt name.
    pub fn warn_of_unused_args(&self) {
        let unused = |name: &&String| {
            !self.used_args.contains(*name) && !PROXY_ARGS.contains(&name.as_str()) && *name != "SOURCE_DATE_EPOCH"
        };
        for name in self.options.args.keys().filter(unused) {
            self.tell(BuildEvent::Warning(&format!("build argument `{name}` is not used: no ARG declares it")));
        }
    }

    async fn step(&mut self, stage: usize, state: &mut State, step: &Step) -> Result<(), BuildError> {
        let wrong = |message: String| BuildError::from(DockerfileError::new(step.line, message));
        let escape = self.file.escape;
        let layers = state.built.layers.len();
        match &step.instruction {
            Instruction::Run { command, heredocs, mounts, is_offline } => {
                let mut script = None;
                let command = match (command, heredocs.as_slice()) {
                    (Command::Shell(text), [only]) if is_alone(text) && only.content.starts_with("#!") => {
                        script = Some(only.content.clone());
                        Command::Exec(vec![SCRIPT.to_owned()])
                    }
                    (Command::Shell(text), [_, ..]) => Command::Shell(with_heredocs(text, heredocs)),
                    (command, _) => command.clone(),
                };
                self.run(stage, state, step, RunOf { command: &command, mounts, script, is_offline: *is_offline })
                    .await?;
            }
            Instruction::Copy(copy) => self.copy(stage, state, step, copy).await?,
            Instruction::Workdir(path) => {
                let path = words::expand(path, escape, &|name| state.lookup(name)).map_err(wrong)?;
                state.built.config.config.working_dir =
                    settings::join_workdir(&state.built.config.config.working_dir, &path);
                self.workdir(state, step).await?;
            }
            Instruction::Arg(args) => {
                self.begin(step.line, &step.text, false);
                for (name, default) in args {
                    let default = default.as_deref().map(|d| words::expand(d, escape, &|name| state.lookup(name)));
                    let value = self.options.args.get(name).cloned();
                    let value =
                        value.or(default.transpose().map_err(wrong)?).or_else(|| self.globals.get(name).cloned());
                    self.used_args.insert(name.clone());
                    // Without a value, one that it has stays.
                    match value {
                        Some(value) => drop(state.args.insert(name.clone(), Some(value))),
                        None => drop(state.args.entry(name.clone()).or_insert(None)),
                    }
                }
            }
            Instruction::Maintainer(name) => {
                self.begin(step.line, &step.text, false);
                state.built.config.author = Some(name.clone());
            }
            settings => {
                self.begin(step.line, &step.text, false);
                let mut config = state.built.config.config.clone();
                let mut cmd_is_own = state.cmd_is_own;
                let lookup = |name: &str| state.lookup(name);
                settings::apply(&mut config, settings, escape, &lookup, &mut cmd_is_own).map_err(wrong)?;
                state.built.config.config = config;
                state.cmd_is_own = cmd_is_own;
            }
        }
        state.built.config.history.push(History {
            created: Some(layer::rfc3339(self.epoch())),
            created_by: Some(step.text.clone()),
            empty_layer: state.built.layers.len() == layers,
            ..History::default()
        });
        Ok(())
    }

    async fn run(
        &mut self,
        stage: usize,
        state: &mut State,
        step: &Step,
        RunOf { command, mounts: flags, script, is_offline }: RunOf<'_>,
    ) -> Result<(), BuildError> {
        let config = &state.built.config.config;
        let argv = settings::argv(command, config);
        let mut env = config.env.clone();
        for (name, value) in &state.args {
            if let Some(value) = value.as_ref().filter(|_| settings::get_env(&env, name).is_none()) {
                settings::set_env(&mut env, name, value);
            }
        }
        if settings::get_env(&env, "PATH").is_none() {
            env.push(DEFAULT_PATH.to_owned());
        }
        let cwd = settings::join_workdir(&config.working_dir, "");
        let user = config.user.clone();
        let mounts = self.mounts(stage, state, step, flags, &cwd).await?;
        let shown: Vec<_> =
            mounts.iter().map(|(mount, plan)| (format!("{mount:?}"), plan.as_ref().map(|p| p.1))).collect();
        // A step without these keeps the key it had before there were any.
        let key = match (shown.is_empty(), &script) {
            _ if is_offline => self.key(state, &("offline", &argv, &env, &cwd, &user, shown, &script))?,
            (true, None) => self.key(state, &("run", &argv, &env, &cwd, &user))?,
            _ => self.key(state, &("run", &argv, &env, &cwd, &user, shown, &script))?,
        };
        if self.cached(state, step, key).await? {
            return Ok(());
        }
        let tree = LayerStack::new(state.built.dirs(&self.store.inner));
        let mut prepared = self.prepare_mounts(step, mounts, &mut env).await?;
        if let Some(script) = script {
            let file = mount::secret(&self.store.inner, script.as_bytes(), 0o755, (0, 0))?;
            prepared.show(MountSource::Path(file.as_path().to_owned()), SCRIPT.to_owned(), true);
            prepared.temporary.push(file);
        }
        let targets = prepared.list.iter().map(|mount| mount.target.clone());
        let stubs = Stubs::find(&tree, targets.chain(RUNTIME_MOUNTS.map(str::to_owned)));
        // Proxies reach the command, but neither the image nor the key: they do not change what is downloaded.
        for name in PROXY_ARGS {
            if let Some(value) = self.options.args.get(name).filter(|_| settings::get_env(&env, name).is_none()) {
                settings::set_env(&mut env, name, value);
            }
        }
        let inner = self.store.inner.clone();
        let staged = inner.session.dir("step")?;
        let dirs = state.built.dirs(&inner);
        let upper = staged.as_path().join("fs");
        let writable = writable::make(upper, staged.as_path().join("work"), dirs.first().map(PathBuf::as_path))?;
        let short: Vec<PathBuf> = match state.built.layers.as_slice() {
            [] => dirs,
            layers => layers.iter().rev().map(|layer| inner.layout.short(layer.chain)).collect(),
        };
        let lower = LowerDirs::new(&short);
        let output = |stream, bytes: &[u8]| self.tell(BuildEvent::Output { stream, bytes });
        let request = RunRequest {
            lower: &lower,
            upper: &writable.upper,
            work: &writable.work,
            argv: &argv,
            env: &env,
            cwd: &cwd,
            user: &user,
            mounts: &prepared.list,
            is_offline,
            output: &output,
        };
        let shown = || argv.join(" ");
        match self.runner.run(request).await {
            Ok(0) => {}
            Ok(code) => return Err(BuildError::Command { line: step.line, command: shown(), code }),
            Err(source) => return Err(BuildError::Run { line: step.line, command: shown(), source }),
        }
        drop(prepared);
        let below = state.built.top();
        let newest = self.options.source_date_epoch;
        let made = blocking(move || {
            stubs.remove(&tree, &writable.upper)?;
            remove_tree(&writable.work).map_err(StoreError::io("remove", &writable.work))?;
            let made = layer::commit(&inner, staged, below, newest)?;
            cache::put(&inner, key, made.as_ref())?;
            Ok::<_, BuildError>(made)
        });
        state.built.layers.extend(made.await?);
        Ok(())
    }

    /// What the flags of a RUN ask for, with the plan and digest of what each shows of the context, a stage or an image.
    async fn mounts(
        &self,
        stage: usize,
        state: &State,
        step: &Step,
        flags: &[mount::Flag],
        cwd: &str,
    ) -> Result<Vec<(Mount, Option<(Plan, Digest)>)>, BuildError> {
        let mut mounts = Vec::new();
        for flag in flags {
            let expand = |text: &str| words::expand(text, self.file.escape, &|name| state.lookup(name));
            let mount = flag.read(cwd, &expand).map_err(|e| DockerfileError::new(step.line, e))?;
            let shows_files = match mount.kind {
                mount::Kind::Bind => true,
                mount::Kind::Cache { .. } => mount.from.is_some(),
                _ => false,
            };
            let plan = match shows_files {
                true => {
                    let from = self.origin(stage, step.line, mount.from.as_deref()).await?;
                    let sources = Sources { paths: vec![mount.source.clone()], ..Sources::default() };
                    Some(
                        self.plan(step.line, from, self.nothing(), sources, SHOWN.to_owned(), Rights::default())
                            .await?,
                    )
                }
                false => None,
            };
            mounts.push((mount, plan));
        }
        Ok(mounts)
    }

    /// Makes what is mounted. `env` gets the secrets that are variables.
    async fn prepare_mounts(
        &self,
        step: &Step,
        mounts: Vec<(Mount, Option<(Plan, Digest)>)>,
        env: &mut Vec<String>,
    ) -> Result<Prepared, BuildError> {
        let inner = &self.store.inner;
        let mut prepared = Prepared::default();
        for (mount, plan) in mounts {
            match mount.kind {
                mount::Kind::Bind => {
                    let dir = inner.session.dir("bind")?;
                    self.write_plan(plan, dir.as_path()).await?;
                    let path = dir.as_path().join(SHOWN.trim_start_matches('/'));
                    prepared.show(MountSource::Path(path), mount.target, mount.readonly);
                    prepared.temporary.push(dir);
                }
                mount::Kind::Cache { id, sharing, mode, owner } => {
                    let mut cache = mount::cache(inner, &id, sharing, mode, owner).await?;
                    if let Some(fresh) = cache.to_fill()
                        && plan.is_some()
                    {
                        let dir = inner.session.dir("bind")?;
                        self.write_plan(plan, dir.as_path()).await?;
                        let from = dir.as_path().join(SHOWN.trim_start_matches('/'));
                        for entry in std::fs::read_dir(&from).map_err(StoreError::io("list", &from))?.flatten() {
                            let to = fresh.join(entry.file_name());
                            std::fs::rename(entry.path(), &to).map_err(StoreError::io("rename into", &to))?;
                        }
                    }
                    prepared.show(MountSource::Path(cache.settle()?), mount.target, mount.readonly);
                    prepared.caches.push(cache);
                }
                mount::Kind::Tmpfs { size_bytes } => {
                    prepared.show(MountSource::Tmpfs { size_bytes }, mount.target, false);
                }
                mount::Kind::Secret { id, required, mode, owner, env: variable, is_file } => {
                    let Some(value) = self.options.secrets.get(&id) else {
                        if required {
                            let message =
                                format!("secret `{id}` is required and was not given: use --secret id={id},src=FILE");
                            return Err(DockerfileError::new(step.line, message).into());
                        }
                        continue;
                    };
                    if let Some(name) = variable {
                        settings::set_env(env, &name, &String::from_utf8_lossy(value));
                    }
                    if is_file {
                        let file = mount::secret(inner, value, mode, owner)?;
                        prepared.show(MountSource::Path(file.as_path().to_owned()), mount.target, true);
                        prepared.temporary.push(file);
                    }
                }
            }
        }
        Ok(prepared)
    }

    async fn write_plan(&self, plan: Option<(Plan, Digest)>, to: &Path) -> Result<(), BuildError> {
        let Some((plan, _)) = plan else { return Ok(()) };
        let (to, epoch, limits) =
            (to.to_owned(), self.options.source_date_epoch, self.store.inner.options.limits.clone());
        let below = vec![self.store.inner.layout.empty_layer()];
        blocking(move || plan.apply(&to, &below, epoch, &limits)).await
    }

    /// A tree of nothing.
    fn nothing(&self) -> LayerStack {
        LayerStack::new(vec![self.store.inner.layout.empty_layer()])
    }

    /// The tree of a stage or image; `None` for the context.
    async fn origin(&self, stage: usize, line: usize, from: Option<&str>) -> Result<Option<LayerStack>, BuildError> {
        let inner = &self.store.inner;
        let Some(name) = from else { return Ok(None) };
        Ok(Some(match self.file.source(name, stage) {
            StageSource::Stage(number) => match self.built.get(&number) {
                Some((built, _)) => LayerStack::new(built.dirs(inner)),
                None => {
                    let message = format!(
                        "an ONBUILD instruction copies from stage `{name}`, which this build does not need otherwise"
                    );
                    return Err(DockerfileError::new(line, message).into());
                }
            },
            StageSource::Image => LayerStack::new(self.image(line, name).await?.dirs(inner)),
        }))
    }

    /// What is copied from where to where, and its digest.
    async fn plan(
        &self,
        line: usize,
        from: Option<LayerStack>,
        to: LayerStack,
        sources: Sources,
        dest: String,
        rights: Rights,
    ) -> Result<(Plan, Digest), BuildError> {
        let (context, ignore) = (self.context.clone(), self.ignore.clone());
        blocking(move || {
            let none = Ignore::default();
            let origin = match &from {
                Some(tree) => Origin { tree, ignore: &none, name: "the other image", keep_owner: true },
                None => Origin { tree: &context, ignore: &ignore, name: "the build context", keep_owner: false },
            };
            let plan = Plan::make(line, &origin, &to, sources, &dest, rights)?;
            let digest = plan.digest()?;
            Ok::<_, BuildError>((plan, digest))
        })
        .await
    }

    async fn copy(&mut self, stage: usize, state: &mut State, step: &Step, copy: &Copy) -> Result<(), BuildError> {
        let wrong = |message: String| BuildError::from(DockerfileError::new(step.line, message));
        let escape = self.file.escape;
        let inner = self.store.inner.clone();
        let base = state.built.dirs(&inner);
        let expand = |text: &str| words::expand(text, escape, &|name| state.lookup(name)).map_err(wrong);
        let mut sources = Sources { extract: copy.add, inline_time: self.written, ..Sources::default() };
        let mut downloads = Vec::new();
        for source in &copy.sources {
            match source {
                Source::Path(path) => {
                    let path = expand(path)?;
                    if !copy.add || !remote::is_url(&path) {
                        sources.paths.push(path);
                        continue;
                    }
                    let max = inner.options.limits.layer_bytes_max;
                    let download = remote::download(&inner, &path, copy.checksum.as_deref(), max).await;
                    let download = download.map_err(|error| error.at(step.line))?;
                    let name = remote::file_name(&path).map(str::to_owned);
                    if name.is_none() && copy.dest.ends_with('/') {
                        return Err(wrong(format!(
                            "`{path}` does not say what the file in `{}` is to be called",
                            copy.dest
                        )));
                    }
                    sources.downloads.push((name.unwrap_or_default(), download.as_path().to_owned()));
                    // Kept until the step is done.
                    downloads.push(download);
                }
                Source::Inline(doc) => {
                    let content = match doc.expand {
                        true => {
                            words::expand_variables(&doc.content, escape, &|name| state.lookup(name)).map_err(wrong)?
                        }
                        false => doc.content.clone(),
                    };
                    sources.inline.push((doc.name.clone(), content.into_bytes()));
                }
            }
        }
        let dest = expand(&copy.dest)?;
        let slash = if dest.ends_with('/') || dest.ends_with("/.") || dest == "." { "/" } else { "" };
        let dest = settings::join_workdir(&state.built.config.config.working_dir, &dest) + slash;
        let rights = Rights {
            owner: copy
                .chown
                .as_deref()
                .map(|o| owner(&LayerStack::new(base.clone()), &expand(o)?).map_err(wrong))
                .transpose()?,
            mode: copy.chmod.as_deref().map(|m| mode(&expand(m)?).map_err(wrong)).transpose()?,
        };
        let from = self.origin(stage, step.line, copy.from.as_deref()).await?;
        let (plan, digest) = self.plan(step.line, from, LayerStack::new(base), sources, dest, rights).await?;
        self.write(state, step, plan, digest).await
    }

    /// Makes the working directory where the image does not have it, as the user's.
    async fn workdir(&mut self, state: &mut State, step: &Step) -> Result<(), BuildError> {
        let path = PathBuf::from(&state.built.config.config.working_dir);
        let stack = LayerStack::new(state.built.dirs(&self.store.inner));
        if matches!(stack.get(&path, true), Ok(Some(Node::Dir(_)))) {
            self.begin(step.line, &step.text, false);
            return Ok(());
        }
        // A user whom the image does not know yet is no reason to fail: BuildKit takes root then, too.
        let owner = owner(&stack, &state.built.config.config.user).unwrap_or((0, 0));
        let plan = Plan::directory(step.line, path.strip_prefix("/").unwrap_or(&path), owner);
        let digest = plan.digest()?;
        self.write(state, step, plan, digest).await
    }

    /// Makes a layer of a plan.
    async fn write(&mut self, state: &mut State, step: &Step, plan: Plan, digest: Digest) -> Result<(), BuildError> {
        let key =
            self.key(state, &("copy", digest, matches!(&step.instruction, Instruction::Copy(copy) if copy.add)))?;
        if self.cached(state, step, key).await? {
            return Ok(());
        }
        let (inner, below, dirs) = (self.store.inner.clone(), state.built.top(), state.built.dirs(&self.store.inner));
        let epoch = self.options.source_date_epoch;
        let made = blocking(move || {
            let staged = inner.session.dir("step")?;
            let (upper, work) = (staged.as_path().join("fs"), staged.as_path().join("work"));
            let writable = writable::make(upper, work, dirs.first().map(PathBuf::as_path))?;
            std::fs::remove_dir(&writable.work).map_err(StoreError::io("remove", &writable.work))?;
            plan.apply(&writable.upper, &dirs, epoch, &inner.options.limits)?;
            let made = layer::commit(&inner, staged, below, epoch)?;
            cache::put(&inner, key, made.as_ref())?;
            Ok::<_, BuildError>(made)
        });
        state.built.layers.extend(made.await?);
        Ok(())
    }

    /// Takes the step's result from the cache; true if it was there. Tells of the step either way.
    async fn cached(&mut self, state: &mut State, step: &Step, key: Digest) -> Result<bool, BuildError> {
        let known = if self.options.no_cache { None } else { cache::find(&self.store.inner, key)? };
        self.begin(step.line, &step.text, known.is_some());
        let Some(known) = known else { return Ok(false) };
        state.built.layers.extend(known.layer);
        Ok(true)
    }

    fn key(&self, state: &State, details: &impl serde::Serialize) -> Result<Digest, BuildError> {
        Ok(cache::key(state.built.top(), self.options.source_date_epoch, details)?)
    }

    /// An image to build on. What is built is pushed with its layers, which may be here unpacked only.
    async fn base(&self, line: usize, name: &str) -> Result<Built, BuildError> {
        let built = self.image(line, name).await?;
        if let (Some(pull), Ok(reference)) = (&self.options.pull, name.parse::<ImageRef>())
            && let Err(error) = self.store.fetch_blobs(&built.layers, &reference, pull(&reference)).await
        {
            // It can be built on and run, and a registry that has the layers takes it.
            self.tell(BuildEvent::Warning(&format!("image `{name}` is not here as its registry has it: {error}")));
        }
        Ok(built)
    }

    /// An image from the store or, if the options say how, from its registry.
    async fn image(&self, line: usize, name: &str) -> Result<Built, BuildError> {
        let inner = &self.store.inner;
        let reference: ImageRef =
            name.parse().map_err(|e: crate::ParseReferenceError| DockerfileError::new(line, e.to_string()))?;
        let missing = || BuildError::NoImage { line, image: name.to_owned() };
        let here = self.store.resolve_ref(&reference).filter(|_| !self.options.pull_always);
        let image = match (here, &self.options.pull) {
            (Some(image), _) => image,
            (None, None) => return Err(missing()),
            (None, Some(pull)) => {
                let pulled = self.store.pull(reference.as_str(), pull(&reference)).await;
                pulled.map_err(|source| BuildError::Pull { line, image: name.to_owned(), source: Box::new(source) })?
            }
        };
        let record = inner.record(image.id)?.ok_or_else(missing)?;
        let bytes = blobs::read(&inner.layout, record.config.digest, inner.options.limits.config_bytes_max)?;
        let config = serde_json::from_slice(&bytes.ok_or_else(missing)?)
            .map_err(|source| StoreError::Json { what: format!("configuration of {name}"), source })?;
        Ok(Built { config, layers: record.layers })
    }

    fn epoch(&self) -> i64 {
        self.options.source_date_epoch.unwrap_or(0)
    }

    fn begin(&mut self, line: usize, text: &str, cached: bool) {
        self.begun += 1;
        self.tell(BuildEvent::Step { number: self.begun, total: self.total, line, text, cached });
    }

    fn tell(&self, event: BuildEvent<'_>) {
        if let Some(tell) = &self.options.events {
            tell(event);
        }
    }
}

/// `<Dockerfile>.dockerignore`, or else `.dockerignore` of the context.
fn ignore_file(context: &Path, dockerfile: &Path) -> Result<Ignore, BuildError> {
    let mut own = dockerfile.as_os_str().to_owned();
    own.push(".dockerignore");
    for path in [PathBuf::from(own), context.join(".dockerignore")] {
        match std::fs::read_to_string(&path) {
            Ok(text) => {
                return Ignore::parse(&text).map_err(|message| BuildError::Copy {
                    line: 0,
                    message: format!("{}: {message}", path.display()),
                });
            }
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
            Err(source) => return Err(BuildError::Dockerfile { path, source }),
        }
    }
    Ok(Ignore::default())
}

/// The variables that every build has for FROM, and for an ARG of their name.
fn platform_args() -> BTreeMap<String, String> {
    let host = Platform::host();
    let mut args = BTreeMap::new();
    for prefix in ["TARGET", "BUILD"] {
        args.insert(format!("{prefix}VARIANT"), String::new());
        args.insert(format!("{prefix}PLATFORM"), host.to_string());
        args.insert(format!("{prefix}OS"), host.os.clone());
        args.insert(format!("{prefix}ARCH"), host.architecture.clone());
    }
    args
}

/// What is made for the mounts of one command; it goes when the command has ended.
#[derive(Default)]
struct Prepared {
    list: Vec<RunMount>,
    temporary: Vec<TempPath>,
    caches: Vec<mount::Cache>,
}

impl Prepared {
    fn show(&mut self, source: MountSource, target: String, readonly: bool) {
        self.list.push(RunMount { source, target, readonly });
    }
}

/// Whether a command is a here-document and nothing else.
fn is_alone(text: &str) -> bool {
    text.starts_with("<<") && !text.contains(char::is_whitespace)
}

/// A RUN, once its here-documents are in their places.
struct RunOf<'a> {
    command: &'a Command,
    mounts: &'a [mount::Flag],
    script: Option<String>,
    is_offline: bool,
}

/// The script of a RUN with here-documents.
fn with_heredocs(text: &str, heredocs: &[super::lines::Heredoc]) -> String {
    if let [only] = heredocs
        && is_alone(text)
    {
        return only.content.clone();
    }
    let documents: String = heredocs.iter().map(|doc| format!("{}{}\n", doc.content, doc.name)).collect();
    format!("{text}\n{documents}")
}

/// `755`.
fn mode(text: &str) -> Result<u32, String> {
    u32::from_str_radix(text, 8)
        .ok()
        .filter(|mode| *mode <= 0o7777)
        .ok_or_else(|| format!("invalid --chmod `{text}`: only octal modes are supported"))
}

/// `user`, `user:group` or numbers, by the image's own files.
fn owner(image: &LayerStack, text: &str) -> Result<(u32, u32), String> {
    let (user, group) = match text.split_once(':') {
        Some((user, group)) => (user, Some(group)),
        None => (text, None),
    };
    let (uid, own_gid) = match user.parse() {
        Ok(uid) => (uid, uid),
        Err(_) => {
            let (uid, gid) = account(image, "etc/passwd", user)?;
            (uid, gid.unwrap_or(uid))
        }
    };
    let gid = match group {
        None => own_gid,
        Some(group) => match group.parse() {
            Ok(gid) => gid,
            Err(_) => account(image, "etc/group", group)?.0,
        },
    };
    Ok((uid, gid))
}

/// The two numbers of an account in `/etc/passwd` or `/etc/group` (which has one).
fn account(image: &LayerStack, file: &str, name: &str) -> Result<(u32, Option<u32>), String> {
    let node = image.get(Path::new(file), true).map_err(|e| format!("cannot look at /{file}: {e}"))?;
    let text = match node {
        Some(Node::File(path)) => std::fs::read(path).map_err(|e| format!("cannot read /{file}: {e}"))?,
        _ => Vec::new(),
    };
    let text = String::from_utf8_lossy(&text);
    let fields = |line: &str| -> Option<(u32, Option<u32>)> {
        let mut fields = line.split(':');
        (fields.next() == Some(name)).then_some(())?;
        let id = fields.nth(1)?.parse().ok()?;
        Some((id, fields.next().and_then(|gid| gid.parse().ok())))
    };
    text.lines().find_map(fields).ok_or_else(|| format!("--chown: `{name}` is not in the image's /{file}"))
}
