//! `cargo xtask codegen`: AWS model files to `aws-model/src/generated`, for the operations of `models/operations.toml`.
//!
//! The output is committed and compact: a plain structure and one `shape!` line per structure, and statics that describe it.
//! `--check` writes nothing and fails when a file differs, and so does this module's test.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

mod emit;
mod model;
mod names;

const OUTPUT: &str = "crates/aws-model/src/generated";

#[derive(clap::Args)]
pub struct Args {
    /// Fail if a generated file is stale, write nothing
    #[arg(long)]
    pub check: bool,
}

pub fn run(args: Args) -> anyhow::Result<()> {
    let root = root();
    let files = generate(&root)?;
    if args.check {
        return check(&root, &files);
    }
    for (path, text) in &files {
        let path = root.join(path);
        if fs::read_to_string(&path).ok().as_deref() != Some(text) {
            fs::write(&path, text).with_context(|| format!("write {}", path.display()))?;
            println!("wrote {}", path.display());
        }
    }
    Ok(())
}

/// Every generated file, by its path under the repository.
fn generate(root: &Path) -> anyhow::Result<BTreeMap<PathBuf, String>> {
    let list = root.join("models/operations.toml");
    let text = fs::read_to_string(&list).with_context(|| format!("read {}", list.display()))?;
    let served: BTreeMap<String, Vec<String>> =
        toml::from_str(&text).with_context(|| format!("parse {}", list.display()))?;
    let mut files = BTreeMap::new();
    for (service, operations) in &served {
        let path = root.join(format!("models/{service}.json"));
        let text = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        let model: model::Model = serde_json::from_str(&text).with_context(|| format!("parse {}", path.display()))?;
        let module = emit::service(service, &model, operations).with_context(|| format!("generate {service}"))?;
        files.insert(PathBuf::from(format!("{OUTPUT}/{service}.rs")), module);
    }
    files.insert(PathBuf::from(format!("{OUTPUT}/mod.rs")), emit::index(served.keys()));
    Ok(files)
}

fn check(root: &Path, files: &BTreeMap<PathBuf, String>) -> anyhow::Result<()> {
    for (path, text) in files {
        if fs::read_to_string(root.join(path)).ok().as_deref() != Some(text) {
            bail!("{} is stale: run `cargo xtask codegen`", path.display());
        }
    }
    Ok(())
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the repository").to_owned()
}

#[cfg(test)]
mod tests {
    #[test]
    fn generated_files_are_what_the_models_say() {
        let root = super::root();
        let files = super::generate(&root).expect("models generate");
        super::check(&root, &files).expect("generated files are fresh");
    }

    #[test]
    fn models_that_speak_rest_generate_with_the_places_of_their_members() {
        for name in ["appmesh", "ebs", "efs", "eks", "route53", "xray"] {
            let text = std::fs::read_to_string(super::root().join(format!("models/{name}.json"))).expect("a model");
            let model: super::model::Model = serde_json::from_str(&text).expect("a model parses");
            let all: Vec<String> = model.operations.keys().cloned().collect();
            let module = super::emit::service(name, &model, &all).expect(name);
            // X-Ray has everything in its bodies.
            assert!(module.contains(".at(Place::Label)") || name == "xray", "{name}");
            assert!(module.contains("https://route53.amazonaws.com/doc/2013-04-01/") == (name == "route53"), "{name}");
        }
    }
}
