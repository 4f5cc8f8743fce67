//! What a process has used, as Linux tells it. Elsewhere: nothing.

use std::time::Duration;

/// The clock tick of `/proc`: 100 a second on every Linux there is.
const TICK: Duration = Duration::from_millis(10);

/// What a process has used so far.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::cli) struct ProcessUsage {
    /// Time on a processor, its own and the kernel's for it.
    pub(in crate::cli) cpu: Duration,
    /// The most memory that was ever resident, in bytes.
    pub(in crate::cli) peak: u64,
}

impl ProcessUsage {
    /// Of this process.
    pub(in crate::cli) fn own() -> Self {
        Self::read("self").unwrap_or_default()
    }

    /// Of a process by its number, or `self`. Nothing once it has ended.
    pub(in crate::cli) fn read(process: impl std::fmt::Display) -> Option<Self> {
        let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
        let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
        // The name in parentheses may hold spaces; what follows it is counted from the third field on.
        let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
        let mut ticks = || fields.next()?.parse::<u32>().ok();
        let cpu = TICK * (ticks()? + ticks()?);
        let peak = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))?;
        let kib: u64 = peak.trim().trim_end_matches(" kB").parse().ok()?;
        Some(Self {
            cpu,
            peak: kib * 1024,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process_has_used_something() {
        assert!(ProcessUsage::own().peak > 1 << 20);
    }
}
