//! Secrets, and values that are kept outside the configuration file.

use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::{Component, Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};

use super::error::{ConfigError, ConfigErrorKind, ConfigMistake, FilePosition};
use super::value_error::ValueError;

/// The lookup of environment variables: `std::env::var_os`, or the one of a test.
pub(super) type Environment<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// Returns an environment variable of this process.
pub(super) fn process_environment(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}

/// A function that says if a text is valid as a secret.
pub(super) type SecretCheck = fn(&str) -> Result<(), ValueError>;

/// A credential, or another value that only the requests of an account need. A value that is kept
/// outside the configuration is read when it is used, so that commands without requests work
/// without it. Debug output shows only the origin.
#[derive(Clone)]
pub struct Secret(SecretSource);

#[derive(Clone)]
enum SecretSource {
    /// The configuration itself contains the value. It is wiped from memory when it is dropped.
    Inline(SecretString),
    Outside(SecretReference),
}

/// A reference to a secret, with what an error about it says.
#[derive(Clone)]
pub(super) struct SecretReference {
    pub(super) reference: ValueReference,
    pub(super) check: SecretCheck,
    pub(super) position: FilePosition,
    pub(super) key: &'static str,
}

impl SecretReference {
    pub(super) fn read(&self, environment: Environment<'_>) -> Result<SecretString, ValueError> {
        let text = self.reference.fetch(environment)?;
        (self.check)(&text)?;
        Ok(SecretString::from(text))
    }
}

impl Secret {
    /// Returns a secret with an inline value, as tests and the sandbox use it.
    pub fn plain(value: impl Into<String>) -> Self {
        Self(SecretSource::Inline(SecretString::from(value.into())))
    }

    pub(super) fn outside(reference: SecretReference) -> Self {
        Self(SecretSource::Outside(reference))
    }

    /// Returns where the value is kept. `None` if the configuration itself contains it.
    pub(super) fn reference(&self) -> Option<&ValueReference> {
        match &self.0 {
            SecretSource::Inline(_) => None,
            SecretSource::Outside(outside) => Some(&outside.reference),
        }
    }

    /// Returns the current value of the file, credential or environment variable, or the inline
    /// value. Blocks while it reads at most one small file. Use the value only in a request; never
    /// store or display it.
    ///
    /// Errors if the source is gone, empty or not valid.
    pub fn read(&self) -> Result<SecretString, ConfigError> {
        match &self.0 {
            SecretSource::Inline(value) => Ok(value.clone()),
            SecretSource::Outside(reference) => {
                reference.read(&process_environment).map_err(|error| {
                    ConfigError::from(ConfigMistake {
                        position: reference.position.clone(),
                        kind: Box::new(ConfigErrorKind::InvalidValue {
                            key: reference.key,
                            error,
                        }),
                    })
                })
            }
        }
    }
}

impl Secret {
    /// True if the value begins or ends with a blank. False if it cannot be read.
    pub(super) fn has_outer_blank(&self) -> bool {
        self.read().is_ok_and(|value| {
            let text = value.expose_secret();
            text.trim().len() < text.len()
        })
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match &self.0 {
            SecretSource::Inline(_) => "plain",
            SecretSource::Outside(outside) => outside.reference.kind(),
        };
        write!(f, "Secret({kind})")
    }
}

/// Errors if the text cannot be sent in a header.
pub(super) fn check_header_text(text: &str) -> Result<(), ValueError> {
    if text.is_empty() {
        return Err(ValueError::Empty);
    }
    if text.chars().any(char::is_control) {
        return Err(ValueError::ControlCharacter);
    }
    if text.is_ascii() {
        Ok(())
    } else {
        Err(ValueError::NotAscii)
    }
}

/// A reference to a value that is kept outside the configuration file.
#[derive(Clone, Debug)]
pub(super) enum ValueReference {
    Env(String),
    File(PathBuf),
    Credential(String),
}

/// The maximum size of a referenced file. It is larger than any key or token, and prevents a wrong
/// path (a database, a device) from filling the memory.
const MAX_FILE_BYTES: u64 = 64 * 1024;

impl ValueReference {
    /// Returns the reference `{ kind = "name" }`. Relative files start at `folder`.
    pub(super) fn new(kind: &str, name: &str, folder: &Path) -> Result<Self, ValueError> {
        match kind {
            "env" => Ok(Self::Env(name.to_owned())),
            "file" => Ok(Self::File(folder.join(name))),
            "credential" if is_file_name(name) => Ok(Self::Credential(name.to_owned())),
            "credential" => Err(ValueError::CredentialName),
            _ => Err(ValueError::Reference),
        }
    }

    /// Returns the file that contains the value. `None` if the service manager protects it, or it is
    /// in no file.
    pub(super) fn file(&self) -> Option<&Path> {
        match self {
            Self::File(path) => Some(path),
            Self::Env(_) | Self::Credential(_) => None,
        }
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::Env(_) => "env",
            Self::File(_) => "file",
            Self::Credential(_) => "credential",
        }
    }

    /// Returns the current text. It is never empty.
    pub(super) fn fetch(&self, environment: Environment<'_>) -> Result<String, ValueError> {
        match self {
            Self::Env(name) => read_variable(name, environment),
            Self::File(path) => read_small_file(path),
            Self::Credential(name) => match environment("CREDENTIALS_DIRECTORY") {
                Some(folder) if !folder.is_empty() => {
                    read_small_file(&Path::new(&folder).join(name))
                }
                _ => Err(ValueError::NoCredentials { name: name.clone() }),
            },
        }
    }
}

/// True if the name cannot lead out of the directory that systemd made for credentials.
fn is_file_name(name: &str) -> bool {
    let mut parts = Path::new(name).components();
    matches!((parts.next(), parts.next()), (Some(Component::Normal(part)), None) if part == name)
}

fn read_variable(name: &str, environment: Environment<'_>) -> Result<String, ValueError> {
    match environment(name).map(OsString::into_string) {
        Some(Ok(text)) if !without_line_breaks(&text).is_empty() => {
            Ok(without_line_breaks(&text).to_owned())
        }
        Some(Err(_)) => Err(ValueError::EnvNotText {
            name: name.to_owned(),
        }),
        _ => Err(ValueError::EnvUnset {
            name: name.to_owned(),
        }),
    }
}

/// Returns a text without its trailing line breaks, which editors and commands add.
fn without_line_breaks(text: &str) -> &str {
    text.trim_end_matches(['\n', '\r'])
}

/// Returns the text of a small file.
fn read_small_file(path: &Path) -> Result<String, ValueError> {
    let path = || path.to_owned();
    let mut bytes = Vec::new();
    File::open(path())
        .and_then(|file| file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes))
        .map_err(|cause| ValueError::FileUnreadable {
            path: path(),
            cause,
        })?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(ValueError::FileLarge { path: path() });
    }
    let text = String::from_utf8(bytes).map_err(|_| ValueError::FileNotText { path: path() })?;
    match without_line_breaks(&text) {
        "" => Err(ValueError::FileEmpty { path: path() }),
        trimmed => Ok(trimmed.to_owned()),
    }
}
