//! Durations in command line flags: `300ms`, `5s`, `2m`, `6h`, `7d`, and ranges: `50ms..2500ms`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::domain::time::Millis;

const UNITS_MS: [(&str, u64); 5] = [
    ("ms", 1),
    ("s", 1000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
];

/// The error for a text that is not a duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a duration: write a whole number and a unit (ms, s, m, h, d), like 300ms or 7d"
)]
pub struct ParseDurationError(String);

/// Parses one duration.
pub(super) fn parse_duration(text: &str) -> Result<Duration, ParseDurationError> {
    let wrong = || ParseDurationError(text.to_owned());
    let digits = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
    let (number, unit) = text.split_at(digits);
    let (_, millis) = UNITS_MS
        .iter()
        .find(|(name, _)| *name == unit)
        .ok_or_else(wrong)?;
    let number: u64 = number.parse().map_err(|_| wrong())?;
    number
        .checked_mul(*millis)
        .map(Duration::from_millis)
        .ok_or_else(wrong)
}

/// A duration, or a range from which one is sampled at each use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DurationRange {
    /// The minimum.
    pub min: Duration,
    /// The maximum.
    pub max: Duration,
}

impl DurationRange {
    /// Creates a range that contains only this duration.
    pub const fn fixed(d: Duration) -> Self {
        Self { min: d, max: d }
    }

    /// Samples a duration in whole milliseconds.
    pub fn sample(self, rng: &mut fastrand::Rng) -> Duration {
        let millis = |d: Duration| u64::try_from(d.as_millis()).unwrap_or(u64::MAX);
        Duration::from_millis(rng.u64(millis(self.min)..=millis(self.max).max(millis(self.min))))
    }
}

impl FromStr for DurationRange {
    type Err = ParseDurationError;

    fn from_str(text: &str) -> Result<Self, ParseDurationError> {
        let Some((from, to)) = text.split_once("..") else {
            return Ok(Self::fixed(parse_duration(text)?));
        };
        let span = Self {
            min: parse_duration(from)?,
            max: parse_duration(to)?,
        };
        if span.min > span.max {
            Err(ParseDurationError(text.to_owned()))
        } else {
            Ok(span)
        }
    }
}

impl fmt::Display for DurationRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}ms", self.min.as_millis())?;
        if self.max > self.min {
            write!(f, "..{}ms", self.max.as_millis())
        } else {
            Ok(())
        }
    }
}

/// The offset of a clock: `90s` ahead, `-90s` behind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClockSkew {
    /// The offset in milliseconds. Positive if the clock is ahead.
    pub offset_ms: i64,
}

impl ClockSkew {
    /// Returns the time that a clock with this offset shows at `now`.
    pub fn apply(self, now: Millis) -> Millis {
        Millis(now.0.saturating_add(self.offset_ms))
    }
}

impl FromStr for ClockSkew {
    type Err = ParseDurationError;

    fn from_str(text: &str) -> Result<Self, ParseDurationError> {
        let (sign, size) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
        let millis = i64::try_from(parse_duration(size)?.as_millis())
            .map_err(|_| ParseDurationError(text.to_owned()))?;
        Ok(Self {
            offset_ms: sign * millis,
        })
    }
}

impl fmt::Display for ClockSkew {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}ms", self.offset_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_ranges_are_parsed() {
        assert_eq!(parse_duration("300ms"), Ok(Duration::from_millis(300)));
        assert_eq!(parse_duration("7d"), Ok(Duration::from_hours(7 * 24)));
        assert_eq!(
            "20ms..1s".parse(),
            Ok(DurationRange {
                min: Duration::from_millis(20),
                max: Duration::from_secs(1)
            })
        );
        assert_eq!("-90s".parse(), Ok(ClockSkew { offset_ms: -90_000 }));
        for wrong in [
            "",
            "5",
            "s",
            "5 s",
            "1.5s",
            "-5s",
            "99999999999999999999d",
            "5y",
        ] {
            assert!(parse_duration(wrong).is_err(), "{wrong}");
        }
        assert!("2s..1s".parse::<DurationRange>().is_err());
    }

    #[test]
    fn a_sampled_duration_lies_in_its_range() {
        let span: DurationRange = "20ms..25ms".parse().unwrap();
        let mut rng = fastrand::Rng::with_seed(1);
        assert!((0..100).all(|_| (20..=25).contains(&span.sample(&mut rng).as_millis())));
    }
}
