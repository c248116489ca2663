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
    Counter "chatgate_requests_total" ["way", "method", "access", "outcome", "code"] "Answered requests; the busiest accesses have their names, all others are (other)";
    Histogram "chatgate_request_duration_seconds" ["way", "method"] "Time from the head of a request to its answer";
    Gauge "chatgate_inflight_requests" [] "Requests under way";
    Gauge "chatgate_event_streams" [] "Open streams of events, and calls that wait for an event";
    Counter "chatgate_denied_total" ["reason"] "Requests refused by the gateway itself, by code";
    Counter "chatgate_would_deny_total" [] "Requests that a report-only rule would have refused";
    Counter "chatgate_deliveries_total" ["delivery"] "Answers to sends, by delivery";
    Counter "chatgate_cache_requests_total" ["result"] "Answers to reads, by the part that the cache had in them";
    Gauge "chatgate_accesses" [] "Accesses in the store";

    Histogram "chatgate_upstream_duration_seconds" ["method"] "Time from the request to the upstream to its answer";
    Counter "chatgate_upstream_attempts_total" ["method"] "Requests to the upstream";
    Counter "chatgate_upstream_account_refusals_total" [] "Calls that failed because the upstream refused the gateway's own account";
    Gauge "chatgate_upstream_endpoints" ["state"] "Endpoints of the upstream that are in use, or resting because they keep failing";
    Gauge "chatgate_upstream_limit" [] "The current maximum number of concurrent calls to the upstream";
    Gauge "chatgate_upstream_calls" [] "Calls under way to the upstream";
    Gauge "chatgate_upstream_waiting" [] "Calls that wait for the upstream in the queue";

    Gauge "chatgate_webhooks" ["state"] "Webhooks by state: active, resting while their receivers fail, paused, or disabled";
    Counter "chatgate_webhook_attempts_total" ["outcome"] "Attempted deliveries of this process, by outcome";
    Counter "chatgate_webhook_given_up_total" [] "Events that this process has given up, because their deliveries failed while others succeeded";
    Gauge "chatgate_webhook_pending_deliveries" [] "Deliveries whose outcome this process has not stored";
    Gauge "chatgate_webhook_oldest_seconds" [] "Age of the oldest event among these deliveries";
    Gauge "chatgate_webhook_lost" [] "Times that events of a webhook were deleted from the log before they were sent";

    Gauge "chatgate_store_failing" [] "1 if the store can't be written now, otherwise 0";
    Counter "chatgate_store_failovers_total" [] "Times that another database server took over";
    Gauge "chatgate_store_bytes" [] "Size of the store on disk, including its write-ahead log" "store in a file";
    Gauge "chatgate_disk_size_bytes" [] "Size of the file system that the store is on" "store in a file";
    Gauge "chatgate_disk_free_bytes" [] "Space of this file system that the gateway may still use" "store in a file";
    Gauge "chatgate_store_connections" ["state"] "Connections for lookups and changes, by state: in use, idle, or not open" "PostgreSQL";
    Gauge "chatgate_journal_queue_entries" [] "Journal rows that are not on disk yet";
    Counter "chatgate_journal_dropped_total" ["class"] "Journal rows that were dropped because memory had no room for them";
    Counter "chatgate_journal_refused_total" ["class"] "Journal rows that were dropped because the store rejected them";
    Counter "chatgate_journal_cleared_early_total" ["class"] "Journal rows that were deleted before journal.retention to free space";
    Counter "chatgate_log_dropped_total" ["class"] "Log lines that were dropped because standard output was too slow";
    Counter "chatgate_traces_exported_total" [] "Traced calls that the trace receiver has accepted";
    Counter "chatgate_traces_dropped_total" [] "Traced calls that were dropped, because the trace receiver did not accept them or the queue was full";

    Gauge "chatgate_replicas" [] "Replicas that are alive and not shutting down" "PostgreSQL";
    Gauge "chatgate_replica_configurations" [] "Different configurations among the live replicas" "PostgreSQL";
    Gauge "chatgate_replica_stale_seconds" [] "Age of what this replica knows: it may lack changes of accesses and keys that are younger than this" "PostgreSQL";
    Gauge "chatgate_replica_cut_off" [] "1 if this replica's lease may have expired for the others, or it has not read their changes for as long, otherwise 0" "PostgreSQL";
    Gauge "chatgate_replica_draining" [] "1 if this replica is shutting down, otherwise 0" "PostgreSQL";
    Gauge "chatgate_replica_clock_ahead_seconds" [] "Lead of the database's clock over this machine's" "PostgreSQL";
    Gauge "chatgate_limits_degraded" [] "1 if shared counts can't be reached, so that this replica enforces its own share of each limit, otherwise 0" "shared.url";
    Counter "chatgate_shared_requests_total" [] "Requests to the server of shared counts" "shared.url";
    Counter "chatgate_shared_failures_total" [] "Requests that the server of shared counts did not answer in time" "shared.url";

    Counter "chatgate_events_total" ["type"] "Events written to the log";
    Counter "chatgate_event_gaps_total" [] "Events before which messages may be missing";
    Gauge "chatgate_event_listeners" [] "Accesses that listen to events or did so recently";
    Gauge "chatgate_event_channels" ["state"] "Channels that are polled for events, by state: watched, or stalled because no poll has succeeded for a minute";
    Counter "chatgate_event_looks_total" ["outcome"] "Polls of channels, by outcome";
    Counter "chatgate_event_fills_total" [] "Calls that fetched the unread messages of changed chats";
    Counter "chatgate_event_unharvested_total" [] "Lists from callers' calls whose events could not be stored";

    Gauge "chatgate_config_generation" [] "The number of the current configuration";
    Gauge "chatgate_config_loaded_timestamp_seconds" [] "Time at which the current configuration was read";
    Counter "chatgate_config_reloads_total" ["outcome"] "Reloads of the configuration, by outcome";
    Gauge "chatgate_config_last_reload_successful" [] "0 if the last reload was refused, otherwise 1";
    Gauge "chatgate_tls_certificate_expiry_timestamp_seconds" ["listener"] "Time at which the certificate of a listener expires" "TLS";
    Gauge "chatgate_signing_key_created_timestamp_seconds" [] "Time at which the key that signs tokens was created";
    Gauge "chatgate_issuer_keys_fetched_timestamp_seconds" ["issuer"] "Time at which the keys of an outside issuer were last fetched, 0 if never" "jwt.issuers";
    Info "chatgate_build_info" ["version", "commit", "date"] "The version of the program; commit and date are empty if its build did not set them";

    Counter "process_cpu_seconds_total" [] "Processor time of the process";
    Gauge "process_resident_memory_bytes" [] "Resident memory of the process";
    Gauge "process_open_fds" [] "Open files of the process, including connections";
    Gauge "process_max_fds" [] "Maximum number of open files of the process";
    Gauge "process_start_time_seconds" [] "Time at which the process started";
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

`/metrics` on the operators' side answers without a key, in the text format of Prometheus, or as OpenMetrics to clients that accept it.
No label contains a client's address, a destination or a text of a caller. Alerts on these metrics are in
[deploy/prometheus](../deploy/prometheus/alerts.yaml), dashboards in [deploy/grafana](../deploy/grafana). Parentheses name the
condition under which a metric exists. In OpenMetrics, buckets of the histograms have exemplars if calls are traced. This page is
generated from the code.

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
    fn the_metrics_documentation_matches_the_metric_table() {
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
    fn metric_names_are_unique_and_have_the_suffix_of_their_kind() {
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
