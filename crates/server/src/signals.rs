//! How a process of ours is told to stop, and to read its files again, and which signals it outlives.

use rustix::process::Signal as Number;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// SIGTERM from a supervisor or SIGINT from a keyboard.
pub struct StopSignal {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignal {
    /// From here on neither signal ends the process at once. Listen before the address is told to anybody.
    ///
    /// # Errors
    /// When the system does not let us.
    pub fn listen() -> Result<StopSignal, String> {
        let listen = |kind| signal(kind).map_err(|error| format!("signals: {error}"));
        Ok(StopSignal {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
        })
    }

    /// Waits for the first of them.
    pub async fn wait(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// SIGHUP, which a supervisor sends for "read your files again".
pub struct ReloadSignal(Signal);

impl ReloadSignal {
    /// From here on the signal does not end the process.
    ///
    /// # Errors
    /// When the system does not let us.
    pub fn listen() -> Result<ReloadSignal, String> {
        signal(SignalKind::hangup())
            .map(ReloadSignal)
            .map_err(|error| format!("signals: {error}"))
    }

    /// Waits for it.
    pub async fn wait(&mut self) {
        self.0.recv().await;
    }
}

/// Signals by which the system ends every process that does not expect them, and that mean nothing here. A limit on the size
/// of files (SIGXFSZ) is an error of the write then, and the store deals with those.
const STRAY: [Number; 8] = [
    // While the gateway starts; later it is listened to.
    Number::HUP,
    Number::ALARM,
    Number::VTALARM,
    Number::PROF,
    Number::IO,
    Number::POWER,
    Number::STKFLT,
    Number::XFSZ,
];

/// The real-time signals of Linux. The C library keeps some of the first for itself and refuses them.
const REAL_TIME: std::ops::RangeInclusive<i32> = 34..=64;

/// From here on no signal ends the process but those that are meant to: SIGTERM and SIGINT in order, SIGQUIT, SIGKILL and
/// those of a crash at once. SIGUSR1 and SIGUSR2, which a log rotation may send, are a line in the log.
///
/// # Errors
/// When the system does not let us.
pub fn outlive_stray_signals() -> Result<(), String> {
    let listen = |kind| signal(kind).map_err(|error| format!("signals: {error}"));
    let mut first = listen(SignalKind::user_defined1())?;
    let mut second = listen(SignalKind::user_defined2())?;
    // Who has listened once is not ended any more, even if nobody listens now.
    for number in STRAY {
        let _ = listen(SignalKind::from_raw(number.as_raw()))?;
    }
    for number in REAL_TIME {
        let _ = signal(SignalKind::from_raw(number));
    }
    tokio::spawn(async move {
        loop {
            let name = tokio::select! {
                _ = first.recv() => "SIGUSR1",
                _ = second.recv() => "SIGUSR2",
            };
            tracing::info!(
                signal = name,
                "this signal changes nothing: the log goes to standard output and has no file to open again; SIGHUP reads the \
                 configuration"
            );
        }
    });
    Ok(())
}
