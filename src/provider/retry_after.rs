//! The wait that a provider asks for in `Retry-After`, in every form that servers and gateways
//! write.

use std::time::Duration;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use reqwest::header::{HeaderMap, RETRY_AFTER};

use super::clock::parse_http_date;
use super::limits::MAX_RETRY_AFTER;
use crate::domain::time::Millis;

/// Returns the longest wait that the headers ask for, rounded up to whole seconds and limited to
/// [`MAX_RETRY_AFTER`]. `None` if they ask for none that can be read.
pub(super) fn retry_after(headers: &HeaderMap, now: Millis) -> Option<Duration> {
    let values = headers.get_all(RETRY_AFTER).iter();
    let texts = values.filter_map(|value| value.to_str().ok());
    texts.filter_map(|text| longest_wait(text, now)).max()
}

/// A value is a number of seconds, a date, or a list of numbers: a gateway may join the headers of
/// several servers.
fn longest_wait(text: &str, now: Millis) -> Option<Duration> {
    let text = text.trim();
    let date = parse_http_date(text).or_else(|| parse_obsolete_date(text));
    if let Some(date) = date {
        return Some(rounded_up(date.since(now).as_secs_f64()));
    }
    let numbers = text.split(',').filter_map(|part| part.trim().parse().ok());
    let seconds = numbers.filter(|seconds: &f64| *seconds >= 0.0);
    seconds.map(rounded_up).max()
}

fn rounded_up(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds.ceil().min(MAX_RETRY_AFTER.as_secs_f64()))
}

/// Parses the two obsolete forms of a date (RFC 9110), `Sunday, 06-Nov-94 08:49:37 GMT` and
/// `Sun Nov  6 08:49:37 1994`, and dates at the end of the calendar.
fn parse_obsolete_date(text: &str) -> Option<Millis> {
    const FORMS: [&str; 3] = [
        "%A, %d-%b-%y %H:%M:%S GMT",
        "%a %b %e %H:%M:%S %Y",
        "%a, %d %b %Y %H:%M:%S GMT",
    ];
    let date = FORMS
        .iter()
        .find_map(|form| DateTime::strptime(form, text).ok())?;
    let utc = date.to_zoned(TimeZone::UTC);
    let ms = utc.map_or(i64::MAX, |utc| utc.timestamp().as_millisecond());
    Some(Millis(ms))
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    /// Thirty seconds before the dates below.
    const NOW: Millis = Millis(784_111_747_000);

    fn seconds(values: &[&str]) -> Option<u64> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(RETRY_AFTER, HeaderValue::from_str(value).unwrap());
        }
        retry_after(&headers, NOW).map(|wait| wait.as_secs())
    }

    #[test]
    fn wait_is_read_in_every_form_and_rounded_up() {
        for (value, expected) in [
            ("30", 30),
            (" 30 ", 30),
            ("0.2", 1),
            ("29.5", 30),
            ("3e1", 30),
            ("10, 30", 30),
            ("30,10", 30),
            ("soon, 30", 30),
            ("Sun, 06 Nov 1994 08:49:37 GMT", 30),
            ("Sunday, 06-Nov-94 08:49:37 GMT", 30),
            ("Sun Nov  6 08:49:37 1994", 30),
            ("Sun, 06 Nov 1994 08:00:00 GMT", 0),
            ("0", 0),
        ] {
            assert_eq!(seconds(&[value]), Some(expected), "{value}");
        }
        assert_eq!(seconds(&["10", "30"]), Some(30), "two headers");
    }

    #[test]
    fn wait_is_limited_whatever_the_number() {
        for value in [
            "3601",
            "18446744073709551616",
            "1e300",
            "inf",
            "Fri, 31 Dec 9999 23:59:59 GMT",
        ] {
            assert_eq!(seconds(&[value]), Some(3600), "{value}");
        }
    }

    #[test]
    fn value_that_says_nothing_is_ignored() {
        for value in ["", "soon", "-1", "NaN", "-30, later"] {
            assert_eq!(seconds(&[value]), None, "{value}");
        }
        assert_eq!(seconds(&[]), None);
    }
}
