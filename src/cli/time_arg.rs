//! Times on the command line.

use std::str::FromStr;
use std::time::Duration;

use jiff::civil::Date;

use crate::config::parse_duration;
use crate::domain::time::{Day, Millis};

/// A time: an absolute one, or one that depends on the present.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TimeArg {
    At(Millis),
    /// This long ago.
    Ago(Duration),
    /// The beginning of the day (UTC) this many days before today.
    StartOfDay {
        days_ago: i64,
    },
}

/// The forms of a [`TimeArg`] that are not RFC 3339, in the order of their explanation.
const FORMS: &str = "write 7d, 12h (that long ago), today, yesterday, a date like 2026-11-01, or a \
                     time like 2026-11-01T08:00:00Z";

impl TimeArg {
    /// Returns the time as seen at `now`.
    pub(super) fn resolve(self, now: Millis) -> Millis {
        match self {
            Self::At(time) => time,
            Self::Ago(duration) => now.minus(duration),
            Self::StartOfDay { days_ago } => Day::containing(now.second())
                .plus(-days_ago)
                .start()
                .start(),
        }
    }
}

impl FromStr for TimeArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "today" => return Ok(Self::StartOfDay { days_ago: 0 }),
            "yesterday" => return Ok(Self::StartOfDay { days_ago: 1 }),
            _ => {}
        }
        if let Some(duration) = parse_duration(text) {
            return Ok(Self::Ago(duration));
        }
        if let Some(day) = parse_date(text).and_then(Day::from_date) {
            return Ok(Self::At(day.start().start()));
        }
        match text.parse() {
            Ok(time) => Ok(Self::At(time)),
            Err(error) if text.contains(['T', 't', ':']) => Err(format!("{error}; {FORMS}")),
            Err(_) => Err(FORMS.to_owned()),
        }
    }
}

/// Parses `YYYY-MM-DD`, and no other form of a date.
fn parse_date(text: &str) -> Option<Date> {
    let is_plain = text.len() == 10 && text.bytes().all(|b| b.is_ascii_digit() || b == b'-');
    text.parse().ok().filter(|_| is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_a_time_are_resolved_against_the_present() {
        let now: Millis = "2026-11-21T08:30:00.500Z".parse().unwrap();
        for (text, expected) in [
            ("7d", "2026-11-14T08:30:00.500Z"),
            ("1h30m", "2026-11-21T07:00:00.500Z"),
            ("today", "2026-11-21T00:00:00.000Z"),
            ("yesterday", "2026-11-20T00:00:00.000Z"),
            ("2026-11-01", "2026-11-01T00:00:00.000Z"),
            ("2026-11-01T02:00:00+02:00", "2026-11-01T00:00:00.000Z"),
        ] {
            let time = text.parse::<TimeArg>().unwrap().resolve(now);
            assert_eq!(time.to_string(), expected, "{text}");
        }
        for wrong in [
            "",
            "7",
            "7 days",
            "-7d",
            "tomorrow",
            "2026-13-01",
            "2026-11-31",
            "20261101",
            "2026-11",
            "2026-11-01T08:00:00",
            "1.5d",
        ] {
            let error = wrong.parse::<TimeArg>().unwrap_err();
            assert!(error.contains("yesterday"), "{wrong}: {error}");
        }
    }
}
