//! The configuration that is read if none is named.

use std::path::{Path, PathBuf};

use super::error::ConfigError;
use super::secret::{Environment, process_environment};

/// Returns the configuration to read: the named one, or the first that exists of `config.toml` in
/// the working directory, `backscroll/config.toml` in the user's configuration folder
/// (`$XDG_CONFIG_HOME`, or else `~/.config`), and `/etc/backscroll/config.toml`.
///
/// Errors if none is named and none exists.
pub fn find_config(named: Option<PathBuf>) -> Result<PathBuf, ConfigError> {
    match named.filter(|path| !path.as_os_str().is_empty()) {
        Some(path) => Ok(path),
        None => first_existing(candidates(&process_environment)),
    }
}

/// Returns the first path at which there is anything. A file that cannot be read is not passed over.
fn first_existing(paths: Vec<PathBuf>) -> Result<PathBuf, ConfigError> {
    let found = paths
        .iter()
        .find(|path| path.try_exists().unwrap_or(true))
        .cloned();
    found.ok_or(ConfigError::NotFound { paths })
}

fn candidates(environment: Environment<'_>) -> Vec<PathBuf> {
    // The XDG specification says to ignore relative paths.
    let absolute = |name| {
        let folder = environment(name).map(PathBuf::from);
        folder.filter(|folder| folder.is_absolute())
    };
    let of_user =
        absolute("XDG_CONFIG_HOME").or_else(|| absolute("HOME").map(|home| home.join(".config")));
    let folders = of_user.into_iter().chain([PathBuf::from("/etc")]);
    let installed = folders.map(|folder| folder.join(Path::new("backscroll/config.toml")));
    [PathBuf::from("config.toml")]
        .into_iter()
        .chain(installed)
        .collect()
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;

    fn listed(variables: &[(&str, &str)]) -> Vec<String> {
        let environment = |name: &str| {
            let variable = variables.iter().find(|(key, _)| *key == name);
            variable.map(|(_, value)| OsString::from(value))
        };
        let paths = candidates(&environment).into_iter();
        paths.map(|path| path.display().to_string()).collect()
    }

    #[test]
    fn working_directory_comes_first_then_the_user_then_the_system() {
        let both = listed(&[("XDG_CONFIG_HOME", "/x"), ("HOME", "/home/me")]);
        let system = "/etc/backscroll/config.toml";
        assert_eq!(both, ["config.toml", "/x/backscroll/config.toml", system]);
        for variables in [
            &[("HOME", "/home/me")][..],
            &[("XDG_CONFIG_HOME", ""), ("HOME", "/home/me")],
            &[("XDG_CONFIG_HOME", "relative"), ("HOME", "/home/me")],
        ] {
            let paths = listed(variables);
            let of_user = "/home/me/.config/backscroll/config.toml";
            assert_eq!(paths, ["config.toml", of_user, system], "{variables:?}");
        }
        assert_eq!(listed(&[]), ["config.toml", system]);
    }
}
