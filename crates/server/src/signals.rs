//! The signals that stop a process, the one that makes it read its files again, and those that it survives.

use rustix::process::Signal as Number;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// SIGTERM from a supervisor or SIGINT from a keyboard.
pub struct StopSignal {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignal {
    /// Keeps both signals from ending the process at once. Call it before the address is printed.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn listen() -> Result<StopSignal, String> {
        let listen = |kind| signal(kind).map_err(|error| format!("signals: {error}"));
        Ok(StopSignal {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
        })
    }

    /// Waits for one of the two signals.
    pub async fn wait(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// SIGHUP, by which a supervisor asks the process to read its files again.
pub struct ReloadSignal(Signal);

impl ReloadSignal {
    /// Keeps the signal from ending the process.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn listen() -> Result<ReloadSignal, String> {
        signal(SignalKind::hangup())
            .map(ReloadSignal)
            .map_err(|error| format!("signals: {error}"))
    }

    /// Waits for the signal.
    pub async fn wait(&mut self) {
        self.0.recv().await;
    }
}

/// Signals that have no meaning here, and that end every process that does not handle them. Once SIGXFSZ is handled, a write
/// beyond the limit on the size of files returns an error.
const STRAY: [Number; 8] = [
    // ReloadSignal listens to it later.
    Number::HUP,
    Number::ALARM,
    Number::VTALARM,
    Number::PROF,
    Number::IO,
    Number::POWER,
    Number::STKFLT,
    Number::XFSZ,
];

/// The real-time signals of Linux. The C library reserves some of the first, and refuses handlers of them.
const REAL_TIME: std::ops::RangeInclusive<i32> = 34..=64;

/// Makes the process survive all signals but those that are meant to end it: SIGTERM and SIGINT by a shutdown, SIGQUIT,
/// SIGKILL and those of a crash at once. SIGUSR1 and SIGUSR2, which log rotations send, are logged.
///
/// # Errors
/// When the system refuses.
pub fn outlive_stray_signals() -> Result<(), String> {
    let listen = |kind| signal(kind).map_err(|error| format!("signals: {error}"));
    let mut first = listen(SignalKind::user_defined1())?;
    let mut second = listen(SignalKind::user_defined2())?;
    // The handler stays when the listener is dropped.
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
