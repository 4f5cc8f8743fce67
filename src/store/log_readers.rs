//! The processes that read from the write-ahead log of an SQLite archive, and so keep it from being
//! emptied. Linux tells which process holds a lock.

use std::collections::BTreeSet;
use std::fs;
use std::ops::RangeInclusive;

/// The bytes of the `-shm` file that SQLite locks for as long as a transaction reads from the log.
const READ_LOCKS: RangeInclusive<u64> = 123..=127;

/// Returns the names of the other processes that read from the log, such as `process 4711 (sqlite3)`.
/// `inode` is that of the `-shm` file. Empty if the system does not tell, or if this process reads.
pub(super) fn log_readers(inode: u64) -> Vec<String> {
    let locks = fs::read_to_string("/proc/locks").unwrap_or_default();
    let pids = reading_pids(&locks, inode);
    let others = pids.into_iter().filter(|pid| *pid != std::process::id());
    others.map(process_name).collect()
}

/// Returns the processes with a read lock on the file, from the text of `/proc/locks`.
fn reading_pids(locks: &str, inode: u64) -> BTreeSet<u32> {
    locks
        .lines()
        .filter_map(|line| reader(line, inode))
        .collect()
}

/// Returns the process of a line like `1: POSIX  ADVISORY  READ 4711 08:01:12345 124 124`, if it
/// reads from the log. Another form, such as that of a lock that is waited for, is left out.
fn reader(line: &str, inode: u64) -> Option<u32> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let [_, "POSIX", _, "READ", pid, file, first, last] = fields.as_slice() else {
        return None;
    };
    let is_file = file.rsplit(':').next()?.parse() == Ok(inode);
    let last = last.parse().unwrap_or(u64::MAX);
    let is_read_lock =
        first.parse::<u64>().ok()? <= *READ_LOCKS.end() && *READ_LOCKS.start() <= last;
    (is_file && is_read_lock).then(|| pid.parse().ok())?
}

fn process_name(pid: u32) -> String {
    let command = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    match command.trim() {
        "" => format!("process {pid}"),
        command => format!("process {pid} ({command})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_with_a_read_lock_on_the_log_are_told_from_others() {
        let locks = "\
1: POSIX  ADVISORY  READ 4711 08:01:12345 124 124
2: POSIX  ADVISORY  READ 4712 08:01:12345 128 128
3: POSIX  ADVISORY  READ 4713 08:01:99999 124 124
4: POSIX  ADVISORY  WRITE 4714 08:01:12345 120 120
5: FLOCK  ADVISORY  WRITE 4715 08:01:12345 0 EOF
6: POSIX  ADVISORY  READ 4716 08:01:12345 126 128
6: -> POSIX  ADVISORY  READ 4717 08:01:12345 124 124
7: POSIX  ADVISORY  READ 4718 08:01:12345 0 EOF
8: OFDLCK ADVISORY  READ -1 08:01:12345 124 124
";
        assert_eq!(reading_pids(locks, 12345), [4711, 4716, 4718].into());
        assert_eq!(reading_pids("", 12345), [].into());
    }

    #[test]
    fn process_is_named_by_its_command() {
        let own = process_name(std::process::id());
        assert!(
            own.starts_with(&format!("process {} (", std::process::id())),
            "{own}"
        );
        assert_eq!(process_name(u32::MAX), format!("process {}", u32::MAX));
    }
}
