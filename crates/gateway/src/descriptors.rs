//! How many files the process may have open, and how many connections that leaves room for. Who accepts until the system
//! refuses has nothing left for the upstream, the store and the operators.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::config::Config;

/// Files besides connections: the store and its readers, the lock, logs, event queues, issuers' keys, a backup, and
/// connections that are closed but not gone yet.
const OWN_FILES: usize = 128;

/// Most connections of operators at once: people, a scraper, probes.
pub(crate) const OPERATORS_MAX: usize = 128;

/// Raises the limit to what the system allows, as servers do: the lower one stands there for programs that can't count
/// beyond 1,024. Call it once, before anything is opened.
pub(crate) fn raise() {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        let raised = Rlimit {
            current: limit.maximum,
            maximum: limit.maximum,
        };
        // Refused, the lower limit holds, and room is made within that.
        let _ = setrlimit(Resource::Nofile, raised);
    }
}

/// Most connections of callers that fit beside everything else, and no more than are configured.
pub(crate) fn connections_max(config: &Config) -> usize {
    let files = getrlimit(Resource::Nofile).current;
    let files = files.map_or(usize::MAX, |files| {
        usize::try_from(files).unwrap_or(usize::MAX)
    });
    let calls = config.upstream_limits.calls_max;
    // The embedded sandbox holds the other end of each connection as well.
    let is_sandbox = config.upstream.is_none();
    let upstream = if is_sandbox {
        calls.saturating_mul(2)
    } else {
        calls
    };
    let wanted = config.limits.connections;
    let fitting = wanted.min(fitting(files, upstream));
    if fitting < wanted {
        tracing::warn!(
            fitting,
            wanted,
            files,
            "limits.connections is more than the limit of open files leaves room for"
        );
    }
    fitting
}

/// Where files are few, half of them are for callers all the same.
fn fitting(files: usize, upstream: usize) -> usize {
    let kept = upstream.saturating_add(OWN_FILES + OPERATORS_MAX);
    files - kept.min(files / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_room_for_everything_else() {
        assert_eq!(fitting(4096, 256), 4096 - 256 - OWN_FILES - OPERATORS_MAX);
        assert_eq!(fitting(256, 256), 128);
        assert_eq!(fitting(usize::MAX, usize::MAX), usize::MAX / 2 + 1);
    }
}
