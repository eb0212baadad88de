//! How fast filter patterns are, apart from any disk: `cargo run --profile sim -p longshore-telemetry --example bench_patterns`.
#![allow(clippy::unwrap_used, reason = "a measurement stops at the first failure")]

use longshore_telemetry::logs::pattern::Pattern;
use std::time::{Duration, Instant};

const JSON: &str = r#"{"level":"info","method":"GET","path":"/api/items","status":200,"latency":12.5,"user":{"id":7,"name":"frank"},"tags":["a","b","c"]}"#;
const ACCESS: &str = r#"10.0.3.17 - frank [10/Oct/2026:13:25:15 +0000] "GET /api/items?page=2 HTTP/1.1" 200 1534 "-" "Mozilla/5.0 (X11)""#;

fn main() {
    for (pattern, line) in [
        ("ERROR", ACCESS),
        ("?ERROR ?WARN ?FATAL", ACCESS),
        ("HTTP -frank", ACCESS),
        ("%ERR[A-Z]+|status=5[0-9][0-9]%", ACCESS),
        ("[ip, ..., status = 5*, bytes > 1000]", ACCESS),
        ("[ip, dash, user, time, request = *items*, status = 5*, ...]", ACCESS),
        ("{ $.status >= 500 }", JSON),
        ("{ $.user.name = \"x*\" || ($.tags[*] = \"z\" && $.latency > 100) }", JSON),
        ("{ $.path = %^/admin% }", JSON),
    ] {
        let parsed = Pattern::parse(pattern).unwrap();
        let (start, mut bytes, mut found) = (Instant::now(), 0usize, 0u32);
        while start.elapsed() < Duration::from_millis(500) {
            for _ in 0..1000 {
                found += u32::from(parsed.matches(std::hint::black_box(line)));
                bytes += line.len();
            }
        }
        let rate = bytes as f64 / start.elapsed().as_secs_f64() / 1e6;
        println!("{rate:>8.0} MB/s  {pattern}  ({})", if found > 0 { "matches" } else { "no match" });
    }
}
