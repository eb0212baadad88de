//! What the machine needs: packages of Debian and Ubuntu, and an AWS CLI.

use crate::{shell, terminal};
use anyhow::{Context, bail};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A program that must be there, and the package that brings it.
pub struct Need {
    /// A program of the path, or a file by its absolute path.
    pub program: &'static str,
    pub package: &'static str,
}

pub const COMPILER: Need = Need { program: "cc", package: "gcc" };
/// Static programs link with it.
pub const STATIC_LIBC: Need = Need { program: "*/libc.a", package: "libc6-dev" };
pub const NFT: Need = Need { program: "nft", package: "nftables" };
pub const IP: Need = Need { program: "ip", package: "iproute2" };
pub const CURL: Need = Need { program: "curl", package: "curl" };
pub const BUSYBOX: Need = Need { program: "busybox", package: "busybox-static" };
pub const SKOPEO: Need = Need { program: "skopeo", package: "skopeo" };
pub const RUNC: Need = Need { program: "runc", package: "runc" };

impl Need {
    fn is_met(&self) -> bool {
        match self.program.strip_prefix("*/") {
            Some(file) => std::fs::read_dir("/usr/lib")
                .into_iter()
                .flatten()
                .flatten()
                .any(|entry| entry.path().join(file).is_file()),
            None => shell::find(self.program).is_some(),
        }
    }
}

/// Installs the packages of needs that are not met.
pub fn install(needs: &[Need]) -> anyhow::Result<()> {
    let missing: Vec<&Need> = needs.iter().filter(|need| !need.is_met()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let packages: Vec<&str> = missing.iter().map(|need| need.package).collect();
    if shell::find("apt-get").is_none() {
        let programs: Vec<&str> = missing.iter().map(|need| need.program).collect();
        bail!("please install {} (packages {} on Debian)", programs.join(", "), packages.join(", "));
    }
    terminal::note(&format!("installing {} (apt-get)", packages.join(", ")));
    // The lists may be of another day, or absent in a container; an error here shows in the installation.
    let _ = apt(&["update"]).status();
    let mut command = apt(&["install", "-y", "--no-install-recommends"]);
    shell::run(command.args(&packages)).context("install what is missing")
}

fn apt(arguments: &[&str]) -> Command {
    let mut command = shell::as_root("env");
    command.args(["DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq", "-o", "Dpkg::Use-Pty=0"]).args(arguments);
    command
}

/// An AWS CLI that takes its endpoint from `AWS_ENDPOINT_URL`: the machine's, if it is new enough, or one of our own.
pub fn aws() -> anyhow::Result<PathBuf> {
    if let Some(path) = shell::find("aws")
        && version(&path).is_some_and(|version| knows_endpoint_url(&version))
    {
        return Ok(path);
    }
    Ok(venv(&["awscli"])?.join("bin/aws"))
}

/// `aws-cli/2.9.19 Python/…`: 2.9.19.
pub fn version(aws: &Path) -> Option<String> {
    let output = Command::new(aws).arg("--version").output().ok()?;
    let text = if output.stdout.is_empty() { output.stderr } else { output.stdout };
    let text = String::from_utf8_lossy(&text).into_owned();
    Some(text.trim().strip_prefix("aws-cli/")?.split_whitespace().next()?.to_owned())
}

/// The variable came with 1.29 and 2.13.
pub fn knows_endpoint_url(version: &str) -> bool {
    let mut numbers = version.split('.').map(|number| number.parse::<u32>().unwrap_or(0));
    match (numbers.next(), numbers.next().unwrap_or(0)) {
        (Some(1), minor) => minor >= 29,
        (Some(2), minor) => minor >= 13,
        (major, _) => major > Some(2),
    }
}

/// A Python environment under the target directory with these packages of PyPI.
pub fn venv(packages: &[&str]) -> anyhow::Result<PathBuf> {
    let dir = longshore_tests::target_dir().join("venv");
    let complete = packages.iter().all(|package| dir.join(format!(".{package}")).exists());
    if complete {
        return Ok(dir);
    }
    let python = ["/usr/bin/python3", "python3"]
        .into_iter()
        .find(|python| shell::succeeds(Command::new(python).args(["-c", "import venv, ensurepip"])));
    let python = match python {
        Some(python) => python,
        None => {
            let need = Need { program: "*/no-such-file", package: "python3-venv" };
            install(&[need])?;
            "/usr/bin/python3"
        }
    };
    terminal::note(&format!("installing {} (pip, in {})", packages.join(", "), dir.display()));
    shell::run(Command::new(python).args(["-m", "venv"]).arg(&dir))?;
    let mut pip = Command::new(dir.join("bin/pip"));
    shell::run(pip.args(["install", "--quiet", "--disable-pip-version-check"]).args(packages))?;
    for package in packages {
        std::fs::write(dir.join(format!(".{package}")), "")?;
    }
    Ok(dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_clis_do_not_know_the_variable() {
        for (version, knows) in [
            ("1.22.34", false),
            ("1.29.0", true),
            ("2.9.19", false),
            ("2.13.0", true),
            ("2.31.4", true),
            ("3.0.0", true),
        ] {
            assert_eq!(knows_endpoint_url(version), knows, "{version}");
        }
    }
}
