//! New identifiers from handed-in randomness, so that a seed replays them.

use crate::id::*;

/// A stream of identifiers made from one 128-bit seed (SplitMix64 underneath). Not for secrets.
#[derive(Debug, Clone)]
pub struct IdSource {
    state: u64,
    mix: u64,
}

impl IdSource {
    pub fn new(seed: u128) -> Self {
        Self { state: seed as u64, mix: (seed >> 64) as u64 | 1 }
    }

    /// The next 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state ^ self.mix;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// `digits` lowercase hexadecimal digits.
    pub fn hex(&mut self, digits: usize) -> String {
        let mut text = String::with_capacity(digits + 16);
        while text.len() < digits {
            text.push_str(&format!("{:016x}", self.next_u64()));
        }
        text.truncate(digits);
        text
    }

    /// `prefix-` and 17 hexadecimal digits, as EC2 names things.
    pub fn ec2(&mut self, prefix: &str) -> String {
        format!("{prefix}-0{}", self.hex(16))
    }

    /// A version 4 UUID.
    pub fn uuid(&mut self) -> String {
        let hex = self.hex(32);
        let variant = ['8', '9', 'a', 'b'][(self.next_u64() & 3) as usize];
        format!("{}-{}-4{}-{variant}{}-{}", &hex[..8], &hex[8..12], &hex[13..16], &hex[17..20], &hex[20..32])
    }

    /// `length` capital letters and digits, as access keys have.
    pub fn alphanumeric(&mut self, length: usize) -> String {
        const LETTERS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
        (0..length).map(|_| LETTERS[(self.next_u64() & 31) as usize] as char).collect()
    }

    pub fn task(&mut self) -> TaskId {
        TaskId(self.hex(32))
    }

    /// A service revision's number: at most 19 digits.
    pub fn revision(&mut self) -> u64 {
        self.next_u64() % 10_000_000_000_000_000_000
    }

    /// A service deployment's id: 21 of `[A-Za-z0-9_-]`.
    pub fn service_deployment(&mut self) -> String {
        const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";
        (0..21).map(|_| LETTERS[(self.next_u64() & 63) as usize] as char).collect()
    }

    pub fn deployment(&mut self) -> DeploymentId {
        DeploymentId(format!("ecs-svc/{:019}", self.next_u64() % 10_000_000_000_000_000_000))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_the_shapes_of_aws() {
        let mut ids = IdSource::new(7);
        assert_eq!(ids.ec2("vpc").len(), "vpc-".len() + 17);
        assert_eq!(ids.task().0.len(), 32);
        assert_eq!(ids.deployment().0.len(), "ecs-svc/".len() + 19);
        let uuid = ids.uuid();
        assert_eq!((uuid.len(), &uuid[14..15]), (36, "4"));
    }

    #[test]
    fn the_same_seed_gives_the_same_ids() {
        assert_eq!(IdSource::new(9).hex(40), IdSource::new(9).hex(40));
        assert_ne!(IdSource::new(9).hex(40), IdSource::new(10).hex(40));
    }
}
