//! Exit statuses: one table, the same in `docs/exit-status.md`.

use std::process::ExitCode;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ExitStatus {
    /// Done, or running.
    Done = 0,
    /// Failed.
    Failed = 1,
    /// Wrong usage.
    Usage = 2,
    /// Not running.
    NotRunning = 3,
    /// The lock is held and no daemon that can be proved answers.
    Unresponsive = 4,
    /// Running elsewhere, and not reachable from here.
    Elsewhere = 5,
    /// An incompatible version is running, and is busy or newer.
    Incompatible = 6,
    /// Already running (`daemon run`).
    AlreadyRunning = 7,
    /// Not started: held by `stop --hold`, or automatic starts are off.
    NotStarted = 8,
    /// The deadline passed while a start is still in progress.
    StartInProgress = 9,
}

impl ExitStatus {
    /// All of them, in order.
    pub const ALL: [Self; 10] = [
        Self::Done,
        Self::Failed,
        Self::Usage,
        Self::NotRunning,
        Self::Unresponsive,
        Self::Elsewhere,
        Self::Incompatible,
        Self::AlreadyRunning,
        Self::NotStarted,
        Self::StartInProgress,
    ];

    /// The number.
    pub fn code(self) -> u8 {
        self as u8
    }

    /// What it means, as `docs/exit-status.md` has it.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Done => "done, or running",
            Self::Failed => "failed; `doctor`: a check failed",
            Self::Usage => "usage",
            Self::NotRunning => {
                "not running (`status`, also under a hold; `logs` with neither log nor daemon)"
            }
            Self::Unresponsive => "the lock is held and no daemon that can be proved answers",
            Self::Elsewhere => "running elsewhere (other host, boot, namespace) and not reachable from here",
            Self::Incompatible => "incompatible version, busy or newer",
            Self::AlreadyRunning => "already running (`daemon run`)",
            Self::NotStarted => "not started: held by `stop --hold`, or `AILERON_NO_AUTOSTART`",
            Self::StartInProgress => "deadline passed while a start is still in progress",
        }
    }
}

impl From<ExitStatus> for ExitCode {
    fn from(status: ExitStatus) -> Self {
        Self::from(status.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_says_what_the_program_does() {
        let page = include_str!("../../../docs/exit-status.md");
        for status in ExitStatus::ALL {
            let row = format!("| {} | {} |", status.code(), status.meaning());
            assert!(page.contains(&row), "docs/exit-status.md lacks: {row}");
        }
        let rows =
            page.lines().filter(|line| line.starts_with("| ") && line.as_bytes()[2].is_ascii_digit()).count();
        assert_eq!(rows, ExitStatus::ALL.len(), "and nothing else");
    }
}
