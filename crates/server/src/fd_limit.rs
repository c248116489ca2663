//! How many files the process may have open, and how many connections that leaves room for. A server that accepts until the
//! system refuses has no descriptor left for anything else.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the limit to what the system allows, as servers do: the lower one is for programs that can't count beyond 1,024.
/// Call it once, before anything is opened.
pub fn raise() {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        let raised = Rlimit {
            current: limit.maximum,
            maximum: limit.maximum,
        };
        // If the system refuses, the lower limit stays in force.
        let _ = setrlimit(Resource::Nofile, raised);
    }
}

/// How many files the process may have open.
pub fn open_files_max() -> usize {
    let limit = getrlimit(Resource::Nofile).current;
    limit.map_or(usize::MAX, |files| {
        usize::try_from(files).unwrap_or(usize::MAX)
    })
}

/// How many of so many files are left for connections beside others. With few files, connections get half of them.
pub fn room_for_connections(files: usize, others: usize) -> usize {
    files - others.min(files / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_room_for_everything_else() {
        assert_eq!(room_for_connections(4096, 512), 4096 - 512);
        assert_eq!(room_for_connections(256, 512), 128);
        assert_eq!(
            room_for_connections(usize::MAX, usize::MAX),
            usize::MAX / 2 + 1
        );
    }
}
