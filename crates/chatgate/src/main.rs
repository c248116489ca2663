//! The binary `chatgate`: runs the command of its arguments and returns an exit code.

mod args;
mod commands;

use std::process::ExitCode;
use std::time::Duration;

use tokio::runtime::Runtime;

/// mimalloc, because the system's allocator costs an eighth more instructions per request with the HTTP client of this gateway.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Maximum time for which the exit waits for threads that are blocked in a system call. All data has been stored by then, and a
/// file that does not answer must not block the exit.
const BLOCKED_GRACE: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let runtime = match Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return commands::failed(&format!("threads can't be started: {error}")),
    };
    let code = runtime.block_on(commands::run());
    runtime.shutdown_timeout(BLOCKED_GRACE);
    code
}
