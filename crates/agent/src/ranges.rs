//! Which ids on the host stand for those in a task: a block of a million for each, so that tasks share none. Images that
//! were made in a large organisation may have users beyond the usual 65,536.

use longshore_runtime::spec::{SPEC_FILE, TaskSpec, UserNamespace};
use std::collections::HashMap;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

const SIZE: u32 = 1 << 20;
/// Above what systems give to people and their containers (`/etc/subuid`).
const FIRST: u32 = 1 << 30;
const BLOCKS: u32 = 3000;

pub struct Ranges(Mutex<HashMap<String, u32>>);

impl Ranges {
    /// With the blocks of tasks that an earlier agent started.
    pub fn new(tasks: &Path) -> Self {
        let mut taken = HashMap::new();
        for entry in std::fs::read_dir(tasks).into_iter().flatten().flatten() {
            let spec = std::fs::read(entry.path().join(SPEC_FILE)).ok();
            let spec: Option<TaskSpec> = spec.and_then(|bytes| serde_json::from_slice(&bytes).ok());
            if let Some(users) = spec.and_then(|spec| spec.user_namespace) {
                taken.insert(
                    entry.file_name().to_string_lossy().into_owned(),
                    users.host_id.saturating_sub(FIRST) / SIZE,
                );
            }
        }
        Self(Mutex::new(taken))
    }

    fn taken(&self) -> MutexGuard<'_, HashMap<String, u32>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A task's block; `None` when all are taken.
    pub fn take(&self, task: &str) -> Option<UserNamespace> {
        let mut taken = self.taken();
        let block = match taken.get(task) {
            Some(block) => *block,
            None => {
                let used: std::collections::HashSet<u32> = taken.values().copied().collect();
                let free = (0..BLOCKS).find(|block| !used.contains(block))?;
                taken.insert(task.to_owned(), free);
                free
            }
        };
        Some(UserNamespace { host_id: FIRST + block * SIZE, size: SIZE })
    }

    /// The task is gone.
    pub fn release(&self, task: &str) {
        self.taken().remove(task);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_do_not_meet_and_are_used_again() {
        let none = tempfile::tempdir().unwrap();
        let ranges = Ranges::new(none.path());
        let [a, b] = ["a", "b"].map(|task| ranges.take(task).unwrap());
        assert!(a.host_id + a.size <= b.host_id);
        assert_eq!(ranges.take("a"), Some(a));
        ranges.release("a");
        assert_eq!(ranges.take("c").unwrap().host_id, a.host_id);
    }
}
