//! Which images a node removes by itself, and when.
//!
//! An image is in use while a container's writable layer names it, which any process sees and which outlives all of them.
//! Otherwise its record's modification time says when it was last pulled, found for a start or built upon.

use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::error::StoreError;
use super::gc::GcReport;
use super::{ImageStore, Inner, writable};
use crate::digest::ImageId;

/// When images go that nothing runs from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CleanupPolicy {
    /// Unused for this long, an image goes.
    pub unused_max: Duration,
    /// Used within this time, an image stays whatever happens. Must be longer than any start of a task takes.
    pub unused_min: Duration,
    /// Above this share of the disk in use, in percent, the images unused longest go...
    pub used_high_percent: u8,
    /// ...until it is down to this.
    pub used_low_percent: u8,
}

impl Default for CleanupPolicy {
    /// As the kubelet's watermarks and the ECS agent's least age.
    fn default() -> Self {
        Self {
            unused_max: Duration::from_secs(7 * 24 * 3600),
            unused_min: Duration::from_secs(3600),
            used_high_percent: 85,
            used_low_percent: 80,
        }
    }
}

/// The store's file system, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Disk {
    pub total: u64,
    pub available: u64,
}

impl Disk {
    fn used(self) -> u64 {
        self.total.saturating_sub(self.available)
    }

    /// Whether more of it is in use than the policy likes.
    pub fn is_above(self, percent: u8) -> bool {
        u128::from(self.used()) * 100 > u128::from(self.total) * u128::from(percent)
    }
}

/// An image as the policy sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Candidate {
    id: ImageId,
    in_use: bool,
    has_name: bool,
    unused_for: Duration,
    /// What its removal gives back, if it shares nothing.
    bytes: u64,
}

/// The images to remove. Pure.
fn plan(policy: &CleanupPolicy, disk: Disk, mut images: Vec<Candidate>) -> HashSet<ImageId> {
    images.retain(|image| !image.in_use && image.unused_for >= policy.unused_min);
    images.sort_by_key(|image| (std::cmp::Reverse(image.unused_for), image.id));
    let mut wanted = match disk.is_above(policy.used_high_percent) {
        true => disk.used().saturating_sub(disk.total / 100 * u64::from(policy.used_low_percent)),
        false => 0,
    };
    let mut gone = HashSet::new();
    for image in images {
        if !image.has_name || image.unused_for >= policy.unused_max || wanted > 0 {
            wanted = wanted.saturating_sub(image.bytes);
            gone.insert(image.id);
        }
    }
    gone
}

impl ImageStore {
    /// Removes what the policy says, with the layers, blobs and results of build steps that only it uses.
    ///
    /// [`StoreError::Busy`] while a pull, build or import is under way in any process. Blocking. Whenever the process dies,
    /// every image that is left is whole.
    pub fn clean_up(&self, policy: &CleanupPolicy) -> Result<GcReport, StoreError> {
        let inner = &*self.inner;
        let lock = inner.lock_exclusively()?;
        let Some(in_use) = inner.images_in_use()? else {
            tracing::warn!("a container's layer does not say which image it is of: no image is removed");
            return Ok(GcReport::default());
        };
        let named: HashSet<ImageId> = inner.refs_on_disk()?.into_iter().map(|reference| reference.image).collect();
        let mut candidates = Vec::new();
        for id in inner.ids_on_disk()? {
            let record = inner.record(id)?;
            let bytes = record.map_or(0, |r| r.layers.iter().map(|layer| layer.blob.size + layer.archive_bytes).sum());
            let used_at = fs::metadata(inner.layout.image(id)).and_then(|meta| meta.modified());
            // A clock that was set back makes an image look new, never old.
            let unused_for = used_at.map_or(Duration::ZERO, |at| at.elapsed().unwrap_or_default());
            let (in_use, has_name) = (in_use.contains(&id), named.contains(&id));
            candidates.push(Candidate { id, in_use, has_name, unused_for, bytes });
        }
        let gone = plan(policy, self.disk()?, candidates);
        let keep_steps_since = SystemTime::now().checked_sub(policy.unused_max).unwrap_or(SystemTime::UNIX_EPOCH);
        self.collect(
            lock,
            |id, used_at| {
                let used_lately = used_at.is_some_and(|at| at.elapsed().unwrap_or_default() < policy.unused_min);
                !gone.contains(&id) || used_lately
            },
            Some(keep_steps_since),
        )
    }

    /// How full the store's file system is.
    pub fn disk(&self) -> Result<Disk, StoreError> {
        let root = &self.inner.layout.root;
        let stat = rustix::fs::statvfs(root).map_err(|e| StoreError::io("examine", root)(e.into()))?;
        Ok(Disk { total: stat.f_blocks * stat.f_frsize, available: stat.f_bavail * stat.f_frsize })
    }
}

impl Inner {
    /// Notes that the image is used now; false if it was removed meanwhile.
    pub fn mark_used(&self, id: ImageId) -> bool {
        let now = rustix::fs::Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_NOW };
        let times = rustix::fs::Timestamps { last_access: now, last_modification: now };
        let path = self.layout.image(id);
        let touched = rustix::fs::utimensat(rustix::fs::CWD, &path, &times, rustix::fs::AtFlags::empty());
        // On a read-only file system nothing is removed either.
        touched != Err(rustix::io::Errno::NOENT)
    }

    /// The images of all writable layers; `None` if one of them does not say.
    pub fn images_in_use(&self) -> Result<Option<HashSet<ImageId>>, StoreError> {
        let dir = self.layout.root.join("writable");
        let mut ids = HashSet::new();
        for entry in fs::read_dir(&dir).map_err(StoreError::io("list", &dir))? {
            let path = entry.map_err(StoreError::io("list", &dir))?.path();
            match image_of(&path) {
                Some(id) => ids.extend(id),
                None if path.exists() => return Ok(None),
                None => {}
            }
        }
        Ok(Some(ids))
    }
}

/// Which image a writable layer is of.
fn image_of(writable: &Path) -> Option<Option<ImageId>> {
    let text = fs::read_to_string(writable.join(writable::IMAGE_FILE)).ok()?;
    text.trim().parse().ok().map(|digest| Some(ImageId(digest)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;

    const HOUR: Duration = Duration::from_secs(3600);

    fn image(name: &str, unused_hours: u32, bytes: u64) -> Candidate {
        Candidate {
            id: ImageId(Digest::of(name.as_bytes())),
            in_use: false,
            has_name: true,
            unused_for: HOUR * unused_hours,
            bytes,
        }
    }

    fn gone(disk: Disk, images: &[Candidate]) -> Vec<bool> {
        let gone = plan(&CleanupPolicy::default(), disk, images.to_vec());
        images.iter().map(|image| gone.contains(&image.id)).collect()
    }

    #[test]
    fn with_room_enough_only_what_is_old_or_nameless_goes() {
        let roomy = Disk { total: 1000, available: 500 };
        let nameless = Candidate { has_name: false, ..image("c", 2, 1) };
        let fresh_nameless = Candidate { has_name: false, ..image("d", 0, 1) };
        let running = Candidate { in_use: true, ..image("e", 900, 1) };
        let images = [image("a", 24 * 7, 1), image("b", 24 * 6, 1), nameless, fresh_nameless, running];
        assert_eq!(gone(roomy, &images), [true, false, true, false, false]);
    }

    #[test]
    fn on_a_full_disk_the_longest_unused_go_first_until_there_is_room() {
        let full = Disk { total: 1000, available: 100 };
        let running = Candidate { in_use: true, ..image("running", 100, 500) };
        let images = [image("new", 0, 500), image("b", 5, 60), image("a", 9, 60), image("c", 2, 60), running];
        // 100 bytes are wanted: from 90 percent down to 80.
        assert_eq!(gone(full, &images), [false, true, true, false, false]);
        assert_eq!(gone(Disk { total: 1000, available: 150 }, &images), [false; 5], "85 percent is not above 85");
    }
}
