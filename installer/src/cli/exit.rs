//! Exit codes, the only place that lists them.
//!
//! | Code | Meaning |
//! |---|---|
//! | 0 | done |
//! | 1 | failed |
//! | 2 | `install --dry-run --exit-code`: something would change |
//! | 64 | wrong command line |
//! | 65 | a setting is not valid |
//! | 69 | the cluster cannot be reached |
//! | 75 | another command is changing the installation; try again later |
//! | 77 | a right is missing |
//! | 79 | a check has findings |
//! | 124 | the time limit was reached |
//! | 130 | interrupted; running the same command again resumes |
//! | 143 | terminated, as 130 |

use std::process::ExitCode;

/// How a run ended. The numbers follow `sysexits.h` and coreutils.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub enum Exit {
    /// Done.
    Success = 0,
    /// Failed for a reason without a code of its own.
    Failed = 1,
    /// A dry run found something to change, and was told to say so.
    Changes = 2,
    /// Wrong command line.
    Usage = 64,
    /// A setting is not valid.
    Config = 65,
    /// The cluster cannot be reached.
    Unreachable = 69,
    /// Another command is changing the installation.
    Busy = 75,
    /// A right is missing.
    Forbidden = 77,
    /// A check has findings.
    Findings = 79,
    /// The time limit was reached.
    Timeout = 124,
    /// Interrupted by the user.
    Interrupted = 130,
    /// Ended from outside by SIGTERM.
    Terminated = 143,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
