//! The conversion of values in the file to settings.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use reqwest::Url;
use reqwest::header::HeaderName;
use toml::de::DeValue;

use super::choices::{DestinationKind, DiscoveryMode};
use super::database_url::{DatabaseUrl, PostgresServer};
use super::secret::{Secret, SecretCheck, SecretReference, check_header_text};
use super::source::Mistake;
use super::table::ConfigValue;
use super::value_error::ValueError;
use crate::domain::time::Millis;

/// Reads non-empty text without control characters.
pub(super) fn text(value: &ConfigValue<'_>) -> Result<String, Mistake> {
    checked_text(value, check_text)
}

fn check_text(text: &str) -> Result<(), ValueError> {
    match text {
        "" => Err(ValueError::Empty),
        text if text.chars().any(char::is_control) => Err(ValueError::ControlCharacter),
        _ => Ok(()),
    }
}

/// Reads the name of an account. It appears in SQL, in metrics and on the command line.
pub(super) fn account_name(value: &ConfigValue<'_>) -> Result<String, Mistake> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    checked_text(value, |text| match text.len() {
        1..=64 if text.bytes().all(allowed) => Ok(()),
        _ => Err(ValueError::AccountName),
    })
}

/// Reads an Agora App ID, which is a segment of the URL path.
pub(super) fn app_id(value: &ConfigValue<'_>) -> Result<Secret, Mistake> {
    checked_secret(value, |text| {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
        match text {
            "" => Err(ValueError::Empty),
            text if text.bytes().all(allowed) => Ok(()),
            _ => Err(ValueError::AppId),
        }
    })
}

/// Reads an App certificate. No error quotes it.
pub(super) fn app_certificate(value: &ConfigValue<'_>) -> Result<Secret, Mistake> {
    checked_secret(value, |text| {
        let is_certificate = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_certificate
            .then_some(())
            .ok_or(ValueError::AppCertificate)
    })
}

/// Reads the name of an HTTP header.
pub(super) fn header_name(value: &ConfigValue<'_>) -> Result<HeaderName, Mistake> {
    value.parse(|text| {
        let is_usual = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        let name = text.bytes().all(is_usual).then(|| text.parse().ok());
        name.flatten().ok_or(ValueError::HeaderName)
    })
}

/// Reads an identifier that only requests need, such as a user.
pub(super) fn identifier(value: &ConfigValue<'_>) -> Result<Secret, Mistake> {
    checked_secret(value, check_text)
}

/// Reads a credential that can be sent in a header.
pub(super) fn secret(value: &ConfigValue<'_>) -> Result<Secret, Mistake> {
    checked_secret(value, check_header_text)
}

/// Reads the seed of an ed25519 key. No error quotes it.
pub(super) fn private_key(value: &ConfigValue<'_>) -> Result<Secret, Mistake> {
    checked_secret(value, check_seed)
}

/// Reads a secret. The value that a reference leads to is read and checked here only if the command
/// uses it.
fn checked_secret(value: &ConfigValue<'_>, check: SecretCheck) -> Result<Secret, Mistake> {
    let Some(reference) = value.reference()? else {
        let text = value.inline_text()?;
        check(&text).map_err(|error| value.mistake(error))?;
        return Ok(Secret::plain(text));
    };
    let outside = SecretReference {
        reference,
        check,
        position: value.position(),
        key: value.key(),
    };
    if let Some(environment) = value.secret_environment() {
        outside
            .read(environment)
            .map_err(|error| value.mistake(error))?;
    }
    Ok(Secret::outside(outside))
}

/// Errors unless the text is a seed in hex. `Web3MQ`'s own SDK also refuses a prefix, and a secret
/// key with its public key.
fn check_seed(text: &str) -> Result<(), ValueError> {
    check_header_text(text)?;
    let hex = text.bytes().all(|byte| byte.is_ascii_hexdigit());
    match text.len() {
        _ if text.starts_with("0x") || text.starts_with("0X") => Err(ValueError::KeyPrefixed),
        64 if hex => Ok(()),
        64 => Err(ValueError::KeyNotHex),
        128 if hex => Err(ValueError::KeyPair),
        length => Err(ValueError::KeyLength { length }),
    }
}

pub(super) fn flag(value: &ConfigValue<'_>) -> Result<bool, Mistake> {
    value
        .content()
        .as_bool()
        .ok_or_else(|| value.type_mistake("true or false"))
}

/// Reads the discovery mode of an Agora account.
pub(super) fn discover(value: &ConfigValue<'_>) -> Result<DiscoveryMode, Mistake> {
    match value.content() {
        DeValue::Boolean(false) => Ok(DiscoveryMode::Nothing),
        DeValue::Boolean(true) => Ok(DiscoveryMode::Messages),
        DeValue::String(text) if text == "events" => Ok(DiscoveryMode::Events),
        _ => Err(value.mistake(ValueError::Discover)),
    }
}

/// Reads the discovery switch of a `Web3MQ` account.
pub(super) fn discover_chats(value: &ConfigValue<'_>) -> Result<bool, Mistake> {
    match value.content() {
        DeValue::String(text) if text == "events" => Err(value.mistake(ValueError::DiscoverEvents)),
        _ => flag(value),
    }
}

pub(super) fn kind(value: &ConfigValue<'_>) -> Result<DestinationKind, Mistake> {
    value.parse(|text| match text {
        "channel" => Ok(DestinationKind::Channel),
        "user" => Ok(DestinationKind::User),
        _ => Err(ValueError::Kind),
    })
}

/// Reads a number of requests per second. The lower bound keeps the interval between two requests
/// within the range of a timer. The upper bound is practically no limit.
pub(super) fn rate(value: &ConfigValue<'_>) -> Result<f64, Mistake> {
    number(value, 0.001, 100_000.0)
}

/// Reads a number of messages per page.
pub(super) fn page_size(value: &ConfigValue<'_>) -> Result<u32, Mistake> {
    whole_number(value, 1, 1000)
}

/// A number of streams.
pub(super) fn discover_limit(value: &ConfigValue<'_>) -> Result<usize, Mistake> {
    Ok(whole_number(value, 1, 1_000_000)? as usize)
}

fn whole_number(value: &ConfigValue<'_>, low: u32, high: u32) -> Result<u32, Mistake> {
    let DeValue::Integer(integer) = value.content() else {
        return Err(value.type_mistake("a whole number"));
    };
    match u32::from_str_radix(integer.as_str(), integer.radix()) {
        Ok(size) if (low..=high).contains(&size) => Ok(size),
        _ => Err(value.mistake(ValueError::OutOfRange {
            low: low.into(),
            high: high.into(),
        })),
    }
}

fn number(value: &ConfigValue<'_>, low: f64, high: f64) -> Result<f64, Mistake> {
    let number = match value.content() {
        DeValue::Float(float) => float.as_str().parse().ok(),
        DeValue::Integer(integer) => i32::from_str_radix(integer.as_str(), integer.radix())
            .ok()
            .map(f64::from),
        _ => return Err(value.type_mistake("a number")),
    };
    // An integer that does not fit is out of range too. NaN is in no range.
    number
        .filter(|n| (low..=high).contains(n))
        .ok_or_else(|| value.mistake(ValueError::OutOfRange { low, high }))
}

/// Reads a moment: RFC 3339 as text, or TOML's own date and time with its offset.
pub(super) fn moment(value: &ConfigValue<'_>) -> Result<Millis, Mistake> {
    let parse = |text: &str| text.parse().map_err(ValueError::Time);
    match value.content() {
        DeValue::Datetime(datetime) => {
            parse(&datetime.to_string()).map_err(|error| value.mistake(error))
        }
        DeValue::String(_) | DeValue::Table(_) => value.parse(parse),
        _ => Err(value.type_mistake("a time, like 2026-11-01T00:00:00Z")),
    }
}

/// Reads a duration longer than zero.
pub(super) fn duration(value: &ConfigValue<'_>) -> Result<Duration, Mistake> {
    if value.content().is_integer() || value.content().is_float() {
        return Err(value.type_mistake("a number and its unit in quotes, like \"90s\""));
    }
    value.parse(|text| match parse_duration_ms(text) {
        None => Err(ValueError::NotADuration),
        Some(0) => Err(ValueError::ZeroDuration),
        Some(length) if length > MAX_DURATION_MS => Err(ValueError::LongDuration),
        Some(length) => Ok(Duration::from_millis(length)),
    })
}

/// Reads the timeout of a request.
pub(super) fn timeout(value: &ConfigValue<'_>) -> Result<Duration, Mistake> {
    let bounds = Duration::from_secs(1)..=Duration::from_mins(10);
    let length = duration(value)?;
    if bounds.contains(&length) {
        Ok(length)
    } else {
        Err(value.mistake(ValueError::Timeout))
    }
}

/// The maximum of any duration: 100 years. It is longer than any archive, and time arithmetic with
/// it cannot overflow.
const MAX_DURATION_MS: u64 = 36_500 * 86_400_000;

/// Returns the sum of numbers with units, such as `1h30m`, in milliseconds. The sum saturates.
pub(super) fn parse_duration_ms(text: &str) -> Option<u64> {
    let mut total = 0_u64;
    let mut rest = text;
    loop {
        let unit_at = rest
            .find(|c: char| !c.is_ascii_digit())
            .filter(|at| *at > 0)?;
        let (number, tail) = rest.split_at(unit_at);
        let (unit, next) = tail.split_at(
            tail.find(|c: char| c.is_ascii_digit())
                .unwrap_or(tail.len()),
        );
        total = total.saturating_add(
            number
                .parse()
                .unwrap_or(u64::MAX)
                .saturating_mul(unit_ms(unit)?),
        );
        if next.is_empty() {
            return Some(total);
        }
        rest = next;
    }
}

fn unit_ms(unit: &str) -> Option<u64> {
    match unit {
        "ms" => Some(1),
        "s" => Some(1000),
        "m" => Some(60_000),
        "h" => Some(3_600_000),
        "d" => Some(86_400_000),
        "w" => Some(604_800_000),
        _ => None,
    }
}

/// Parses the base URL of Agora's API, without the path of the API itself.
pub(super) fn agora_base_url(text: &str) -> Result<Url, ValueError> {
    without_path(parse_base_url(text)?, "/dev/v2")
}

/// Reads the base URL of a `Web3MQ` node, without the path of the API itself.
pub(super) fn web3mq_base_url(value: &ConfigValue<'_>) -> Result<Url, Mistake> {
    value.parse(|text| without_path(parse_base_url(text)?, "/api"))
}

/// Errors if the path of a base URL contains the beginning of the API's own path.
fn without_path(url: Url, own: &'static str) -> Result<Url, ValueError> {
    if url.path().contains(&format!("{own}/")) {
        Err(ValueError::UrlApiPath(own))
    } else {
        Ok(url)
    }
}

/// Parses a base URL. The path always ends in `/`: a join then appends to it and replaces nothing.
fn parse_base_url(text: &str) -> Result<Url, ValueError> {
    let mut url = Url::parse(text).map_err(|_| ValueError::NotAUrl)?;
    match (url.scheme(), url.host_str()) {
        ("https", Some(_)) => {}
        ("http", Some(host)) if is_loopback(host) => {}
        ("http", Some(_)) => return Err(ValueError::UrlUnencrypted),
        _ => return Err(ValueError::UrlScheme),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(ValueError::UrlCredentials);
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(ValueError::UrlQuery);
    }
    if !url.path().ends_with('/') {
        url.set_path(&format!("{}/", url.path()));
    }
    Ok(url)
}

/// Reads the URL that alarms are posted to. No error quotes it: any part of it may be a token.
pub(super) fn webhook(value: &ConfigValue<'_>) -> Result<Secret, Mistake> {
    checked_secret(value, |text| {
        check_header_text(text)?;
        let is_safe = Url::parse(text).is_ok_and(|url| match (url.scheme(), url.host_str()) {
            ("https", Some(_)) => true,
            ("http", Some(host)) => is_loopback(host),
            _ => false,
        });
        if is_safe {
            Ok(())
        } else {
            Err(ValueError::Webhook)
        }
    })
}

fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || bare.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
}

/// Reads the address of the status page; `None` if `""` turns it off.
pub(super) fn listen(value: &ConfigValue<'_>) -> Result<Option<SocketAddr>, Mistake> {
    value.parse(|text| match text {
        "" => Ok(None),
        address => address
            .parse()
            .map(Some)
            .map_err(|_| ValueError::ListenAddress),
    })
}

/// Reads the database URL; a relative path starts at the folder of the configuration. No error
/// quotes it: it may contain a password.
pub(super) fn database_url(value: &ConfigValue<'_>) -> Result<DatabaseUrl, Mistake> {
    let url: DatabaseUrl = value.parse(str::parse)?;
    Ok(url.below(value.folder()))
}

impl FromStr for DatabaseUrl {
    type Err = ValueError;

    fn from_str(url: &str) -> Result<Self, ValueError> {
        match url.split_once(':') {
            Some(("sqlite", rest)) => sqlite_path(rest).map(Self::Sqlite),
            Some(("postgres" | "postgresql", _)) => PostgresServer::parse(url).map(Self::Postgres),
            _ => Err(ValueError::DatabaseScheme),
        }
    }
}

/// Returns the path in `sqlite:PATH` or `sqlite://PATH`. `%` escapes a byte as in any URL.
fn sqlite_path(rest: &str) -> Result<PathBuf, ValueError> {
    let path = rest.strip_prefix("//").unwrap_or(rest);
    if path.contains('?') {
        return Err(ValueError::DatabaseParameters);
    }
    match percent_decode_str(path).decode_utf8() {
        Ok(path) if !matches!(path.as_ref(), "" | ":memory:") => {
            Ok(PathBuf::from(path.into_owned()))
        }
        _ => Err(ValueError::DatabaseWithoutFile),
    }
}

fn checked_text(
    value: &ConfigValue<'_>,
    check: impl Fn(&str) -> Result<(), ValueError>,
) -> Result<String, Mistake> {
    value.parse(|text| check(text).map(|()| text.to_owned()))
}
