//! The upstream as looks ask it.

use std::pin::Pin;
use std::time::{Duration, Instant};

use adapter::{Error, Operation, Params, Request, Response};
use tokio::sync::{Mutex, Semaphore};

/// Calls of looks under way at once.
const UNDER_WAY_MAX: usize = 2;

/// The answer to a call of the watcher; fails like any forwarded call.
pub type Asked<'a> = Pin<Box<dyn Future<Output = Result<Response, Error>> + Send + 'a>>;

/// The upstream, as the watcher calls it.
pub trait PolledUpstream: Send + Sync + 'static {
    /// Makes a call that is nobody's, in a line of its own behind those of callers.
    fn ask<'a>(&'a self, request: &'a Request) -> Asked<'a>;

    /// Whether callers wait for it, or it is left alone for now.
    fn is_busy(&self) -> bool;

    /// A channel has changed: no list of its chats that is older is to be answered any more.
    fn has_changed(&self, request: &Request);

    /// The account that it is asked with: what is known of one says nothing of another.
    fn account(&self) -> String;
}

/// Spreads calls: no more than so many a second, and two at once.
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

    /// Makes a call when its turn has come.
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
            // What was not used for half a second may be made up for at once.
            let turn = (*next).max(now.checked_sub(Duration::from_millis(500)).unwrap_or(now));
            *next = turn + spacing;
            turn
        };
        tokio::time::sleep_until(turn.into()).await;
        upstream.ask(request).await.ok()
    }
}

/// A request of these values.
pub(crate) fn request(method: &str, values: &[(&'static str, &str)]) -> Option<Request> {
    let values = values
        .iter()
        .map(|(name, value)| (*name, (*value).to_owned()));
    Request::of(Operation::named(method)?, &mut Params::from_pairs(values)).ok()
}
