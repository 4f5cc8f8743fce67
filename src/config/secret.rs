//! Values that must never be shown, and values that are kept elsewhere.

use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::{Component, Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};

use super::error::{ConfigError, ConfigErrorKind, FilePosition};
use super::value_error::Fault;

/// How environment variables are looked up: `std::env::var_os`, or a test's own.
pub(super) type Environment<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// The variables of this process.
pub(super) fn process_environment(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}

/// A credential: where it comes from, and its value when it was last read. Debug shows only the former; the value is
/// wiped from memory when dropped.
#[derive(Clone)]
pub struct Secret {
    origin: Option<SecretOrigin>,
    value: SecretString,
}

/// What must be known to read a secret again, and to say what is wrong if that fails.
#[derive(Clone)]
struct SecretOrigin {
    reference: ValueReference,
    position: FilePosition,
    key: &'static str,
}

impl Secret {
    /// A secret that is written down right here, as tests and the sandbox do.
    pub fn plain(value: impl Into<String>) -> Self {
        Self {
            origin: None,
            value: SecretString::from(value.into()),
        }
    }

    pub(super) fn from_reference(
        value: String,
        reference: ValueReference,
        place: FilePosition,
        key: &'static str,
    ) -> Self {
        Self {
            origin: Some(SecretOrigin {
                reference,
                position: place,
                key,
            }),
            value: SecretString::from(value),
        }
    }

    /// Whether the value stands in the configuration itself.
    pub(super) fn is_inline(&self) -> bool {
        self.origin.is_none()
    }

    /// The value itself: for a header or a signature, and for nothing that is kept or shown.
    pub fn expose(&self) -> &str {
        self.value.expose_secret()
    }

    /// The secret as its file, credential or environment variable has it now; one that stands in the configuration
    /// stays as it is. Reads at most one small file, and blocks for as long as that takes.
    ///
    /// Errors if it is gone, empty or unfit for a header. The caller decides whether to go on with the old value.
    pub fn reread(&self) -> Result<Self, ConfigError> {
        self.reread_in(&process_environment)
    }

    fn reread_in(&self, environment: Environment<'_>) -> Result<Self, ConfigError> {
        let Some(origin) = &self.origin else {
            return Ok(self.clone());
        };
        let fetched = origin
            .reference
            .fetch(environment)
            .and_then(|text| check_header_text(&text).map(|()| text));
        match fetched {
            Ok(value) => Ok(Self {
                origin: self.origin.clone(),
                value: SecretString::from(value),
            }),
            Err(fault) => Err(ConfigError::Invalid {
                place: origin.position.clone(),
                problem: Box::new(ConfigErrorKind::Value {
                    key: origin.key,
                    fault,
                }),
            }),
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self
            .origin
            .as_ref()
            .map_or("plain", |origin| origin.reference.kind());
        write!(f, "Secret({kind})")
    }
}

/// Refuses what cannot travel in a header.
pub(super) fn check_header_text(text: &str) -> Result<(), Fault> {
    if text.is_empty() {
        return Err(Fault::Empty);
    }
    if text.chars().any(char::is_control) {
        return Err(Fault::ControlCharacter);
    }
    if text.is_ascii() {
        Ok(())
    } else {
        Err(Fault::NotAscii)
    }
}

/// Where a value is kept that the configuration does not hold itself.
#[derive(Clone, Debug)]
pub(super) enum ValueReference {
    Env(String),
    File(PathBuf),
    Credential(String),
}

/// More than any key or token; a wrong path (a database, a device) must not fill the memory.
const MAX_FILE_BYTES: u64 = 64 * 1024;

impl ValueReference {
    /// What `{ kind = "name" }` points to; `folder` is where relative files are looked for.
    pub(super) fn new(kind: &str, name: &str, folder: &Path) -> Result<Self, Fault> {
        match kind {
            "env" => Ok(Self::Env(name.to_owned())),
            "file" => Ok(Self::File(folder.join(name))),
            "credential" if is_file_name(name) => Ok(Self::Credential(name.to_owned())),
            "credential" => Err(Fault::CredentialName),
            _ => Err(Fault::Reference),
        }
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::Env(_) => "env",
            Self::File(_) => "file",
            Self::Credential(_) => "credential",
        }
    }

    /// The text that is kept there now; never empty.
    pub(super) fn fetch(&self, environment: Environment<'_>) -> Result<String, Fault> {
        match self {
            Self::Env(name) => read_variable(name, environment),
            Self::File(path) => read_small_file(path),
            Self::Credential(name) => match environment("CREDENTIALS_DIRECTORY") {
                Some(folder) if !folder.is_empty() => {
                    read_small_file(&Path::new(&folder).join(name))
                }
                _ => Err(Fault::NoCredentials { name: name.clone() }),
            },
        }
    }
}

/// A credential's name must not lead out of the directory that systemd made.
fn is_file_name(name: &str) -> bool {
    let mut parts = Path::new(name).components();
    matches!((parts.next(), parts.next()), (Some(Component::Normal(part)), None) if part == name)
}

fn read_variable(name: &str, environment: Environment<'_>) -> Result<String, Fault> {
    match environment(name).map(OsString::into_string) {
        Some(Ok(text)) if !text.is_empty() => Ok(text),
        Some(Err(_)) => Err(Fault::EnvNotText {
            name: name.to_owned(),
        }),
        _ => Err(Fault::EnvUnset {
            name: name.to_owned(),
        }),
    }
}

/// A small file's text without the line breaks at its end, which editors add.
fn read_small_file(path: &Path) -> Result<String, Fault> {
    let path = || path.to_owned();
    let mut bytes = Vec::new();
    File::open(path())
        .and_then(|file| file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes))
        .map_err(|cause| Fault::FileUnreadable {
            path: path(),
            cause,
        })?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(Fault::FileLarge { path: path() });
    }
    let text = String::from_utf8(bytes).map_err(|_| Fault::FileNotText { path: path() })?;
    match text.trim_end_matches(['\n', '\r']) {
        "" => Err(Fault::FileEmpty { path: path() }),
        trimmed => Ok(trimmed.to_owned()),
    }
}
