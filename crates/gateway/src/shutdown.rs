//! How a process of ours is told to stop, and to read its files again.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// SIGTERM from a supervisor or SIGINT from a keyboard.
pub(crate) struct StopSignal {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignal {
    /// From here on neither signal ends the process at once. Listen before the address is told to anybody.
    ///
    /// # Errors
    /// When the system does not let us.
    pub(crate) fn listen() -> Result<StopSignal, String> {
        let listen = |kind| signal(kind).map_err(|error| format!("signals: {error}"));
        Ok(StopSignal {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
        })
    }

    /// Waits for the first of them.
    pub(crate) async fn wait(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// SIGHUP, which a supervisor sends for "read your files again".
pub(crate) struct ReloadSignal(Signal);

impl ReloadSignal {
    /// From here on the signal does not end the process.
    ///
    /// # Errors
    /// When the system does not let us.
    pub(crate) fn listen() -> Result<ReloadSignal, String> {
        signal(SignalKind::hangup())
            .map(ReloadSignal)
            .map_err(|error| format!("signals: {error}"))
    }

    /// Waits for it.
    pub(crate) async fn wait(&mut self) {
        self.0.recv().await;
    }
}
