//! What all clients of a resolver share, so that none has it alone.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How many of something each client has, up to `max`.
#[derive(Debug)]
pub struct Shares {
    max: usize,
    /// Clients that have at least one.
    taken: Mutex<HashMap<IpAddr, usize>>,
}

impl Shares {
    pub fn new(max: usize) -> Arc<Shares> {
        Arc::new(Shares { max, taken: Mutex::default() })
    }

    /// One for `client`, held until it is dropped; `None` when the client has as many as it may.
    pub fn take(self: &Arc<Shares>, client: IpAddr) -> Option<Share> {
        let mut taken = self.taken();
        let count = taken.get(&client).copied().unwrap_or_default();
        if count == self.max {
            return None;
        }
        taken.insert(client, count + 1);
        Some(Share { of: self.clone(), client })
    }

    fn taken(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One of what [`Shares`] counts.
#[derive(Debug)]
pub struct Share {
    of: Arc<Shares>,
    client: IpAddr,
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut taken = self.of.taken();
        match taken.get_mut(&self.client) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(taken.remove(&self.client)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_has_as_many_as_it_may_and_the_next_when_one_is_given_back() {
        let [client, other] = ["10.0.0.1", "10.0.0.2"].map(|address| address.parse().unwrap());
        let shares = Shares::new(2);
        let first = shares.take(client).unwrap();
        let _second = shares.take(client).unwrap();
        assert!(shares.take(client).is_none());
        assert!(shares.take(other).is_some());
        drop(first);
        assert!(shares.take(client).is_some());
    }

    #[test]
    fn clients_that_have_none_are_forgotten() {
        let shares = Shares::new(2);
        drop(shares.take("10.0.0.1".parse().unwrap()));
        assert!(shares.taken().is_empty());
    }
}
