//! Handles the signals that stop the process, the signal that reloads its files, and the signals that it has to survive.

use rustix::process::Signal as Number;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// SIGTERM from a supervisor or SIGINT from a keyboard.
pub struct StopSignal {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignal {
    /// Keeps both signals from ending the process immediately. Call it before the address is printed.
    ///
    /// # Errors
    /// When the system does not allow it.
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

/// SIGHUP, with which a supervisor asks the process to read its files again.
pub struct ReloadSignal(Signal);

impl ReloadSignal {
    /// Keeps the signal from ending the process.
    ///
    /// # Errors
    /// When the system does not allow it.
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

/// Signals that have no meaning for this process, but end every process that does not handle them. With a handler for SIGXFSZ, a
/// write beyond the limit on file size returns an error instead.
const STRAY: [Number; 8] = [
    // `ReloadSignal` listens for it later.
    Number::HUP,
    Number::ALARM,
    Number::VTALARM,
    Number::PROF,
    Number::IO,
    Number::POWER,
    Number::STKFLT,
    Number::XFSZ,
];

/// The real-time signals of Linux. The C library reserves some of the first ones and rejects handlers for them.
const REAL_TIME: std::ops::RangeInclusive<i32> = 34..=64;

/// Makes the process survive all signals except those that are meant to end it. SIGTERM and SIGINT end it by a shutdown; SIGQUIT,
/// SIGKILL and the signals of a crash end it immediately. SIGUSR1 and SIGUSR2, which log rotation tools send, are logged.
///
/// # Errors
/// When the system does not allow it.
pub fn ignore_stray_signals() -> Result<(), String> {
    let listen = |kind| signal(kind).map_err(|error| format!("signals: {error}"));
    let mut first = listen(SignalKind::user_defined1())?;
    let mut second = listen(SignalKind::user_defined2())?;
    // The handler stays installed when the listener is dropped.
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
                "this signal has no effect: the log goes to standard output, so there is no file to reopen; SIGHUP reloads the \
                 configuration"
            );
        }
    });
    Ok(())
}
