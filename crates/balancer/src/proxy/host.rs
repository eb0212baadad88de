//! The Host header: without its port for rules and redirects, with the listener's port for targets.

/// The host without port; the brackets of an IPv6 address stay.
pub(crate) fn without_port(host: &str) -> &str {
    match host.rfind(':') {
        Some(colon) if !host[colon..].contains(']') && host[colon + 1..].bytes().all(|byte| byte.is_ascii_digit()) => {
            &host[..colon]
        }
        _ => host,
    }
}

/// Whether a host names a port.
pub(crate) fn has_port(host: &str) -> bool {
    without_port(host).len() < host.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_told_from_addresses() {
        assert_eq!(without_port("a.example:8080"), "a.example");
        assert_eq!(without_port("a.example"), "a.example");
        assert_eq!(without_port("[2001:db8::1]:80"), "[2001:db8::1]");
        assert_eq!(without_port("[2001:db8::1]"), "[2001:db8::1]");
        assert!(has_port("a:1") && !has_port("a") && !has_port("[::1]"));
    }
}
