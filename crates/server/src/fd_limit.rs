//! How many files the process may have open, and how many connections that leaves room for. Who accepts until the system
//! refuses has nothing left for the upstream, the store and the operators.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the limit to what the system allows, as servers do: the lower one stands there for programs that can't count
/// beyond 1,024. Call it once, before anything is opened.
pub fn raise() {
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

/// How many connections fit beside so many other files, and no more than are wanted.
pub fn connections_that_fit(wanted: usize, others: usize) -> usize {
    let files = getrlimit(Resource::Nofile).current;
    let files = files.map_or(usize::MAX, |files| {
        usize::try_from(files).unwrap_or(usize::MAX)
    });
    let fitting = wanted.min(beside(others, files));
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

/// Where files are few, half of them are for connections all the same.
fn beside(others: usize, files: usize) -> usize {
    files - others.min(files / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_room_for_everything_else() {
        assert_eq!(beside(512, 4096), 4096 - 512);
        assert_eq!(beside(512, 256), 128);
        assert_eq!(beside(usize::MAX, usize::MAX), usize::MAX / 2 + 1);
    }
}
