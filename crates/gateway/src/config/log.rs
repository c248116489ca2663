//! Reads the settings of the log: its level and its format.

use settings::Reader;
use telemetry::{LogConfig, LogFormat};

const FORMATS: [(&str, LogFormat); 3] = [
    ("json", LogFormat::Json),
    ("logfmt", LogFormat::Logfmt),
    ("text", LogFormat::Text),
];

pub(super) fn log(reader: &mut Reader<'_>) -> LogConfig {
    LogConfig {
        level: reader.text("log.level", "info", telemetry::check_level),
        format: reader.choice("log.format", "json", &FORMATS),
    }
}
