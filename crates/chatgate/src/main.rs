//! The binary `chatgate`: arguments in, exit code out.

mod args;
mod commands;

use std::process::ExitCode;

/// The system's allocator costs an eighth more instructions per request with this client.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    commands::run().await
}
