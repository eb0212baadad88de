//! What every test here uses: an instance that must leave nothing behind, and a few calls that many make.

use anyhow::{Context, bail, ensure};
use longshore_tests::api::Api;
use longshore_tests::aws::Aws;
pub use longshore_tests::calls::*;
use longshore_tests::instance::Instance;
use longshore_tests::{leftovers, wait};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::time::Duration;

pub struct Kit {
    pub binary: PathBuf,
}

impl Kit {
    /// `None` where nobody has named a binary.
    pub fn new() -> Option<Self> {
        let binary = std::env::var_os("LONGSHORE_TEST_BINARY")?.into();
        Some(Self { binary })
    }

    /// Runs a test on an instance of its own, takes that down, and looks for what it left.
    pub fn on(&self, runtime: &str, test: impl FnOnce(&mut Instance) -> anyhow::Result<()>) -> anyhow::Result<()> {
        self.on_with(runtime, &[], test)
    }

    /// The same with more arguments of `up`.
    pub fn on_with(
        &self,
        runtime: &str,
        options: &[&str],
        test: impl FnOnce(&mut Instance) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let options = options.iter().map(|option| (*option).to_owned()).collect();
        let prepare = |instance: &mut Instance| {
            instance.options = options;
            Ok(())
        };
        self.on_prepared(runtime, prepare, test)
    }

    /// The same with whatever has to be done before it is started.
    pub fn on_prepared(
        &self,
        runtime: &str,
        prepare: impl FnOnce(&mut Instance) -> anyhow::Result<()>,
        test: impl FnOnce(&mut Instance) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let before = leftovers::everything();
        let mut instance = Instance::new(&self.binary, runtime)?;
        prepare(&mut instance)?;
        instance.up()?;
        let result = test(&mut instance);
        if result.is_err() {
            return result.with_context(|| format!("the log of the instance:\n{}", instance.log_tail()));
        }
        instance.down()?;
        let limit = Duration::from_secs(5);
        wait::until("nothing is left after `longshore down`", limit, || {
            let mut left = leftovers::of(&instance);
            left.extend(leftovers::since(&before, &instance));
            if left.is_empty() { Ok(()) } else { Err(format!("{left:#?}")) }
        })?;
        ensure!(!instance.run_dir().exists(), "the run directory is left");
        Ok(())
    }
}

/// A cluster `default`, the network, and a definition of the busybox image.
pub struct Busybox {
    pub aws: Aws,
    pub api: Api,
    pub network: Network,
    pub image: String,
}

impl Busybox {
    pub fn new(instance: &Instance) -> anyhow::Result<Self> {
        let image = longshore_tests::sample::busybox(instance)?;
        let aws = Aws::new(instance);
        let network = Network::default(&aws)?;
        let mut api = Api::open(instance.listen)?;
        api.ecs("CreateCluster", &json!({}))?;
        Ok(Self { aws, api, network, image })
    }

    /// Runs a task of this container and waits until it is in this status.
    pub fn task(&mut self, family: &str, container: &Value, status: &str) -> anyhow::Result<Value> {
        let definition = register(&mut self.api, &definition(family, &self.image, container))?;
        let task = run_task(&mut self.api, &self.network, &definition)?;
        wait_status(&mut self.api, &task, status)
    }
}

/// Both texts must be in what was seen.
pub fn says(seen: &str, texts: &[&str]) -> anyhow::Result<()> {
    for text in texts {
        if !seen.contains(text) {
            bail!("{text:?} is not in: {seen}");
        }
    }
    Ok(())
}

pub fn exists(path: &str) -> bool {
    Path::new(path).exists()
}
