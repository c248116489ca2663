//! The table of all metrics. Each metric is registered from its row, so that scrapes and documentation agree.

use prometheus_client::metrics::MetricType;

/// The kind of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    /// A value that only increases, except at a restart.
    Counter,
    /// A value that increases and decreases.
    Gauge,
    /// Durations, counted by upper bounds.
    Histogram,
    /// The value 1, with information in its labels.
    Info,
}

/// One metric.
#[derive(Clone, Copy, Debug)]
pub struct MetricRow {
    /// The name in a scrape. The series of a histogram add `_bucket`, `_sum` and `_count`.
    pub name: &'static str,
    /// The kind of the metric.
    pub kind: MetricKind,
    /// The names of the labels.
    pub labels: &'static [&'static str],
    /// The meaning of the value.
    pub help: &'static str,
    /// The condition under which the metric exists; empty if it always does.
    pub only: &'static str,
}

impl MetricRow {
    /// Returns the name without the suffix that the format adds to counters and infos.
    pub(crate) fn base(&self) -> &'static str {
        let ending = match self.kind {
            MetricKind::Counter => "_total",
            MetricKind::Info => "_info",
            MetricKind::Gauge | MetricKind::Histogram => "",
        };
        self.name.strip_suffix(ending).unwrap_or(self.name)
    }

    pub(crate) fn metric_type(&self) -> MetricType {
        match self.kind {
            MetricKind::Counter => MetricType::Counter,
            MetricKind::Gauge => MetricType::Gauge,
            MetricKind::Histogram => MetricType::Histogram,
            MetricKind::Info => MetricType::Info,
        }
    }
}

/// Declares the metrics, one per row: name, kind, labels, meaning, and the condition under which the metric exists.
macro_rules! metrics {
    ($($kind:ident $name:literal $labels:tt $help:literal $($only:literal)?;)*) => {
        /// All metrics, in the order of the documentation.
        pub const METRICS: &[MetricRow] = &[$(MetricRow {
            name: $name,
            kind: MetricKind::$kind,
            labels: &$labels,
            help: $help,
            only: concat!($($only)?),
        },)*];
    };
}

metrics! {
    Counter "chatgate_requests_total" ["way", "method", "access", "outcome", "code"] "Requests answered; the busiest accesses by name, all others together as (other)";
    Histogram "chatgate_request_duration_seconds" ["way", "method"] "Time from the head of a request to its answer";
    Gauge "chatgate_inflight_requests" [] "Requests under way";
    Gauge "chatgate_event_streams" [] "Streams of events, and calls that wait for one";
    Counter "chatgate_denied_total" ["reason"] "Requests refused by the gateway itself, by code";
    Counter "chatgate_would_deny_total" [] "Requests that a rule which only reports would have refused";
    Counter "chatgate_deliveries_total" ["delivery"] "Answers to sends, by what is known of the delivery";
    Counter "chatgate_cache_requests_total" ["result"] "Answers of reads, by what the cache had to do with them";
    Gauge "chatgate_accesses" [] "Accesses in the store";

    Histogram "chatgate_upstream_duration_seconds" ["method"] "Time from asking the upstream to its answer";
    Counter "chatgate_upstream_attempts_total" ["method"] "Times that the upstream was asked";
    Counter "chatgate_upstream_account_refusals_total" [] "Calls that failed because the upstream refused the gateway's own account";
    Gauge "chatgate_upstream_endpoints" ["state"] "Endpoints of the upstream that are in use, or resting because they keep failing";
    Gauge "chatgate_upstream_limit" [] "Most calls at once, as the upstream takes them now";
    Gauge "chatgate_upstream_calls" [] "Calls under way to the upstream";
    Gauge "chatgate_upstream_waiting" [] "Calls that wait for a place among them";

    Gauge "chatgate_webhooks" ["state"] "Webhooks by state: active, resting while their receivers fail, paused, or disabled";
    Counter "chatgate_webhook_attempts_total" ["outcome"] "Deliveries attempted by this process, by what came of them";
    Gauge "chatgate_webhook_unsettled" [] "Deliveries that this process has not settled";
    Gauge "chatgate_webhook_oldest_seconds" [] "How long ago the oldest of them happened";
    Gauge "chatgate_webhook_lost" [] "Times that events of a webhook went from the log before they were sent";

    Gauge "chatgate_store_failing" [] "Whether the store can't be written right now";
    Counter "chatgate_store_failovers_total" [] "Times that another server took the place of the database's";
    Gauge "chatgate_store_bytes" [] "Size of the store on disk, its write-ahead log included" "store in a file";
    Gauge "chatgate_disk_size_bytes" [] "Size of the file system that the store is on" "store in a file";
    Gauge "chatgate_disk_free_bytes" [] "What of it the gateway may still fill" "store in a file";
    Gauge "chatgate_store_connections" ["state"] "Connections for look-ups and changes that are lent, idle, or not open" "PostgreSQL";
    Gauge "chatgate_journal_queue_entries" [] "Journal rows that are not on disk yet";
    Counter "chatgate_journal_dropped_total" ["class"] "Journal rows for which there was no room in memory";
    Counter "chatgate_journal_refused_total" ["class"] "Journal rows that the store does not take, and that were dropped";
    Counter "chatgate_journal_cleared_early_total" ["class"] "Journal rows that were deleted for their room before journal.retention";
    Counter "chatgate_log_dropped_total" ["class"] "Log lines that standard output did not take in time";
    Counter "chatgate_traces_exported_total" [] "Traced calls that the receiver of traces has taken";
    Counter "chatgate_traces_dropped_total" [] "Traced calls that it did not take, or that found no place in the queue before it";

    Gauge "chatgate_replicas" [] "Replicas that are alive and not about to end" "PostgreSQL";
    Gauge "chatgate_replica_configurations" [] "Different configurations among them" "PostgreSQL";
    Gauge "chatgate_replica_silent_seconds" [] "Time since the database has last answered this replica: what is in force may be as old" "PostgreSQL";
    Gauge "chatgate_replica_cut_off" [] "Whether the others may take this replica for gone" "PostgreSQL";
    Gauge "chatgate_replica_draining" [] "Whether this replica is about to end" "PostgreSQL";
    Gauge "chatgate_replica_clock_ahead_seconds" [] "How far the database's clock is ahead of this machine's" "PostgreSQL";
    Gauge "chatgate_limits_degraded" [] "Whether shared counts are away, so that this replica takes its share of each limit" "shared.url";
    Counter "chatgate_shared_questions_total" [] "Questions to the server of shared counts" "shared.url";
    Counter "chatgate_shared_failures_total" [] "Questions that it did not answer, or not in time" "shared.url";

    Counter "chatgate_events_total" ["type"] "Events in the log";
    Counter "chatgate_event_gaps_total" [] "Events before which something may be missing";
    Gauge "chatgate_event_listeners" [] "Accesses that listen to events, or did until lately";
    Gauge "chatgate_event_channels" ["state"] "Channels that are looked at for them: watched, and those of which nothing has been known for a minute";
    Counter "chatgate_event_looks_total" ["outcome"] "Looks at channels, by what they showed";
    Counter "chatgate_event_fills_total" [] "Calls for the unread messages of chats that had changed";
    Counter "chatgate_event_unharvested_total" [] "Lists of callers' calls that could not be kept";

    Gauge "chatgate_config_generation" [] "Configurations that have been in force";
    Gauge "chatgate_config_loaded_timestamp_seconds" [] "When the configuration in force was read";
    Counter "chatgate_config_reloads_total" ["outcome"] "Configurations that were read again, taken or refused";
    Gauge "chatgate_tls_certificate_expiry_timestamp_seconds" ["listener"] "When the certificate of a listener expires" "TLS";
    Gauge "chatgate_signing_key_created_timestamp_seconds" [] "When the key was made that signs tokens";
    Gauge "chatgate_issuer_keys_fetched_timestamp_seconds" ["issuer"] "When the keys of an outside issuer were last fetched, 0 for never" "jwt.issuers";
    Info "chatgate_build_info" ["version", "commit", "date"] "The program; commit and date are empty where its build did not name them";

    Counter "process_cpu_seconds_total" [] "Processor time of the process";
    Gauge "process_resident_memory_bytes" [] "Memory of the process that is in RAM";
    Gauge "process_open_fds" [] "Files that the process has open, connections included";
    Gauge "process_max_fds" [] "Files that it may have open";
    Gauge "process_start_time_seconds" [] "When the process started";
}

/// Returns the row of the metric with this full name.
pub(crate) fn row(name: &str) -> Option<&'static MetricRow> {
    METRICS.iter().find(|row| row.name == name)
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::*;

    const PAGE_HEAD: &str = "# Metrics

`/metrics` on the operators' side answers without a key, in the text format of Prometheus, or as OpenMetrics to those that accept it.
No label holds a client's address, a destination or a text of a caller. Alerts on these metrics are in
[deploy/prometheus](../deploy/prometheus/alerts.yaml), dashboards in [deploy/grafana](../deploy/grafana). Parentheses name the
condition for a metric to exist. In OpenMetrics, buckets of the histograms have exemplars where calls are traced. This page follows from the code.

| metric | kind | labels | meaning |
|---|---|---|---|
";

    /// Returns the page of the documentation.
    fn metrics_page() -> String {
        let mut page = PAGE_HEAD.to_owned();
        for row in METRICS {
            let kind = match row.kind {
                MetricKind::Counter => "counter",
                MetricKind::Gauge => "gauge",
                MetricKind::Histogram => "histogram",
                MetricKind::Info => "info",
            };
            let labels: Vec<_> = row
                .labels
                .iter()
                .map(|label| format!("`{label}`"))
                .collect();
            let only = if row.only.is_empty() {
                String::new()
            } else {
                format!(" ({})", row.only)
            };
            // Writing into a String cannot fail.
            let _ = writeln!(
                page,
                "| `{}` | {kind} | {} | {}{only} |",
                row.name,
                labels.join(", "),
                row.help
            );
        }
        page
    }

    #[test]
    fn the_page_of_the_documentation_is_what_the_table_says() {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
        let written =
            std::fs::read_to_string(format!("{root}/docs/metrics.md")).unwrap_or_default();
        if written != metrics_page() {
            let right = format!("{root}/target/metrics.md");
            std::fs::write(&right, metrics_page()).unwrap();
            panic!("docs/metrics.md is out of date; type: cp target/metrics.md docs/");
        }
    }

    #[test]
    fn names_say_what_they_are() {
        for row in METRICS {
            let is_counter = row.name.ends_with("_total");
            assert_eq!(is_counter, row.kind == MetricKind::Counter, "{}", row.name);
            assert_eq!(
                row.name.ends_with("_info"),
                row.kind == MetricKind::Info,
                "{}",
                row.name
            );
            assert_eq!(
                METRICS
                    .iter()
                    .filter(|other| other.name == row.name)
                    .count(),
                1
            );
        }
    }
}
