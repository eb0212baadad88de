//! How much disk tasks use, for those who ask about themselves as often as they like.
//!
//! Files are counted one by one, which takes as long as a task has files. So a task has at most one count at a time, on a
//! thread beside the agent's own, counts take a tenth of that thread's time, and who asks meanwhile gets the last result.

use longshore_types::id::TaskId;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// Bytes are good for this long at least; that they could not be told is asked again at once.
const FRESH: Duration = Duration::from_secs(5);
/// And any result for so many times what it took.
const REST: u32 = 10;
/// Who asks waits so long for a count that is under way.
const WAIT: Duration = Duration::from_millis(300);

/// Results and counts that are under way, by task.
#[derive(Default)]
pub struct Usages(Mutex<HashMap<TaskId, watch::Receiver<Count>>>);

/// A count. Its sender lives as long as it is under way.
#[derive(Clone, Copy)]
struct Count {
    /// Bytes; `None` when they could not be told, or not yet.
    used: Option<u64>,
    good_until: Option<Instant>,
}

impl Usages {
    fn lock(&self) -> MutexGuard<'_, HashMap<TaskId, watch::Receiver<Count>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes that the task uses, as `count` finds them, or found them a while ago. `count` may block.
    pub async fn of(&self, task: &TaskId, count: impl FnOnce() -> Option<u64> + Send + 'static) -> Option<u64> {
        let mut seen = self.current(task, count);
        // What there is by then is the answer.
        let _ = tokio::time::timeout(WAIT, seen.changed()).await;
        seen.borrow().used
    }

    /// The task is gone.
    pub fn forget(&self, task: &TaskId) {
        self.lock().remove(task);
    }

    /// The count that is under way or still good, else a new one.
    fn current(&self, task: &TaskId, count: impl FnOnce() -> Option<u64> + Send + 'static) -> watch::Receiver<Count> {
        let mut all = self.lock();
        let last = all.get(task);
        if let Some(last) = last.filter(|last| is_under_way(last) || last.borrow().is_good()) {
            return last.clone();
        }
        let used = last.and_then(|last| last.borrow().used);
        let (sender, seen) = watch::channel(Count { used, good_until: None });
        tokio::task::spawn_blocking(move || {
            let began = Instant::now();
            let used = count();
            let least = if used.is_some() { FRESH } else { Duration::ZERO };
            let good_until = Instant::now() + least.max(began.elapsed() * REST);
            sender.send_replace(Count { used, good_until: Some(good_until) });
        });
        all.insert(task.clone(), seen.clone());
        seen
    }
}

impl Count {
    fn is_good(&self) -> bool {
        self.good_until.is_some_and(|until| Instant::now() < until)
    }
}

fn is_under_way(count: &watch::Receiver<Count>) -> bool {
    count.has_changed().is_ok() && count.borrow().good_until.is_none()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::sync::mpsc;

    fn task() -> TaskId {
        "0123".into()
    }

    #[tokio::test]
    async fn however_many_ask_files_are_counted_once() {
        let (usages, task) = (Usages::default(), task());
        let counts = Arc::new(AtomicU64::new(0));
        let count = || {
            let counts = Arc::clone(&counts);
            move || Some(counts.fetch_add(1, Ordering::Relaxed) + 41)
        };
        let all = futures_util::future::join_all((0..100).map(|_| usages.of(&task, count()))).await;
        assert!(all.iter().all(|used| *used == Some(41)), "{all:?}");
        assert_eq!(usages.of(&task, count()).await, Some(41), "it is good for a while");
        usages.forget(&task);
        assert_eq!(usages.of(&task, count()).await, Some(42));
    }

    #[tokio::test]
    async fn a_count_that_takes_long_holds_up_nobody() {
        let usages = Usages::default();
        let (go_on, wait) = mpsc::channel::<()>();
        let slow = move || wait.recv().ok().map(|()| 7);
        assert_eq!(usages.of(&task(), slow).await, None, "there is no result yet");
        let not_again = || panic!("one at a time");
        assert_eq!(usages.of(&task(), not_again).await, None);
        go_on.send(()).unwrap();
        let mut seen = usages.current(&task(), not_again);
        seen.wait_for(|count| count.good_until.is_some()).await.unwrap();
        assert_eq!(usages.of(&task(), not_again).await, Some(7));
    }

    #[tokio::test]
    async fn the_last_result_stands_while_the_next_is_counted() {
        let usages = Usages::default();
        assert_eq!(usages.of(&task(), || Some(1)).await, Some(1));
        let stale = Count { used: Some(1), good_until: Some(Instant::now()) };
        usages.lock().insert(task(), watch::channel(stale).1);
        let (go_on, wait) = mpsc::channel::<()>();
        assert_eq!(usages.of(&task(), move || wait.recv().ok().map(|()| 2)).await, Some(1));
        go_on.send(()).unwrap();
        let mut seen = usages.current(&task(), || panic!("one at a time"));
        seen.wait_for(|count| count.used == Some(2)).await.unwrap();
    }
}
