//! The memory that a process takes at most.

use std::process::{Command, Stdio};

use crate::support::env::{BACKSCROLL, TestEnv, wait_until};

/// Syncs until everything is archived, this many times at most. Returns the peak resident memory of
/// the processes in bytes.
#[track_caller]
pub(crate) fn peak_memory_of_syncs(env: &TestEnv, max_syncs: usize) -> u64 {
    let edge = env.settled_edge();
    let mut peak = 0;
    for _ in 0..max_syncs {
        let command = Command::new(BACKSCROLL)
            .args(["sync", "--config"])
            .arg(env.write_config())
            .current_dir(env.dir.path())
            .stdout(Stdio::null())
            .spawn();
        let mut child = command.unwrap();
        let mut status = None;
        wait_until("the end of the process", || {
            peak = peak.max(peak_memory_bytes(child.id()));
            status = child.try_wait().unwrap();
            status.is_some()
        });
        if status.unwrap().success() {
            break;
        }
    }
    env.assert_archive_equals_truth(edge);
    peak
}

/// The peak resident memory of a process in bytes; 0 if the system does not report it.
pub(crate) fn peak_memory_bytes(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let peak = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .unwrap_or_default();
    peak.trim()
        .trim_end_matches(" kB")
        .parse::<u64>()
        .unwrap_or(0)
        * 1024
}
