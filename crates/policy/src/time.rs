//! Points in time of `Date` conditions: ISO 8601 or seconds since 1970.

/// Milliseconds since 1970. `2026-01-02`, `2026-01-02T03:04Z`, `2026-01-02T03:04:05.678Z`, `…+01:00`, `1767323045`.
pub fn parse(text: &str) -> Option<i64> {
    let text = text.trim();
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) && text.len() > 4 {
        return text.parse::<i64>().ok()?.checked_mul(1000);
    }
    let (date, clock) = text.split_once('T').unwrap_or((text, "00:00Z"));
    let mut parts = date.splitn(3, '-');
    let year = digits(parts.next()?)?;
    let (month, day) = (parts.next().map_or(Some(1), digits)?, parts.next().map_or(Some(1), digits)?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let (clock, offset) = split_offset(clock)?;
    let mut parts = clock.splitn(3, ':');
    let (hour, minute) = (digits(parts.next()?)?, digits(parts.next()?)?);
    let ms = match parts.next() {
        None => 0.0,
        Some(seconds) => seconds.parse::<f64>().ok().filter(|s| (0.0..61.0).contains(s))? * 1000.0,
    };
    if hour > 24 || minute > 59 {
        return None;
    }
    Some((days(year, month, day) * 1440 + hour * 60 + minute - offset) * 60_000 + ms as i64)
}

/// Clock and offset in minutes.
fn split_offset(clock: &str) -> Option<(&str, i64)> {
    if let Some(clock) = clock.strip_suffix('Z') {
        return Some((clock, 0));
    }
    let Some(at) = clock.find(['+', '-']) else { return Some((clock, 0)) };
    let (hours, minutes) = clock[at + 1..].split_once(':')?;
    let offset = digits(hours)? * 60 + digits(minutes)?;
    Some((&clock[..at], if clock[at..].starts_with('-') { -offset } else { offset }))
}

fn digits(text: &str) -> Option<i64> {
    let is_number = !text.is_empty() && text.len() < 6 && text.bytes().all(|b| b.is_ascii_digit());
    if is_number { text.parse().ok() } else { None }
}

/// Days since 1970 of a date of the Gregorian calendar, counted in years that begin with March.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month <= 2 { (year - 1, month + 9) } else { (year, month - 3) };
    let day_of_year = (153 * month + 2) / 5 + day - 1;
    year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    #[test]
    fn times_of_all_forms_are_read() {
        for (text, expected) in [
            ("1970-01-01", Some(0)),
            ("2026-01-02T03:04:05Z", Some(1_767_323_045_000)),
            ("2026-01-02T03:04:05.678Z", Some(1_767_323_045_678)),
            ("2026-01-02T04:04:05+01:00", Some(1_767_323_045_000)),
            ("2024-02-29T00:00Z", Some(1_709_164_800_000)),
            ("1767323045", Some(1_767_323_045_000)),
            ("2026-13-02", None),
            ("soon", None),
            ("", None),
        ] {
            assert_eq!(super::parse(text), expected, "{text}");
        }
    }
}
