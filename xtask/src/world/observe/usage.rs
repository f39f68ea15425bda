//! What a process uses: memory, time, threads, descriptors, as procfs has it.

use std::fs;

use anyhow::{Context, Result};

use super::threads::threads;

/// At one moment; what is counted is counted since the process began.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Usage {
    /// kB of 1,024 bytes, as the kernel counts: resident, its share of what is shared, and what no file stands behind.
    pub(crate) resident_kb: u64,
    pub(crate) proportional_kb: u64,
    pub(crate) anonymous_kb: u64,
    pub(crate) threads: usize,
    pub(crate) descriptors: usize,
    /// Voluntary context switches are wake-ups: each thread had gone to sleep.
    pub(crate) voluntary: u64,
    pub(crate) involuntary: u64,
    /// Time on a processor: in clock ticks, as it is charged, and in microseconds, as the scheduler counts it.
    pub(crate) ticks: u64,
    pub(crate) cpu_us: f64,
}

/// Of a process of ours, which is alive.
pub(crate) fn usage(pid: u32) -> Result<Usage> {
    let rollup = read(pid, "smaps_rollup")?;
    let field = |name: &str| {
        let value = rollup.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let number = value.and_then(|value| value.trim().trim_end_matches(" kB").parse().ok());
        number.with_context(|| format!("the memory map of process {pid} has no `{name}`"))
    };
    let threads = threads(pid)?;
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd"))
        .with_context(|| format!("cannot list the descriptors of process {pid}"))?
        .count();
    let charged = ticks(&read(pid, "stat")?);
    Ok(Usage {
        resident_kb: field("Rss")?,
        proportional_kb: field("Pss")?,
        anonymous_kb: field("Anonymous")?,
        threads: threads.len(),
        descriptors,
        voluntary: threads.iter().map(|thread| thread.voluntary).sum(),
        involuntary: threads.iter().map(|thread| thread.involuntary).sum(),
        ticks: charged.with_context(|| format!("cannot understand the account of process {pid}"))?,
        cpu_us: cpu_us(pid)?,
    })
}

/// Microseconds on a processor, of all threads that live (`/proc/PID/task/TID/schedstat`: nanoseconds first).
pub(crate) fn cpu_us(pid: u32) -> Result<f64> {
    let mut micros = 0.0;
    for thread in threads(pid)? {
        let text = read(pid, &format!("task/{}/schedstat", thread.id))?;
        let nanos: Option<f64> = text.split_whitespace().next().and_then(|number| number.parse().ok());
        micros += nanos.with_context(|| format!("the scheduler tells nothing of process {pid}"))? / 1e3;
    }
    Ok(micros)
}

/// User and system time: columns 14 and 15 of `proc_pid_stat(5)`, the twelfth and thirteenth after the command's name.
fn ticks(stat: &str) -> Option<u64> {
    let columns: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let (user, system): (u64, u64) = (columns.get(11)?.parse().ok()?, columns.get(12)?.parse().ok()?);
    Some(user + system)
}

fn read(pid: u32, name: &str) -> Result<String> {
    let path = format!("/proc/{pid}/{name}");
    fs::read_to_string(&path).with_context(|| format!("cannot read `{path}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_user_and_system_time() {
        let line = "42 (a) b (c) S 7 42 42 0 -1 4194560 1 0 0 0 5 9 100 100 20 0 1 0 9876 1 1";
        assert_eq!(ticks(line), Some(14));
        assert_eq!(ticks("no line"), None);
    }

    #[test]
    fn what_is_anonymous_is_resident_and_what_is_shared_counts_in_part() {
        let pid = std::process::id();
        let before = usage(pid).expect("readable");
        // Far more than what other tests of this process may give back meanwhile.
        let filled = vec![7_u8; 128 << 20];
        let after = usage(pid).expect("readable");
        assert!(after.anonymous_kb >= before.anonymous_kb + 64 * 1024, "{before:?} {after:?} {}", filled[9]);
        assert!(after.anonymous_kb <= after.resident_kb && after.proportional_kb <= after.resident_kb);
        assert!(after.threads > 0 && after.descriptors > 2 && after.cpu_us > 0.0);
    }
}
