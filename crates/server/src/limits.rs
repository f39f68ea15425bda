//! Limits that will end or choke the daemon one day, said in its log while there is still one.
//!
//! A launched daemon has its soft limits raised by its launcher; what is low here is a hard limit, or that of a daemon in the
//! foreground, whose service manager may mean it. Either way nothing is changed, and nobody has to guess later.

/// Descriptors for every connection that is served at once, and some for files.
const DESCRIPTORS: u64 = crate::connections::MOST as u64 + 64;

/// Address space for two stacks, a heap and an embedder's modest work.
const MEMORY: u64 = 256 * 1024 * 1024;

/// What the process may use in all; `None`: as much as there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Seconds of CPU time, for its whole life.
    pub(crate) cpu: Option<u64>,
    /// Bytes in one file.
    pub(crate) file_size: Option<u64>,
    /// Open descriptors.
    pub(crate) descriptors: Option<u64>,
    /// Bytes of address space or data, whichever is less.
    pub(crate) memory: Option<u64>,
}

impl Limits {
    /// The low ones, in words; `log_max_size` is what the log may grow to, in bytes.
    pub(crate) fn low(&self, log_max_size: u64) -> Vec<String> {
        let below = |limit: Option<u64>, enough| limit.filter(|limit| *limit < enough);
        let cpu = self.cpu.map(|limit| format!("{limit} s of CPU time (ulimit -t), then it is killed"));
        let file_size = below(self.file_size, log_max_size)
            .map(|limit| format!("{limit} bytes in a file (ulimit -f), so the log is rotated early"));
        let descriptors = below(self.descriptors, DESCRIPTORS)
            .map(|limit| format!("{limit} descriptors (ulimit -n) for {} connections", DESCRIPTORS - 64));
        let memory =
            below(self.memory, MEMORY).map(|limit| format!("{limit} bytes of memory (ulimit -v, -d)"));
        [cpu, file_size, descriptors, memory].into_iter().flatten().collect()
    }

    /// The size at which a log is rotated, in bytes: below the largest file there may be, or it would be full for ever.
    pub(crate) fn log_size(&self, configured: u64) -> u64 {
        self.file_size.map_or(configured, |limit| configured.min(limit / 2))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: u64 = 10 << 20;

    #[test]
    fn enough_is_not_worth_a_word() {
        assert!(Limits::default().low(LOG).is_empty());
        let enough =
            Limits { cpu: None, file_size: Some(LOG), descriptors: Some(DESCRIPTORS), memory: Some(MEMORY) };
        assert!(enough.low(LOG).is_empty());
    }

    #[test]
    fn each_low_limit_is_named_with_the_way_to_set_it() {
        let low = Limits { cpu: Some(60), file_size: Some(4096), descriptors: Some(64), memory: Some(1) };
        let said = low.low(LOG);
        assert_eq!(said.len(), 4);
        for (said, words) in said.iter().zip(["60 s", "4096 bytes", "64 descriptors", "1 bytes"]) {
            assert!(said.contains(words) && said.contains("ulimit"), "{said}");
        }
    }

    #[test]
    fn a_log_is_rotated_before_its_file_is_full() {
        assert_eq!(Limits::default().log_size(LOG), LOG);
        assert_eq!(Limits { file_size: Some(1 << 20), ..Limits::default() }.log_size(LOG), 1 << 19);
        assert_eq!(Limits { file_size: Some(1 << 40), ..Limits::default() }.log_size(LOG), LOG);
    }
}
