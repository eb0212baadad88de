//! Names on the host: a marked block of /etc/hosts.

use anyhow::Context;
use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::path::Path;

const FILE: &str = "/etc/hosts";
const BEGIN: &str = "# BEGIN Longshore";
const END: &str = "# END Longshore";

/// Makes the block of the instance in `run_dir` hold exactly these names; an empty list removes it.
pub fn write(run_dir: &Path, names: &[(String, Ipv4Addr)]) -> anyhow::Result<()> {
    let old = std::fs::read_to_string(FILE).with_context(|| format!("cannot read {FILE}"))?;
    let new = replace(&old, &run_dir.display().to_string(), names);
    if new == old {
        return Ok(());
    }
    // By a new file, so that no reader sees half of it; in place where the file is a mount of its own.
    let temporary = Path::new("/etc/.hosts.longshore");
    std::fs::write(temporary, &new).with_context(|| format!("cannot write {}", temporary.display()))?;
    if std::fs::rename(temporary, FILE).is_err() {
        let _ = std::fs::remove_file(temporary);
        std::fs::write(FILE, &new).with_context(|| format!("cannot write {FILE}"))?;
    }
    Ok(())
}

fn replace(old: &str, instance: &str, names: &[(String, Ipv4Addr)]) -> String {
    let (begin, end) = (format!("{BEGIN} {instance}"), format!("{END} {instance}"));
    let mut new = String::with_capacity(old.len() + 64 * names.len());
    let mut ours = false;
    for line in old.lines() {
        let line = line.trim_end();
        if line == begin {
            ours = true;
        } else if line == end {
            ours = false;
        } else if !ours {
            new.push_str(line);
            new.push('\n');
        }
    }
    if !names.is_empty() {
        let _ = writeln!(new, "{begin}");
        for (name, address) in names {
            let _ = writeln!(new, "{address} {name}");
        }
        let _ = writeln!(new, "{end}");
    }
    new
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_block_comes_and_goes_and_leaves_the_rest_alone() {
        let old = "127.0.0.1 localhost\n# mine\n";
        let names = [("a.elb".to_owned(), Ipv4Addr::new(127, 64, 0, 2))];
        let with = replace(old, "/run/a", &names);
        assert_eq!(
            with,
            "127.0.0.1 localhost\n# mine\n# BEGIN Longshore /run/a\n127.64.0.2 a.elb\n# END Longshore /run/a\n"
        );
        assert_eq!(replace(&with, "/run/a", &names), with);
        assert_eq!(replace(&with, "/run/b", &[]), with);
        assert_eq!(replace(&with, "/run/a", &[]), old);
    }
}
