//! Starts and ends the log. Only the log's own thread (`log_writer.rs`) waits for standard output, and a running gateway writes
//! nothing to standard error.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::panic::PanicHookInfo;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anstream::{AutoStream, ColorChoice};
use tracing_subscriber::{EnvFilter, reload};

use crate::log_buffer::{LineFormat, Output};
use crate::log_line;
use crate::log_queue::LogClass;
use crate::log_writer;
use crate::logfmt::LogfmtEvents;

/// Maximum time for which the exit of the process waits until all lines are written. It is longer than a working reader needs for
/// all of them.
const FINISH_TIMEOUT: Duration = Duration::from_secs(2);

/// The log of this process, after its start.
static LOG: OnceLock<Output> = OnceLock::new();

/// The configuration of the log.
#[derive(Clone, Debug)]
pub struct LogConfig {
    /// An `EnvFilter` directive such as `info` or `chatgate=debug`.
    pub level: String,
    /// The format of the lines.
    pub format: LogFormat,
}

/// The format of the log's lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// A JSON object.
    Json,
    /// `name=value` pairs, for programs and people.
    Logfmt,
    /// Text for people.
    Text,
}

/// Starts the log on standard output. A second call in the same process does nothing.
///
/// # Errors
/// The level is invalid, or the system has no descriptor or thread for the log.
pub fn start_log(log: &LogConfig) -> Result<LogLevel, String> {
    let filter = filter(&log.level)?;
    // Colors are not written to a file or a pipe.
    let is_coloured = AutoStream::choice(&io::stdout()) != ColorChoice::Never;
    let form = match log.format {
        LogFormat::Json | LogFormat::Logfmt => LineFormat::Programs,
        LogFormat::Text => LineFormat::Text { is_coloured },
    };
    let output = Output::new(form);
    // Setting fails only if a log exists already, which happens only in tests.
    if LOG.set(output.clone()).is_ok() {
        let file = standard_output().map_err(|error| format!("standard output: {error}"))?;
        let started = log_writer::start(Arc::clone(&output.queue), file);
        started.map_err(|error| format!("the log's thread can't be started: {error}"))?;
        std::panic::set_hook(Box::new(log_panic));
    }
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        // Otherwise the subscriber would report write errors on standard error, and panic if that is closed as well.
        .log_internal_errors(false)
        .with_ansi(form == LineFormat::Text { is_coloured: true })
        .with_writer(output.clone());
    match log.format {
        LogFormat::Json => {
            log_line::write_for_programs(output, true);
            let lines = lines
                .json()
                .flatten_event(true)
                .with_current_span(false)
                .with_span_list(false)
                .with_filter_reloading();
            let handle = lines.reload_handle();
            let _ = lines.try_init();
            Ok(LogLevel(Box::new(move |filter| handle.reload(filter))))
        }
        LogFormat::Logfmt => {
            log_line::write_for_programs(output, false);
            let lines = lines.event_format(LogfmtEvents).with_filter_reloading();
            let handle = lines.reload_handle();
            let _ = lines.try_init();
            Ok(LogLevel(Box::new(move |filter| handle.reload(filter))))
        }
        LogFormat::Text => {
            let lines = lines.with_filter_reloading();
            let handle = lines.reload_handle();
            let _ = lines.try_init();
            Ok(LogLevel(Box::new(move |filter| handle.reload(filter))))
        }
    }
}

/// Returns another, unbuffered handle of standard output. If the descriptor was closed when the process started, it leads to
/// /dev/null. The standard library ensures that, so that none of our sockets or files is mistaken for standard output.
fn standard_output() -> io::Result<File> {
    Ok(io::stdout().as_fd().try_clone_to_owned()?.into())
}

/// Prints text for people, in sequence with the lines of the log.
pub fn print(text: &str) {
    if let Some(output) = LOG.get() {
        output.line(LogClass::Known, true).take(text.as_bytes());
    }
}

/// Waits until the log is written, at most `FINISH_TIMEOUT`. Returns the number of dropped lines.
pub async fn finish_log() -> u64 {
    let Some(output) = LOG.get() else { return 0 };
    let finishing = tokio::task::spawn_blocking(|| output.queue.finish(FINISH_TIMEOUT));
    finishing.await.unwrap_or(0)
}

/// Returns the number of dropped lines of this class.
pub(crate) fn dropped_lines(class: LogClass) -> u64 {
    LOG.get()
        .map_or(0, |log| log.queue.dropped()[class as usize])
}

/// Logs a panic. It is not written to standard error, because that may be a pipe that nobody reads, which would block a serving
/// thread.
fn log_panic(panic: &PanicHookInfo<'_>) {
    let location = panic.location().map(ToString::to_string);
    let backtrace = Backtrace::capture();
    let backtrace = (backtrace.status() == BacktraceStatus::Captured).then_some(backtrace);
    tracing::error!(
        target: "chatgate::defect",
        location,
        cause = panic.payload_as_str(),
        backtrace = backtrace.as_ref().map(tracing::field::display),
        "a thread panicked"
    );
}

/// The level of the log, which can be changed while the log is running.
pub struct LogLevel(Box<dyn Fn(EnvFilter) -> Result<(), reload::Error> + Send + Sync>);

impl LogLevel {
    /// Sets the level to this directive.
    ///
    /// # Errors
    /// The directive is invalid.
    pub fn set(&self, level: &str) -> Result<(), String> {
        (self.0)(filter(level)?).map_err(|error| format!("log.level: {error}"))
    }
}

fn filter(level: &str) -> Result<EnvFilter, String> {
    EnvFilter::try_new(level).map_err(|error| format!("log.level: {error}"))
}

/// Maximum length of `log.level`, in bytes: about a dozen modules.
const LOG_LEVEL_BYTES_MAX: usize = 512;

const LOG_LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// Checks a `log.level`: levels, and levels of modules, separated by commas. The filter itself accepts more, with bad effects: it
/// reads any other word as a module and then shows only that module's events, and it may need a second to parse an expression in
/// brackets.
///
/// # Errors
/// The reason.
pub fn check_level(text: &str) -> Result<String, String> {
    if text.len() > LOG_LEVEL_BYTES_MAX {
        return Err(format!("it is longer than {LOG_LEVEL_BYTES_MAX} bytes"));
    }
    let in_name = |b: u8| b.is_ascii_alphanumeric() || b"_:-".contains(&b);
    for part in text.split(',') {
        let (module, level) = part.rsplit_once('=').unwrap_or(("any", part));
        let is_right = !module.is_empty() && module.bytes().all(in_name);
        if !is_right
            || !LOG_LEVELS
                .iter()
                .any(|word| level.eq_ignore_ascii_case(word))
        {
            return Err(format!(
                "{part:?} is not off, error, warn, info, debug or trace; write the level of a module as forward=debug"
            ));
        }
    }
    let parsed = EnvFilter::try_new(text);
    parsed
        .map(|_| text.to_owned())
        .map_err(|error| error.to_string())
}
