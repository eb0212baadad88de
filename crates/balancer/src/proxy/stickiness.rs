//! Stickiness cookies: they name a target or group by its tag, a number that is the same after a restart.

use http::header::{COOKIE, SET_COOKIE};
use http::{HeaderMap, HeaderValue};

/// Keeps a client on its target.
pub(super) const TARGET: Names = Names { name: "AWSALB", cross_site: Some("AWSALBCORS") };
/// Keeps a client on its target as long as the application's cookie lives.
pub(super) const APPLICATION: Names = Names { name: "AWSALBAPP-0", cross_site: None };
/// Keeps a client on its target group.
pub(super) const GROUP: Names = Names { name: "AWSALBTG", cross_site: Some("AWSALBTGCORS") };

/// A cookie and its twin for requests from other sites.
#[derive(Clone, Copy, Debug)]
pub(super) struct Names {
    name: &'static str,
    cross_site: Option<&'static str>,
}

impl Names {
    /// The tag a request carries.
    pub(super) fn read(&self, headers: &HeaderMap) -> Option<u64> {
        [Some(self.name), self.cross_site]
            .into_iter()
            .flatten()
            .find_map(|name| u64::from_str_radix(cookie(headers, name)?, 16).ok())
    }

    /// Adds the cookie to a response.
    pub(super) fn write(&self, headers: &mut HeaderMap, tag: u64, unix_seconds: u64, duration_seconds: u32) {
        let expires = http_date(unix_seconds + u64::from(duration_seconds));
        let mut append = |cookie: String| {
            headers.append(SET_COOKIE, HeaderValue::try_from(cookie).expect("names, hex and dates are ASCII"));
        };
        append(format!("{}={tag:016x}; Expires={expires}; Path=/", self.name));
        if let Some(name) = self.cross_site {
            append(format!("{name}={tag:016x}; Expires={expires}; Path=/; SameSite=None"));
        }
    }
}

/// Whether a response sets a cookie.
pub(super) fn sets_cookie(headers: &HeaderMap, name: &str) -> bool {
    headers.get_all(SET_COOKIE).iter().any(|value| {
        value.as_bytes().split(|byte| *byte == b'=').next().is_some_and(|first| first.trim_ascii() == name.as_bytes())
    })
}

fn cookie<'a>(headers: &'a HeaderMap, wanted: &str) -> Option<&'a str> {
    headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find_map(|(name, value)| (name == wanted).then_some(value))
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`.
pub(crate) fn http_date(unix_seconds: u64) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (days, second) = (unix_seconds / 86_400, unix_seconds % 86_400);
    let is_leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let (mut year, mut day) = (1970, days);
    while day >= 365 + u64::from(is_leap(year)) {
        day -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let lengths = [31, 28 + u64::from(is_leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 0;
    while day >= lengths[month] {
        day -= lengths[month];
        month += 1;
    }
    format!(
        "{}, {:02} {} {year} {:02}:{:02}:{:02} GMT",
        DAYS[(days % 7) as usize],
        day + 1,
        MONTHS[month],
        second / 3600,
        second / 60 % 60,
        second % 60
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_written_cookie_is_read_back() {
        let mut response = HeaderMap::new();
        TARGET.write(&mut response, 0xabc, 784_111_777, 0);
        let cookies: Vec<_> = response.get_all(SET_COOKIE).iter().map(|value| value.to_str().unwrap()).collect();
        assert_eq!(
            cookies,
            [
                "AWSALB=0000000000000abc; Expires=Sun, 06 Nov 1994 08:49:37 GMT; Path=/",
                "AWSALBCORS=0000000000000abc; Expires=Sun, 06 Nov 1994 08:49:37 GMT; Path=/; SameSite=None"
            ]
        );
        let mut request = HeaderMap::new();
        request.append(COOKIE, HeaderValue::from_static("a=b; AWSALBCORS=0000000000000abc"));
        assert_eq!(TARGET.read(&request), Some(0xabc));
        assert_eq!(GROUP.read(&request), None);
        assert!(sets_cookie(&response, "AWSALB") && !sets_cookie(&response, "AWS"));
    }

    #[test]
    fn dates_follow_the_calendar() {
        assert_eq!(http_date(0), "Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(http_date(951_782_400), "Tue, 29 Feb 2000 00:00:00 GMT");
        assert_eq!(http_date(1_767_225_599), "Wed, 31 Dec 2025 23:59:59 GMT");
    }
}
