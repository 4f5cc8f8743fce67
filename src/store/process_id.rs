//! Who holds an archive or an account, in words that let a person find them.

use std::path::Path;

use crate::domain::time::Millis;

/// This process, as others are to be told of it: `process 4711 on buster, since 2026-11-25T18:00:00.000Z`.
pub fn describe_this_process(since: Millis) -> String {
    format!(
        "process {} on {}, since {since}",
        std::process::id(),
        host_name()
    )
}

/// What this machine is called, where it says.
fn host_name() -> String {
    let told = [
        Path::new("/proc/sys/kernel/hostname"),
        Path::new("/etc/hostname"),
    ]
    .into_iter();
    let mut names = told.filter_map(|path| std::fs::read_to_string(path).ok());
    names
        .find(|name| !name.trim().is_empty())
        .map_or("this machine".to_owned(), |name| name.trim().to_owned())
}
