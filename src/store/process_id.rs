//! The name of this process, as shown to the operator of another one.

use std::path::Path;

use crate::domain::time::Millis;

/// Returns a description of this process:
/// `process 4711 on buster, since 2026-11-25T18:00:00.000Z`.
pub fn describe_this_process(since: Millis) -> String {
    format!(
        "process {} on {}, since {since}",
        std::process::id(),
        host_name()
    )
}

/// Returns the name of this machine, or `this machine` if the system does not tell it.
fn host_name() -> String {
    for path in ["/proc/sys/kernel/hostname", "/etc/hostname"] {
        let text = std::fs::read_to_string(Path::new(path)).unwrap_or_default();
        let name = text.trim();
        if !name.is_empty() {
            return name.to_owned();
        }
    }
    "this machine".to_owned()
}
