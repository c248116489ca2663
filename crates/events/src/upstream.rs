//! The upstream as polls call it.

use std::pin::Pin;
use std::time::{Duration, Instant};

use adapter::{Code, Error, Operation, Params, Request, Response};
use tokio::sync::{Mutex, Semaphore};

/// Maximum number of concurrent calls of polls.
const UNDER_WAY_MAX: usize = 2;

/// The answer to a call of the watcher. It fails like any forwarded call.
pub type PollAnswer<'a> = Pin<Box<dyn Future<Output = Result<Response, Error>> + Send + 'a>>;

/// The upstream, as the watcher calls it.
pub trait PolledUpstream: Send + Sync + 'static {
    /// Makes a call without a caller, in a separate queue with a lower priority than callers.
    fn ask<'a>(&'a self, request: &'a Request) -> PollAnswer<'a>;

    /// Returns whether callers wait for the upstream, or whether the upstream is currently not to be called.
    fn is_busy(&self) -> bool;

    /// Reports that a channel has changed, so that no older list of its chats may be answered.
    fn has_changed(&self, request: &Request);

    /// Returns the account used for polls. Knowledge about one account does not apply to another.
    fn account(&self) -> String;
}

/// Limits the rate and the concurrency of calls.
pub(crate) struct CallBudget {
    under_way: Semaphore,
    next: Mutex<Instant>,
}

impl CallBudget {
    pub(crate) fn new() -> CallBudget {
        CallBudget {
            under_way: Semaphore::new(UNDER_WAY_MAX),
            next: Mutex::new(Instant::now()),
        }
    }

    /// Makes a call as soon as the rate limit allows it. If the chat does not exist, its list is empty.
    pub(crate) async fn ask(
        &self,
        upstream: &dyn PolledUpstream,
        request: &Request,
        per_second: u32,
    ) -> Option<Response> {
        let _place = self.under_way.acquire().await.ok()?;
        let spacing = Duration::from_secs(1) / per_second.max(1);
        let turn = {
            let mut next = self.next.lock().await;
            let now = Instant::now();
            // Unused capacity of the last half second may be used immediately.
            let turn = (*next).max(now.checked_sub(Duration::from_millis(500)).unwrap_or(now));
            *next = turn + spacing;
            turn
        };
        tokio::time::sleep_until(turn.into()).await;
        match upstream.ask(request).await {
            // A closed chat has no messages, and a channel without chats has no chat.
            Err(error) if error.code() == Code::ChatNotFound => Response::of("{\"list\":[]}"),
            answer => answer.ok(),
        }
    }
}

/// Creates a request with these values.
pub(crate) fn request(method: &str, values: &[(&'static str, &str)]) -> Option<Request> {
    let values = values
        .iter()
        .map(|(name, value)| (*name, (*value).to_owned()));
    Request::of(Operation::named(method)?, &mut Params::from_pairs(values)).ok()
}
