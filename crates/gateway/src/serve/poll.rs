//! Gives events access to the upstream of the current configuration.

use std::sync::Arc;

use adapter::Request;
use events::{PollAnswer, PolledUpstream};

use crate::state::current::Runtime;

/// Produces events until the task is aborted.
pub(super) async fn make_events(runtime: Arc<Runtime>) {
    let events = Arc::clone(&runtime.process.events);
    events.run(Arc::new(CurrentUpstream(runtime))).await;
}

/// The upstream of the current configuration.
struct CurrentUpstream(Arc<Runtime>);

impl PolledUpstream for CurrentUpstream {
    fn ask<'a>(&'a self, request: &'a Request) -> PollAnswer<'a> {
        let snapshot = self.0.snapshot();
        Box::pin(async move { snapshot.forwarder.poll(request).await })
    }

    fn is_busy(&self) -> bool {
        self.0.snapshot().forwarder.is_busy()
    }

    fn has_changed(&self, request: &Request) {
        self.0.snapshot().forwarder.forget_channel(request);
    }

    fn account(&self) -> String {
        self.0.snapshot().forwarder.upstream_host().to_owned()
    }
}
