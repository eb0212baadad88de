//! Timestamps as the protocols write and read them: epoch seconds, ISO 8601, RFC 822. UTC only, proleptic Gregorian.

use std::fmt::Write;

use longshore_aws_model::{Timestamp, TimestampFormat};

const DAY: i64 = 86_400_000;
const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const WEEKDAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];

/// Appends a timestamp in this format.
pub(crate) fn write(out: &mut String, t: Timestamp, format: TimestampFormat) {
    // Writing to a String does not fail.
    let _ = match format {
        TimestampFormat::Epoch => {
            epoch(out, t.0);
            Ok(())
        }
        TimestampFormat::Iso8601 => {
            let (y, m, d) = civil(t.0.div_euclid(DAY));
            let (h, min, s, ms) = clock(t.0);
            match ms {
                0 => write!(out, "{y:04}-{m:02}-{d:02}T{h:02}:{min:02}:{s:02}Z"),
                _ => write!(out, "{y:04}-{m:02}-{d:02}T{h:02}:{min:02}:{s:02}.{ms:03}Z"),
            }
        }
        TimestampFormat::Rfc822 => {
            let days = t.0.div_euclid(DAY);
            let (y, m, d) = civil(days);
            let (h, min, s, _) = clock(t.0);
            let weekday = WEEKDAYS[days.rem_euclid(7) as usize];
            write!(out, "{weekday}, {d:02} {} {y:04} {h:02}:{min:02}:{s:02} GMT", MONTHS[m as usize - 1])
        }
    };
}

/// Seconds, with as many digits after the point as the milliseconds need.
fn epoch(out: &mut String, ms: i64) {
    let (seconds, rest) = (ms / 1000, (ms % 1000).unsigned_abs() as u16);
    if ms < 0 && seconds == 0 {
        out.push('-');
    }
    out.push_str(itoa::Buffer::new().format(seconds));
    if rest > 0 {
        let digits = [rest / 100, rest / 10 % 10, rest % 10].map(|digit| char::from(b'0' + digit as u8));
        let needed = 3 - digits.iter().rev().take_while(|digit| **digit == '0').count();
        out.push('.');
        out.extend(&digits[..needed]);
    }
}

/// Reads any of the three formats; clients mix them up, and no text is valid in two.
pub(crate) fn parse(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    parse_iso(text).or_else(|| parse_rfc822(text)).or_else(|| from_seconds(text.parse().ok()?))
}

/// From seconds with a fraction, rounded to milliseconds.
pub(crate) fn from_seconds(seconds: f64) -> Option<Timestamp> {
    let ms = (seconds * 1000.0).round();
    (ms.abs() < 9e15).then_some(Timestamp(ms as i64))
}

/// `2026-01-02`, `2026-01-02T03:04:05`, with a fraction, with `Z` or an offset `+01:00`.
fn parse_iso(text: &str) -> Option<Timestamp> {
    let b = text.as_bytes();
    if !text.is_ascii() || b.len() < 10 || b[4] != b'-' || b[7] != b'-' {
        return None;
    }
    let date = date(number(&text[..4])?, number(&text[5..7])?, number(&text[8..10])?)?;
    let Some(rest) = text[10..].strip_prefix(['T', 't', ' ']) else {
        return (b.len() == 10).then_some(Timestamp(date));
    };
    let end = rest.find(['Z', 'z', '+', '-']).unwrap_or(rest.len());
    let (time, zone) = rest.split_at(end);
    let offset = match zone.as_bytes() {
        [] | [b'Z' | b'z'] => 0,
        [sign, digits @ ..] => {
            let digits: String = digits.iter().filter(|c| **c != b':').map(|c| char::from(*c)).collect();
            let (h, m) = (digits.get(..2)?, digits.get(2..4)?);
            let minutes = number(h)? * 60 + number(m)?;
            if *sign == b'-' { -minutes } else { minutes }
        }
    };
    Some(Timestamp(date + time_of_day(time)? - offset * 60_000))
}

/// `Fri, 02 Jan 2026 03:04:05 GMT`
fn parse_rfc822(text: &str) -> Option<Timestamp> {
    let (_, rest) = text.split_once(", ")?;
    let mut words = rest.split(' ');
    let day = number(words.next()?)?;
    let name = words.next()?;
    let month = MONTHS.iter().position(|m| *m == name)? as i64 + 1;
    let year = number(words.next()?)?;
    Some(Timestamp(date(year, month, day)? + time_of_day(words.next()?)?))
}

fn number(digits: &str) -> Option<i64> {
    (!digits.is_empty() && digits.len() <= 4 && digits.bytes().all(|b| b.is_ascii_digit()))
        .then(|| digits.parse().ok())
        .flatten()
}

/// Milliseconds of `03:04`, `03:04:05` or `03:04:05.678`.
fn time_of_day(text: &str) -> Option<i64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let mut parts = whole.split(':');
    let (h, m) = (number(parts.next()?)?, number(parts.next()?)?);
    let s = parts.next().map_or(Some(0), number)?;
    if h > 24 || m > 59 || s > 60 || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let ms = format!("{fraction:0<3}")[..3].parse::<i64>().ok()?;
    Some(((h * 60 + m) * 60 + s) * 1000 + ms)
}

/// Milliseconds from the epoch to the day's start.
fn date(y: i64, m: i64, d: i64) -> Option<i64> {
    if !(1..=12).contains(&m) || !(1..=31).contains(&d) {
        return None;
    }
    // Days from civil: years begin in March, so that the leap day is the last.
    let y = if m <= 2 { y - 1 } else { y };
    let era = y.div_euclid(400);
    let year_of_era = y.rem_euclid(400);
    let day_of_year = (153 * ((m + 9) % 12) + 2) / 5 + d - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    Some((era * 146_097 + day_of_era - 719_468) * DAY)
}

fn civil(days: i64) -> (i64, i64, i64) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let day_of_era = z.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let d = day_of_year - (153 * shifted + 2) / 5 + 1;
    let m = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year_of_era + era * 400 + i64::from(m <= 2), m, d)
}

fn clock(ms: i64) -> (i64, i64, i64, i64) {
    let ms = ms.rem_euclid(DAY);
    (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60, ms % 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(ms: i64, format: TimestampFormat) -> String {
        let mut out = String::new();
        write(&mut out, Timestamp(ms), format);
        out
    }

    #[test]
    fn each_format_is_written_as_aws_writes_it() {
        let t = 1_767_323_045_678;
        assert_eq!(show(t, TimestampFormat::Iso8601), "2026-01-02T03:04:05.678Z");
        assert_eq!(show(t - 678, TimestampFormat::Iso8601), "2026-01-02T03:04:05Z");
        assert_eq!(show(t, TimestampFormat::Epoch), "1767323045.678");
        assert_eq!(show(1_500, TimestampFormat::Epoch), "1.5");
        assert_eq!(show(-500, TimestampFormat::Epoch), "-0.5");
        assert_eq!(show(t, TimestampFormat::Rfc822), "Fri, 02 Jan 2026 03:04:05 GMT");
        assert_eq!(show(0, TimestampFormat::Rfc822), "Thu, 01 Jan 1970 00:00:00 GMT");
    }

    #[test]
    fn what_is_written_reads_back_for_every_day_of_four_centuries() {
        for day in (-10_000..146_097).step_by(13) {
            let t = day * DAY + 12_345_678;
            for format in [TimestampFormat::Iso8601, TimestampFormat::Epoch] {
                assert_eq!(parse(&show(t, format)), Some(Timestamp(t)));
            }
            assert_eq!(parse(&show(t, TimestampFormat::Rfc822)), Some(Timestamp(t - 678)));
        }
    }

    #[test]
    fn offsets_dates_and_nonsense() {
        assert_eq!(parse("2026-01-02T04:04:05+01:00"), Some(Timestamp(1_767_323_045_000)));
        assert_eq!(parse("2026-01-02"), Some(Timestamp(1_767_312_000_000)));
        for bad in
            ["", "x", "2026-13-01", "2026-01-02T", "2026-01-02T99:00:00Z", "2026-01-02TZ", "1e300", "NaN", "ä026-01-02"]
        {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
