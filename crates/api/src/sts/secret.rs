//! Secrets: keys and tokens of sessions.
//!
//! Handlers take everything random from [`crate::Cx`], so that a seed replays them. Secrets are the one exception: whoever
//! guesses the seed must not get the keys, so they come from the kernel, and a replay has other secrets.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// `bytes` random bytes in base64; 30 bytes give the 40 characters of a secret access key.
pub fn new_secret(bytes: usize) -> String {
    let mut secret = vec![0; bytes];
    getrandom::fill(&mut secret).expect("the kernel has randomness on every machine that runs containers");
    STANDARD.encode(secret)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_have_the_length_of_keys_and_differ() {
        let secret = new_secret(30);
        assert_eq!(secret.len(), 40);
        assert_ne!(secret, new_secret(30));
    }
}
