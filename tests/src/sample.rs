//! The images that tests run: the sample application, and busybox.

use crate::instance::Instance;
use crate::{root, target_dir};
use anyhow::{Context, bail};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Compiles `demo/web/web.rs` to one static program.
pub fn compile_web(output: &Path) -> anyhow::Result<()> {
    let source = root().join("demo/web/web.rs");
    let made = |path: &Path| std::fs::metadata(path).and_then(|data| data.modified()).ok();
    let newest = made(&source).max(made(&source.with_file_name("websocket.rs")));
    if made(output).is_some_and(|at| Some(at) > newest) {
        return Ok(());
    }
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    let mut command = Command::new(rustc);
    command.args(["--edition", "2024", "-C", "opt-level=s", "-C", "panic=abort", "-C", "strip=symbols"]);
    command.args(["-C", "target-feature=+crt-static", "-C", "relocation-model=static"]);
    let status = command.arg("-o").arg(output).arg(&source).status().context("start rustc")?;
    if !status.success() {
        bail!("rustc could not compile {}", source.display());
    }
    Ok(())
}

fn context(name: &str) -> anyhow::Result<PathBuf> {
    let dir = target_dir().join("sample").join(name);
    std::fs::create_dir_all(&dir).with_context(|| format!("make {}", dir.display()))?;
    Ok(dir)
}

/// Builds the sample application in an instance: its name.
pub fn web(instance: &Instance) -> anyhow::Result<String> {
    let dir = context("web")?;
    compile_web(&dir.join("web"))?;
    std::fs::copy(root().join("demo/web/Dockerfile"), dir.join("Dockerfile"))?;
    build(instance, "web", &dir)
}

/// Builds an image with a shell, `/bin/busybox`, in an instance: its name.
pub fn busybox(instance: &Instance) -> anyhow::Result<String> {
    let dir = context("busybox")?;
    let source = ["/bin/busybox", "/usr/bin/busybox"].iter().find(|path| Path::new(path).exists());
    let source = source.context("no busybox: apt-get install busybox-static")?;
    std::fs::copy(source, dir.join("busybox"))?;
    let dockerfile = "FROM scratch\nCOPY busybox /bin/busybox\nCOPY busybox /bin/sh\nCOPY busybox /bin/sleep\nENV PATH=/bin\nCMD [\"/bin/sleep\", \"1000\"]\n";
    std::fs::write(dir.join("Dockerfile"), dockerfile)?;
    build(instance, "busybox", &dir)
}

fn build(instance: &Instance, tag: &str, dir: &Path) -> anyhow::Result<String> {
    let dir = dir.to_str().context("a path that is text")?;
    instance.command(&["image", "build", "-t", tag, dir])
}
