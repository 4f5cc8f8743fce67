//! The times of messages, as providers and senders write them.
//!
//! A number does not name its unit, and its size tells it. Each unit has a range, and the ranges do
//! not overlap:
//!
//! | unit | numbers | times |
//! |---|---|---|
//! | seconds | 0 to 99,999,999,999 | 1970 to 5138 |
//! | milliseconds | 100,000,000,000 to 253,402,300,799,999 | 1973 to 9999 |
//! | microseconds | 946,684,800,000,000 to 253,402,300,799,999,999 | 2000 to 9999 |
//! | nanoseconds | from 946,684,800,000,000,000 on | 2000 to 2262 |
//!
//! The two finer units begin in 2000, before either provider existed: so no time after 9999 in
//! milliseconds is taken for microseconds. A number in no range is no time, and the same holds for a
//! text that names a time outside of 1970 to 9999. Its message is kept raw.

use std::fmt;

use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};

use crate::domain::time::Millis;

/// Numbers from here on are milliseconds: March 1973, before either provider's first message. As
/// seconds it is the year 5138.
const MIN_MILLISECONDS: i64 = 100_000_000_000;
/// The last millisecond of the year 9999. The databases show no later time.
const MAX_MILLISECONDS: i64 = 253_402_300_799_999;
/// The first microsecond of the year 2000.
const MIN_MICROSECONDS: i64 = 946_684_800_000_000;
/// The last microsecond of the year 9999.
const MAX_MICROSECONDS: i64 = 1000 * MAX_MILLISECONDS + 999;
/// The first nanosecond of the year 2000.
const MIN_NANOSECONDS: i64 = 1000 * MIN_MICROSECONDS;

const TOO_EARLY: &str = "a time before 1970";
const TOO_LATE: &str = "a time after 9999, or in an unknown unit";
const NO_TIME: &str = "not a time";

/// A time in any form that the documents and recorded answers show: a number, a string of digits or
/// ISO 8601 text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct WireTime(pub(super) Millis);

impl<'de> Deserialize<'de> for WireTime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TimeVisitor;
        impl Visitor<'_> for TimeVisitor {
            type Value = Millis;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a time: a number, digits or ISO 8601 text")
            }
            fn visit_i64<E: de::Error>(self, n: i64) -> Result<Millis, E> {
                time_from_integer(n).map_err(E::custom)
            }
            fn visit_u64<E: de::Error>(self, n: u64) -> Result<Millis, E> {
                let n = i64::try_from(n).map_err(|_| E::custom(TOO_LATE))?;
                self.visit_i64(n)
            }
            fn visit_f64<E: de::Error>(self, n: f64) -> Result<Millis, E> {
                time_from_float(n).map_err(E::custom)
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Millis, E> {
                time_from_text(text.trim()).map_err(E::custom)
            }
        }
        deserializer.deserialize_any(TimeVisitor).map(Self)
    }
}

fn time_from_integer(n: i64) -> Result<Millis, &'static str> {
    let milliseconds = match n {
        ..0 => return Err(TOO_EARLY),
        0..MIN_MILLISECONDS => n * 1000,
        MIN_MILLISECONDS..=MAX_MILLISECONDS => n,
        MIN_MICROSECONDS..=MAX_MICROSECONDS => n / 1000,
        MIN_NANOSECONDS.. => n / 1_000_000,
        _ => return Err(TOO_LATE),
    };
    Ok(Millis(milliseconds))
}

/// Seconds may have decimal places. Numbers in finer units are rounded.
fn time_from_float(n: f64) -> Result<Millis, &'static str> {
    if n < 0.0 {
        Err(TOO_EARLY)
    } else if n < MIN_MILLISECONDS as f64 {
        Ok(Millis((n * 1000.0).round() as i64))
    } else if n < i64::MAX as f64 {
        time_from_integer(n.round() as i64)
    } else {
        Err(TOO_LATE)
    }
}

fn time_from_text(text: &str) -> Result<Millis, &'static str> {
    if let Ok(n) = text.parse() {
        return time_from_integer(n);
    }
    let time = match text.parse() {
        Ok(time) => time,
        // Without a zone it is UTC: the contract knows no other.
        Err(_) => time_without_zone(text).ok_or(NO_TIME)?,
    };
    match time.0 {
        ..0 => Err(TOO_EARLY),
        0..=MAX_MILLISECONDS => Ok(time),
        _ => Err(TOO_LATE),
    }
}

fn time_without_zone(text: &str) -> Option<Millis> {
    let civil: jiff::civil::DateTime = text.parse().ok()?;
    let utc = civil.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
    Some(Millis(utc.timestamp().as_millisecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_time(json: &str) -> Result<i64, String> {
        match serde_json::from_str::<WireTime>(json) {
            Ok(time) => Ok(time.0.0),
            Err(error) => Err(crate::provider::json::parse_error_text(&error)),
        }
    }

    #[test]
    fn time_is_read_in_every_form() {
        for form in [
            "1644999939488",
            "\"1644999939488\"",
            "1644999939.488",
            "\"2022-02-16T08:25:39.488Z\"",
            "\"2022-02-16T09:25:39.488+01:00\"",
            "\"2022-02-16 08:25:39.488\"",
            "\"2022-02-16T08:25:39.488\"",
            "1644999939488123",
            "1644999939488123456",
            "\"1644999939488123456\"",
            "1.644999939488123e15",
        ] {
            assert_eq!(parse_time(form), Ok(1_644_999_939_488), "{form}");
        }
        assert_eq!(parse_time("1644999939"), Ok(1_644_999_939_000));
        assert_eq!(parse_time("\"1644999939\""), Ok(1_644_999_939_000));
        assert_eq!(parse_time("123"), Ok(123_000));
    }

    #[test]
    fn number_belongs_to_the_unit_whose_range_holds_it() {
        const YEAR_2000_MS: i64 = 946_684_800_000;
        let cases: [(i64, Result<i64, &str>); 18] = [
            (i64::MIN, Err(TOO_EARLY)),
            (-1, Err(TOO_EARLY)),
            (0, Ok(0)),
            (1, Ok(1000)),
            (99_999_999_999, Ok(99_999_999_999_000)),
            (100_000_000_000, Ok(100_000_000_000)),
            (MAX_MILLISECONDS, Ok(MAX_MILLISECONDS)),
            (MAX_MILLISECONDS + 1, Err(TOO_LATE)),
            (1000 * YEAR_2000_MS - 1, Err(TOO_LATE)),
            (1000 * YEAR_2000_MS, Ok(YEAR_2000_MS)),
            (1000 * YEAR_2000_MS + 999, Ok(YEAR_2000_MS)),
            (1000 * MAX_MILLISECONDS + 999, Ok(MAX_MILLISECONDS)),
            (1000 * MAX_MILLISECONDS + 1000, Err(TOO_LATE)),
            (1_000_000 * YEAR_2000_MS - 1, Err(TOO_LATE)),
            (1_000_000 * YEAR_2000_MS, Ok(YEAR_2000_MS)),
            (1_000_000 * YEAR_2000_MS + 999_999, Ok(YEAR_2000_MS)),
            (i64::MAX - 1, Ok(9_223_372_036_854)),
            (i64::MAX, Ok(9_223_372_036_854)),
        ];
        for (number, expected) in cases {
            let expected = expected.map_err(str::to_owned);
            assert_eq!(parse_time(&number.to_string()), expected, "{number}");
            assert_eq!(
                parse_time(&format!("\"{number}\"")),
                expected,
                "text {number}"
            );
        }
    }

    #[test]
    fn time_outside_the_calendar_is_refused_in_every_form() {
        for early in [
            "-0.001",
            "-1e300",
            "\"1969-12-31T23:59:59.999Z\"",
            "\"1970-01-01T00:59:59+01:00\"",
            "\"1969-12-31 23:59:59\"",
            "\"-001000-01-01T00:00:00Z\"",
        ] {
            assert_eq!(parse_time(early), Err(TOO_EARLY.to_owned()), "{early}");
        }
        for late in [
            "9223372036854775808",
            "18446744073709551615",
            "18446744073709551616",
            "253402300800000.0",
            "1e300",
        ] {
            assert_eq!(parse_time(late), Err(TOO_LATE.to_owned()), "{late}");
        }
        for other in ["\"soon\"", "\"\"", "\"10000-01-01T00:00:00Z\""] {
            assert_eq!(parse_time(other), Err(NO_TIME.to_owned()), "{other}");
        }
        for other in ["null", "{}", "true", "[1]"] {
            assert!(parse_time(other).is_err(), "{other}");
        }
        assert_eq!(parse_time("-0.0"), Ok(0));
        assert_eq!(parse_time("\"1970-01-01T00:00:00Z\""), Ok(0));
    }
}
