//! The errors of all commands.

use std::io::Write as _;

#[cfg(feature = "sandbox")]
use super::scratch::ScratchError;
use crate::alerts::WebhookError;
use crate::config::ConfigError;
use crate::daemon::ScheduleError;
use crate::domain::format::sanitized_lines;
use crate::proof::manifest::ManifestError;
use crate::provider::ClientSetupError;
use crate::reader::FilterError;
use crate::reader::export::ExportError;
#[cfg(feature = "sandbox")]
use crate::sandbox::SandboxError;
use crate::store::StoreError;
use crate::store::copy::CopyError;

/// The error of a command that could not do its work.
#[derive(Debug, thiserror::Error)]
pub(super) enum CliError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("{0}")]
    Usage(String),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Copy(#[from] CopyError),
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    #[error(transparent)]
    Filter(#[from] FilterError),
    #[error(transparent)]
    Export(#[from] ExportError),
    #[error(transparent)]
    Client(#[from] ClientSetupError),
    #[error(transparent)]
    Schedule(#[from] ScheduleError),
    #[error(transparent)]
    Webhook(#[from] WebhookError),
    #[error(transparent)]
    #[cfg(feature = "sandbox")]
    Sandbox(#[from] SandboxError),
    #[error(transparent)]
    #[cfg(feature = "sandbox")]
    Scratch(#[from] ScratchError),
    /// A query has no complete result.
    #[error("{0}")]
    Query(String),
    #[error("standard output cannot be written: {0}")]
    Output(std::io::Error),
    #[error("{0}")]
    System(#[from] std::io::Error),
}

impl CliError {
    /// Prints the messages and the remedy to standard error.
    pub(super) fn print(&self) {
        // An error is ignored: there is no other place to report it.
        let mut stderr = std::io::stderr();
        for message in self.messages() {
            let _ = writeln!(stderr, "error: {}", sanitized_lines(&message));
        }
        if let Some(hint) = self.hint() {
            let _ = writeln!(stderr, "  hint: {hint}");
        }
    }

    /// Returns the messages: several for a configuration with several mistakes.
    pub(super) fn messages(&self) -> Vec<String> {
        match self {
            Self::Config(error) => error.messages(),
            other => vec![other.to_string()],
        }
    }

    /// Returns the remedy; `None` if the message contains it or there is none.
    pub(super) fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Store(error) | Self::Filter(FilterError::Store(error)) => Some(error.hint()),
            Self::Copy(error) => Some(error.hint()),
            Self::Manifest(error) => Some(error.hint()),
            Self::Export(error) => Some(error.hint()),
            #[cfg(feature = "sandbox")]
            Self::Scratch(error) => error.hint(),
            // The message of each of these contains its remedy, or there is none.
            Self::Config(_)
            | Self::Usage(_)
            | Self::Filter(FilterError::UnknownName { .. })
            | Self::Query(_)
            | Self::Client(_)
            | Self::Schedule(_)
            | Self::Webhook(_)
            | Self::Output(_)
            | Self::System(_) => None,
            #[cfg(feature = "sandbox")]
            Self::Sandbox(_) => None,
        }
    }

    /// Returns the exit status: 2 for an error in the configuration or the command line, 1
    /// otherwise.
    pub(super) fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_)
            | Self::Usage(_)
            | Self::Filter(FilterError::UnknownName { .. })
            | Self::Store(StoreError::OtherIdentity { .. }) => 2,
            #[cfg(feature = "sandbox")]
            Self::Scratch(error) if error.is_usage() => 2,
            _ => 1,
        }
    }
}
