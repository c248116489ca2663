//! Collects the state of the gateway's parts at the time of a scrape.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::{SystemTime, UNIX_EPOCH};

use forward::UpstreamStatus;
use rustix::process::{Resource, getrlimit};
use store::{CallerClass, Journal, Store};

use crate::log;
use crate::log_queue::LogClass;
use crate::scrape::MetricSample;

/// Clock ticks per second in `/proc`. The kernel's interface uses 100 on every architecture that has a release.
const TICKS_PER_S: f64 = 100.0;

/// Returns the state of the queue before the upstream.
#[must_use]
pub fn upstream_samples(status: &UpstreamStatus) -> Vec<MetricSample> {
    let resting = status.endpoints.iter().filter(|(_, rests)| *rests).count();
    let in_use = status.endpoints.len() - resting;
    let endpoints = [("in use", in_use), ("resting", resting)].map(|(state, count)| {
        MetricSample::labelled(
            "chatgate_upstream_endpoints",
            ("state", state),
            count as f64,
        )
    });
    let gauges = [
        ("chatgate_upstream_limit", status.limit),
        ("chatgate_upstream_calls", status.under_way),
        ("chatgate_upstream_waiting", status.waiting),
    ];
    let gauges = gauges.map(|(name, count)| MetricSample::of(name, count as f64));
    endpoints.into_iter().chain(gauges).collect()
}

/// Returns the state of the store and its journal, and of the replicas that share the store.
#[must_use]
pub fn store_samples(store: &Store) -> Vec<MetricSample> {
    let mut samples = vec![MetricSample::of(
        "chatgate_accesses",
        store.accesses().len() as f64,
    )];
    samples.extend(journal_samples(store.journal()));
    samples.extend(store.file().map(disk_samples).unwrap_or_default());
    if let Some(connections) = store.connections() {
        let states = [
            ("in use", connections.lent),
            ("idle", connections.idle),
            ("not open", connections.not_open),
        ];
        samples.extend(states.map(|(state, count)| {
            let label = ("state", state);
            MetricSample::labelled("chatgate_store_connections", label, count as f64)
        }));
    }
    if let Some(census) = store.census() {
        let is = |flag: bool| f64::from(u8::from(flag));
        let gauges = [
            ("chatgate_replicas", f64::from(census.live)),
            (
                "chatgate_replica_configurations",
                f64::from(census.configurations),
            ),
            ("chatgate_replica_stale_seconds", census.stale.as_secs_f64()),
            ("chatgate_replica_cut_off", is(census.is_cut_off)),
            ("chatgate_replica_draining", is(census.is_draining)),
            (
                "chatgate_replica_clock_ahead_seconds",
                census.clock_ahead_s as f64,
            ),
        ];
        samples.extend(gauges.map(|(name, value)| MetricSample::of(name, value)));
    }
    samples
}

fn journal_samples(journal: &Journal) -> Vec<MetricSample> {
    let is_failing = journal.trouble().is_some();
    let mut samples = vec![
        MetricSample::of("chatgate_store_failing", f64::from(u8::from(is_failing))),
        MetricSample::of("chatgate_store_failovers_total", journal.failovers() as f64),
        MetricSample::of("chatgate_journal_queue_entries", journal.queued() as f64),
    ];
    let mut by_class = |name, count: &dyn Fn(CallerClass) -> u64| {
        samples.extend(CallerClass::ALL.map(|class| {
            MetricSample::labelled(name, ("class", class.word()), count(class) as f64)
        }));
    };
    by_class("chatgate_journal_dropped_total", &|class| {
        journal.dropped_of(class)
    });
    by_class("chatgate_journal_refused_total", &|class| {
        journal.refused_of(class)
    });
    by_class("chatgate_journal_cleared_early_total", &|class| {
        journal.cleared_early(class)
    });
    samples
}

/// Returns the sizes of a store's file and of its file system.
fn disk_samples(file: &Path) -> Vec<MetricSample> {
    let mut log = file.to_owned().into_os_string();
    log.push("-wal");
    let files = [file.to_owned(), PathBuf::from(log)];
    let sizes = files.iter().filter_map(|file| fs::metadata(file).ok());
    let bytes: u64 = sizes.map(|metadata| metadata.len()).sum();
    let mut samples = vec![MetricSample::of("chatgate_store_bytes", bytes as f64)];
    if let Ok(disk) = rustix::fs::statvfs(file) {
        let bytes = |blocks: u64| blocks as f64 * disk.f_frsize as f64;
        samples.extend([
            MetricSample::of("chatgate_disk_size_bytes", bytes(disk.f_blocks)),
            MetricSample::of("chatgate_disk_free_bytes", bytes(disk.f_bavail)),
        ]);
    }
    samples
}

/// Returns the log's own counters.
#[must_use]
pub fn log_samples() -> Vec<MetricSample> {
    let classes = LogClass::ALL.map(|class| {
        let dropped = log::dropped_lines(class) as f64;
        MetricSample::labelled(
            "chatgate_log_dropped_total",
            ("class", class.word()),
            dropped,
        )
    });
    classes.into()
}

/// The start time of the process, as precisely as the process knows it.
static STARTED: LazyLock<f64> = LazyLock::new(|| {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or_default().as_secs_f64()
});

/// Records the start time. Call it once, early.
pub(crate) fn note_start() {
    LazyLock::force(&STARTED);
}

/// Returns the resources that the process uses, under the standard names of process metrics.
#[must_use]
pub fn process_samples() -> Vec<MetricSample> {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let files = fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
    let most = getrlimit(Resource::Nofile).current;
    let samples = [
        ("process_cpu_seconds_total", cpu_s(&stat)),
        ("process_resident_memory_bytes", resident_bytes(&status)),
        // Does not count the descriptor that lists the others.
        (
            "process_open_fds",
            files.checked_sub(1).map(|files| files as f64),
        ),
        ("process_max_fds", most.map(|most| most as f64)),
        ("process_start_time_seconds", Some(*STARTED)),
    ];
    let known = samples.into_iter();
    known
        .filter_map(|(name, value)| Some(MetricSample::of(name, value?)))
        .collect()
}

/// Reads the processor time of the process, in user and kernel mode, from `/proc/self/stat`.
fn cpu_s(stat: &str) -> Option<f64> {
    // The name in parentheses may contain any character.
    let fields = stat.rsplit_once(')')?.1;
    let mut ticks = fields.split_whitespace().skip(11);
    let user: f64 = ticks.next()?.parse().ok()?;
    let kernel: f64 = ticks.next()?.parse().ok()?;
    Some((user + kernel) / TICKS_PER_S)
}

/// Reads the resident memory from `/proc/self/status`.
fn resident_bytes(status: &str) -> Option<f64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: f64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib * 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn process_samples_are_read_from_kernel_files() {
        let stat = "7 (a ) b) S 1 7 7 0 -1 4194560 9 0 0 0 250 50 0 0 20 0 9 0 700 1 2";
        assert_eq!(cpu_s(stat), Some(3.0));
        assert_eq!(cpu_s(""), None);
        let status = "Name:\tx\nVmRSS:\t    2048 kB\nThreads:\t9\n";
        assert_eq!(resident_bytes(status), Some(2_097_152.0));
        assert_eq!(resident_bytes("Name:\tx\n"), None);
        assert_eq!(process_samples().len(), 5);
    }
}
