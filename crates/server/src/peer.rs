//! Which user of this machine is at the other end of a loopback connection.

use std::net::SocketAddr;

/// The user's number, as the kernel knows it of the peer's socket; `None` when it is none of this machine's.
pub fn user(peer: SocketAddr, local: SocketAddr) -> Option<u32> {
    // Programs that speak IPv6 sockets are in the second table, also when they ask 127.0.0.1.
    ["/proc/self/net/tcp", "/proc/self/net/tcp6"]
        .iter()
        .find_map(|table| owner(&std::fs::read_to_string(table).ok()?, peer, local))
}

/// The owner of the socket from `from` to `to` in a table of `/proc/net`. Both ends, for a user may have a socket with the
/// same near end as another's.
fn owner(table: &str, from: SocketAddr, to: SocketAddr) -> Option<u32> {
    table.lines().skip(1).find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (near, far, uid) = (fields.get(1)?, fields.get(2)?, fields.get(7)?);
        (is(near, from) && is(far, to)).then(|| uid.parse().ok()).flatten()
    })
}

/// Whether a table's `0100007F:11D6` is this address. Words are in the machine's byte order.
fn is(shown: &str, address: SocketAddr) -> bool {
    let words = |octets: &[u8]| -> String {
        octets
            .chunks(4)
            .map(|word| format!("{:08X}", u32::from_ne_bytes(word.try_into().expect("four bytes"))))
            .collect()
    };
    let Some((ip, port)) = shown.split_once(':') else { return false };
    let is_ip = match address {
        SocketAddr::V4(v4) => ip == words(&v4.ip().octets()) || ip == words(&v4.ip().to_ipv6_mapped().octets()),
        SocketAddr::V6(v6) => ip == words(&v6.ip().octets()),
    };
    is_ip && u16::from_str_radix(port, 16) == Ok(address.port())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn our_own_connection_is_ours() {
        let ours = rustix::process::geteuid().as_raw();
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(listener) = TcpListener::bind(address) else { continue };
            let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let (server, peer) = listener.accept().unwrap();
            assert_eq!(user(peer, server.local_addr().unwrap()), Some(ours), "{address}");
            drop(client);
        }
    }

    #[test]
    fn a_socket_to_somewhere_else_says_nothing() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
             0: 0100007F:9C40 0100007F:0050 01 00000000:00000000 00:00000000 00000000     0        0 1 1\n\
             1: 0100007F:9C40 0100007F:11D6 01 00000000:00000000 00:00000000 00000000  1000        0 2 1\n\
             2: 0000000000000000FFFF00000100007F:9C41 0000000000000000FFFF00000100007F:11D6 01 0:0 0:0 0  1001        0 3 1\n";
        let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
        assert_eq!(owner(table, at(40000), at(4566)), Some(1000));
        assert_eq!(owner(table, at(40000), at(80)), Some(0));
        assert_eq!(owner(table, at(40001), at(4566)), Some(1001), "a mapped address");
        assert_eq!(owner(table, at(40002), at(4566)), None);
    }
}
