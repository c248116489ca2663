//! Which calls are counted together instead of being listed: all that nobody proven causes, and refusals of one access beyond
//! the first of a minute. The first of a count has a row and a line of its own; a second line says how many there were.

use store::{CountKey, CountedCalls, Journal, Noted};

use super::{Ending, Story};
use crate::telemetry::{self, Class};

impl Story {
    /// Notes the call where it may be counted with others.
    pub(super) fn note(&self, ending: &Ending<'_>) -> Noted {
        let is_refused = !ending.refusal.is_empty() && !self.dispatched && self.timing.is_none();
        // What was sent, or may have been, is always listed, and so is what was answered well.
        let is_listed = self.intent.is_some() || (self.access.is_some() && !is_refused);
        if is_listed {
            return Noted::Listed;
        }
        let address = self.client_address();
        let key = CountKey::new(self.access.clone(), address, self.route, ending.refusal);
        let journal = self.snapshot.store.journal();
        journal.note(key, self.ms_at(ending.took))
    }
}

/// Writes the lines of counts whose minute is over at this time, in milliseconds since 1970, UTC. A call that stayed alone
/// has had its line.
pub(crate) fn tell_counts(journal: &Journal, now_ms: i64) {
    let ended = journal.take_ended_counts(now_ms).into_iter();
    for counted in ended.filter(|counted| counted.calls() > 1) {
        tell_count(&counted);
    }
}

fn tell_count(counted: &CountedCalls) {
    let key = counted.key();
    let network = key.network.map(|network| network.to_string());
    let row = counted.row();
    let class = match key.access {
        Some(_) => Class::Known,
        None => Class::Unknown,
    };
    telemetry::in_class(class, || {
        tracing::info!(
            target: "chatgate::counted",
            network,
            access = key.access,
            path = key.path,
            code = key.code,
            count = counted.calls(),
            first_request_id = row.and_then(|row| row.request_id.as_deref()),
            "calls of one minute"
        );
    });
}
