//! The maximum number of open files of the process, and the number of connections that fit into it. A server that accepts
//! connections until the system fails has no descriptor left for anything else.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the limit on open files to the maximum that the system allows, as servers do. The lower default is meant for programs
/// that cannot handle descriptors above 1,024. Call it once, before the process opens any file.
pub fn raise() {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        let raised = Rlimit {
            current: limit.maximum,
            maximum: limit.maximum,
        };
        // If the system does not allow it, the lower limit stays.
        let _ = setrlimit(Resource::Nofile, raised);
    }
}

/// Returns the maximum number of files that the process may have open.
pub fn open_files_max() -> usize {
    let limit = getrlimit(Resource::Nofile).current;
    limit.map_or(usize::MAX, |files| {
        usize::try_from(files).unwrap_or(usize::MAX)
    })
}

/// Returns the number of files that remain for connections when `others` are needed for other purposes. If there are few files,
/// connections get half of them.
pub fn room_for_connections(files: usize, others: usize) -> usize {
    files - others.min(files / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_file_descriptors_for_other_uses() {
        assert_eq!(room_for_connections(4096, 512), 4096 - 512);
        assert_eq!(room_for_connections(256, 512), 128);
        assert_eq!(
            room_for_connections(usize::MAX, usize::MAX),
            usize::MAX / 2 + 1
        );
    }
}
