//! The log: its level and its format.

use settings::Reader;
use telemetry::LogConfig;

pub(super) fn log(reader: &mut Reader<'_>) -> LogConfig {
    LogConfig {
        level: reader.text("log.level", "info", telemetry::check_level),
        json: reader.choice("log.format", "json", &[("json", true), ("text", false)]),
    }
}
