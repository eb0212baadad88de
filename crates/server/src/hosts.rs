//! Names on the host: a marked block of /etc/hosts.

use anyhow::{Context, bail};
use rustix::fs::FlockOperation;
use rustix::io::Errno;
use std::fmt::Write as _;
use std::fs::File;
use std::net::Ipv4Addr;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long to wait for another instance's turn.
const PATIENCE: Duration = Duration::from_millis(500);
const FILE: &str = "/etc/hosts";
const BEGIN: &str = "# BEGIN Longshore";
const END: &str = "# END Longshore";

/// Makes the block of the instance in `run_dir` hold exactly these names; an empty list removes it.
pub fn write(run_dir: &Path, names: &[(String, Ipv4Addr)]) -> anyhow::Result<()> {
    write_to(Path::new(FILE), &run_dir.display().to_string(), names)
}

fn write_to(file: &Path, instance: &str, names: &[(String, Ipv4Addr)]) -> anyhow::Result<()> {
    if names.is_empty() && !file.exists() {
        return Ok(());
    }
    // On some machines it is a link.
    let file = &std::fs::canonicalize(file).with_context(|| format!("cannot find {}", file.display()))?;
    let cannot_read = || format!("cannot read {}", file.display());
    if replace(&std::fs::read_to_string(file).with_context(cannot_read)?, instance, names).is_none() {
        return Ok(());
    }
    let turn = take_turn(file)?;
    let text = std::io::read_to_string(&turn).with_context(cannot_read)?;
    let Some(new) = replace(&text, instance, names) else { return Ok(()) };
    let cannot = || format!("cannot write {}", file.display());
    // By a new file, so that no reader sees half of it; in place where the file is a mount of its own.
    let temporary = file.with_file_name(".hosts.longshore");
    let written = copy_of(file, &temporary, &new).and_then(|()| std::fs::rename(&temporary, file));
    let Err(error) = written else { return Ok(()) };
    let _ = std::fs::remove_file(&temporary);
    match Errno::from_io_error(&error) {
        Some(Errno::BUSY | Errno::XDEV | Errno::ACCESS | Errno::PERM | Errno::ROFS) => {
            std::fs::write(file, &new).with_context(cannot)
        }
        // In place, a full disk would leave half of it.
        _ => Err(error).with_context(cannot),
    }
}

/// Instances take turns, each for its own block. Only who may write the file can have the lock, unlike a lock of `flock`.
/// Closing any descriptor of the file ends it.
fn take_turn(file: &Path) -> anyhow::Result<File> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let open = File::options().read(true).write(true).open(file);
        let open = open.with_context(|| format!("cannot write {}", file.display()))?;
        match rustix::fs::fcntl_lock(&open, FlockOperation::NonBlockingLockExclusive) {
            // Another instance may have put a new file in its place.
            Ok(()) if open.metadata()?.ino() == std::fs::metadata(file)?.ino() => return Ok(open),
            Err(Errno::ACCESS | Errno::AGAIN) if Instant::now() > deadline => {
                bail!("another process holds {}", file.display())
            }
            Ok(()) | Err(Errno::ACCESS | Errno::AGAIN) => std::thread::sleep(Duration::from_millis(5)),
            Err(error) => return Err(error).with_context(|| format!("cannot lock {}", file.display())),
        }
    }
}

/// A file with another's owner and mode.
fn copy_of(file: &Path, copy: &Path, content: &str) -> std::io::Result<()> {
    let like = std::fs::metadata(file)?;
    std::fs::write(copy, content)?;
    std::os::unix::fs::chown(copy, Some(like.uid()), Some(like.gid()))?;
    std::fs::set_permissions(copy, like.permissions())
}

/// What the file is to hold; `None` if it does.
fn replace(old: &str, instance: &str, names: &[(String, Ipv4Addr)]) -> Option<String> {
    let (begin, end) = (format!("{BEGIN} {instance}"), format!("{END} {instance}"));
    let mut new = String::with_capacity(old.len() + 64 * names.len());
    let mut block: Option<String> = None;
    for line in old.split_inclusive('\n') {
        let marker = line.trim_end();
        if marker == begin {
            new.push_str(&block.replace(String::new()).unwrap_or_default());
        } else if marker == end {
            block = None;
        } else {
            block.as_mut().unwrap_or(&mut new).push_str(line);
        }
    }
    // Without an end, nobody knows which of its lines were ours.
    new.push_str(&block.unwrap_or_default());
    if !names.is_empty() && !new.is_empty() && !new.ends_with('\n') {
        new.push('\n');
    }
    if !names.is_empty() {
        let _ = writeln!(new, "{begin}");
        for (name, address) in names {
            let _ = writeln!(new, "{address} {name}");
        }
        let _ = writeln!(new, "{end}");
    }
    (new != old).then_some(new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_keeps_its_mode_and_a_link_its_place() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().expect("a directory");
        let (file, link) = (directory.path().join("real"), directory.path().join("hosts"));
        std::fs::write(&file, "127.0.0.1 localhost\n").expect("written");
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).expect("set");
        std::os::unix::fs::symlink(&file, &link).expect("linked");
        write_to(&link, "/run/a", &[("a.elb".to_owned(), Ipv4Addr::new(127, 64, 0, 2))]).expect("written");
        assert!(std::fs::read_to_string(&file).expect("read").contains("127.64.0.2 a.elb"));
        assert_eq!(std::fs::metadata(&file).expect("there").mode() & 0o777, 0o640);
        assert!(std::fs::symlink_metadata(&link).expect("there").is_symlink());
    }

    #[test]
    fn the_block_comes_and_goes_and_leaves_the_rest_alone() {
        let old = "127.0.0.1 localhost\n# mine\n";
        let names = [("a.elb".to_owned(), Ipv4Addr::new(127, 64, 0, 2))];
        let with = replace(old, "/run/a", &names).expect("a block");
        assert_eq!(
            with,
            "127.0.0.1 localhost\n# mine\n# BEGIN Longshore /run/a\n127.64.0.2 a.elb\n# END Longshore /run/a\n"
        );
        assert_eq!(replace(&with, "/run/a", &names), None);
        assert_eq!(replace(&with, "/run/b", &[]), None);
        assert_eq!(replace(&with, "/run/a", &[]).as_deref(), Some(old));
    }

    #[test]
    fn what_others_wrote_stays_as_it_is() {
        let names = [("a.elb".to_owned(), Ipv4Addr::new(127, 64, 0, 2))];
        let odd = "127.0.0.1 localhost  \r\n\n10.0.0.1 last";
        assert_eq!(replace(odd, "/run/a", &[]), None, "there is nothing of ours in it");
        let with = replace(odd, "/run/a", &names).expect("a block");
        assert_eq!(replace(&with, "/run/a", &[]), Some(format!("{odd}\n")));
        let cut = "127.0.0.1 localhost\n# BEGIN Longshore /run/a\n127.64.0.2 a.elb\n10.0.0.1 another's\n";
        let whole = "127.0.0.1 localhost\n127.64.0.2 a.elb\n10.0.0.1 another's\n";
        assert_eq!(replace(cut, "/run/a", &[]).as_deref(), Some(whole), "the block has lost its end");
    }
}
