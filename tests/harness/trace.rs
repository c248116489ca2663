//! Counts a process's writes to its connections by its system calls.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use super::process::Process;

/// strace, attached to a gateway.
pub(crate) struct Trace {
    process: Process,
    folder: TempDir,
}

impl Trace {
    /// What is missing if nothing can be traced.
    pub(crate) const NEEDS: &str = "Debian's package strace, or the right to trace a process";

    /// Attaches to a gateway. Returns `None` if strace is missing or this user may not trace.
    pub(crate) fn of(gateway: &Process) -> Option<Trace> {
        if !Path::new("/usr/bin/strace").exists() {
            return None;
        }
        let folder = TempDir::new().unwrap();
        let mut strace = Command::new("strace");
        strace.args(["-f", "-yy", "-e", "trace=write,writev,sendto,sendmsg", "-o"]);
        strace.arg(folder.path().join("calls"));
        strace.args(["-p", &gateway.id().to_string()]);
        let process = Process::of(strace, &[]);
        let said = process.wait_for("the trace", |line| line.starts_with("strace: "));
        said.contains(" attached")
            .then_some(Trace { process, folder })
    }

    /// Detaches and returns the number of writes to this server.
    pub(crate) fn written_to(self, server: SocketAddr) -> usize {
        self.process.signal("INT");
        let Trace { process, folder } = self;
        process.ended();
        let calls = std::fs::read_to_string(folder.path().join("calls")).unwrap();
        calls.matches(&format!("->{server}]")).count()
    }
}
