//! Decides which requests are counted together instead of being listed: requests of callers that have not authenticated, and
//! rejected requests of one access beyond the first of a minute. The first request of a count has its own row and log line. A
//! second line reports the number of requests.

use store::{CallerClass, CountKey, CountResult, CountedCalls, Journal};
use telemetry::LogClass;

use super::outcome::RequestOutcome;
use crate::request::context::RequestContext;
use crate::request::progress::RequestProgress;

/// Counts the request, if it may be counted with others.
pub(super) fn note(
    journal: &Journal,
    context: &RequestContext,
    progress: &RequestProgress,
    outcome: &RequestOutcome<'_>,
) -> CountResult {
    let is_dispatched = progress.send.is_dispatched();
    let is_refused = !outcome.refusal.is_empty() && !is_dispatched && progress.timing.is_none();
    // Every send that may have left is listed, and so is every successful request of an access.
    if is_dispatched || (progress.access.is_some() && !is_refused) {
        return CountResult::Listed;
    }
    let access = progress.access.as_ref().map(|access| access.name.clone());
    let address = context.client_address();
    let key = CountKey::new(access, address, context.path.path, outcome.refusal);
    journal.note(key, context.ms_at(outcome.took))
}

/// Logs the counts whose minute is over at this time, in milliseconds since 1970, UTC. A count of one is skipped, because its
/// request already has a log line.
pub(crate) fn log_counts(journal: &Journal, now_ms: i64) {
    let ended = journal.take_ended_counts(now_ms).into_iter();
    for counted in ended.filter(|counted| counted.calls() > 1) {
        log_count(&counted);
    }
}

fn log_count(counted: &CountedCalls) {
    let key = counted.key();
    let network = key.network.map(|network| network.to_string());
    let row = counted.row();
    telemetry::in_class(LogClass::of(key.class() == CallerClass::Known), || {
        tracing::info!(
            target: "chatgate::counted",
            network,
            access = key.access,
            actor = key.actor,
            path = &*key.path,
            code = key.code,
            count = counted.calls(),
            first_request_id = row.and_then(|row| row.request_id.as_deref()),
            "calls of one minute"
        );
    });
}
