//! The door through which tasks reach the API (`agent::api_door`) is a hop: it says for whom it speaks, in a header that
//! only it can make. Without this every task would be 127.0.0.1 to policies that ask for `aws:SourceIp`.

use crate::ecr::token::mac;
use hmac::Mac;
use std::net::IpAddr;

/// `<password> <address of the task>`; no part of what is signed.
pub const HEADER: &str = longshore_types::link::HOP_HEADER;

/// What the door proves itself with: the same after a restart of the server, whose secret it is made from.
pub fn password(secret: &str) -> String {
    crate::hex(&mac(secret, b"hop").finalize().into_bytes())
}

/// For whom a request comes, by the hop's header. `None` for a header that somebody else made. Compares in constant time.
pub fn source(secret: &str, header: &str) -> Option<IpAddr> {
    let (given, address) = header.split_once(' ')?;
    let expected = password(secret);
    let differs = expected.bytes().zip(given.bytes()).fold(0, |differs, (a, b)| differs | (a ^ b));
    let same = expected.len() == given.len() && differs == 0;
    same.then(|| address.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_has_the_password_speaks_for_others() {
        let good = password("secret");
        assert_eq!(source("secret", &format!("{good} 172.31.0.9")), Some(IpAddr::from([172, 31, 0, 9])));
        let cut = &good[1..];
        for bad in ["", "172.31.0.9", " 172.31.0.9", "x 172.31.0.9", &format!("{cut} 172.31.0.9"), &format!("{good} x")]
        {
            assert_eq!(source("secret", bad), None, "{bad:?}");
        }
        assert_eq!(source("another", &format!("{good} 172.31.0.9")), None);
    }
}
