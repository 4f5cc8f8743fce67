//! The archive that a reader's command reads: that of the configuration, or another.

use std::path::PathBuf;

use super::error::CliError;
use crate::config::{Config, DatabaseUrl};

/// The flag that names an archive.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct ArchiveArgs {
    /// Archive to read, in place of that of a configuration, which is then not needed: the path of an
    /// SQLite file, `sqlite://PATH` or `postgres://…`. A password belongs in `PGPASSWORD`, in `~/.pgpass`
    /// or in the variable
    #[arg(
        long,
        value_name = "URL",
        env = "BACKSCROLL_DATABASE",
        hide_env_values = true
    )]
    database: Option<String>,
}

/// The archive of a command that reads.
#[derive(Debug)]
pub(super) struct ArchiveToRead {
    pub(super) url: DatabaseUrl,
    /// The configuration; `None` if a flag names the archive.
    pub(super) config: Option<Config>,
}

impl ArchiveArgs {
    /// Returns the archive that the flag names, or else that of the configuration, which is loaded
    /// only then. A relative path starts at the working directory.
    pub(super) fn find(
        &self,
        load: impl FnOnce() -> Result<Config, CliError>,
    ) -> Result<ArchiveToRead, CliError> {
        let Some(name) = &self.database else {
            let config = load()?;
            return Ok(ArchiveToRead {
                url: config.database.url.clone(),
                config: Some(config),
            });
        };
        let url = match name.as_str() {
            "" => "sqlite:".parse(),
            url if url.contains(':') => url.parse(),
            path => Ok(DatabaseUrl::Sqlite(PathBuf::from(path))),
        };
        let url = url.map_err(|error| CliError::Usage(format!("--database {error}")))?;
        Ok(ArchiveToRead { url, config: None })
    }
}
