//! Shares in command line flags: `5%`.

use std::fmt;
use std::str::FromStr;

/// A share of all requests, such as `5%`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Share(pub f64);

/// The error for a text that is not a share.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a share: write it like 5% or 0.5%")]
pub struct ParseShareError(String);

impl FromStr for Share {
    type Err = ParseShareError;

    fn from_str(text: &str) -> Result<Self, ParseShareError> {
        let percent = text
            .strip_suffix('%')
            .and_then(|number| number.trim().parse().ok());
        let percent = percent.filter(|percent| (0.0..=100.0).contains(percent));
        percent
            .map(|percent: f64| Self(percent / 100.0))
            .ok_or_else(|| ParseShareError(text.to_owned()))
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", self.0 * 100.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_parsed_from_percentages() {
        assert_eq!("5%".parse(), Ok(Share(0.05)));
        assert_eq!("0.5%".parse::<Share>().unwrap().to_string(), "0.5%");
        for wrong in ["5", "101%", "-1%", "%", "many"] {
            assert!(wrong.parse::<Share>().is_err(), "{wrong}");
        }
    }
}
