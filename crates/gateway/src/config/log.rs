//! The log: its level and its format.

use settings::Reader;

/// The log.
#[derive(Clone, Debug)]
pub struct LogConfig {
    /// An `EnvFilter` directive such as `info` or `chatgate=debug`.
    pub level: String,
    /// Whether a line is a JSON object; otherwise it is text for a person.
    pub json: bool,
}

pub(super) fn log(reader: &mut Reader<'_>) -> LogConfig {
    LogConfig {
        level: reader.text("log.level", "info", log_level),
        json: reader.choice("log.format", "json", &[("json", true), ("text", false)]),
    }
}

/// Longest `log.level`, in bytes: a dozen modules.
const LOG_LEVEL_BYTES_MAX: usize = 512;

const LOG_LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// Levels, and levels of modules, separated by commas. The filter would accept more: it takes any other word for a module, and
/// would then show everything of that module and nothing else, and an expression in brackets can take it a second to read.
fn log_level(text: &str) -> Result<String, String> {
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
                "{part:?} is none of off, error, warn, info, debug, trace; a module's level is written as forward=debug"
            ));
        }
    }
    let parsed = tracing_subscriber::EnvFilter::try_new(text);
    parsed
        .map(|_| text.to_owned())
        .map_err(|error| error.to_string())
}
