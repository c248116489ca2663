//! A caller that reads events. It is judged again and again while it reads, by the configuration that is current at that moment.

use std::sync::Arc;
use std::time::{Duration, Instant};

use adapter::{Code, Credentials, Error, Request};
use forward::AuthContext;
use store::{Access, Event};

use crate::request::progress::RequestProgress;
use crate::request::proof::{Proof, authorize, check_scope};
use crate::state::snapshot::Snapshot;

/// Maximum time for fetching an outside issuer's keys when a token is judged again.
const JUDGED_WITHIN: Duration = Duration::from_secs(1);

/// An authorized caller, with the credentials that it presented.
pub(crate) struct EventCaller {
    credentials: Credentials,
    request: Arc<Request>,
    auth: AuthContext,
    access: Arc<Access>,
    /// The generation of the configuration by which the caller was last judged.
    generation: u64,
}

impl EventCaller {
    /// Takes a caller that has just been authorized with this snapshot.
    pub(crate) fn new(
        snapshot: &Snapshot,
        credentials: Credentials,
        request: &Arc<Request>,
        (access, auth): (&Arc<Access>, AuthContext),
    ) -> EventCaller {
        EventCaller {
            credentials,
            request: Arc::clone(request),
            auth,
            access: Arc::clone(access),
            generation: snapshot.generation,
        }
    }

    pub(crate) fn access(&self) -> &Access {
        &self.access
    }

    pub(crate) fn request(&self) -> &Request {
        &self.request
    }

    /// Returns whether the caller may see an event, according to the last judgement.
    pub(crate) fn may_see(&self, event: &Event) -> bool {
        events::may_see_event(&self.access, event)
    }

    /// Judges the caller again. If nothing but the time has changed, this costs only a lookup.
    ///
    /// # Errors
    /// The error that a new call of this caller would get.
    pub(crate) async fn judge(&mut self, snapshot: &Snapshot) -> Result<(), Error> {
        // Before the lookup, because accesses that were read earlier may be older than the check says.
        snapshot.check_fresh()?;
        self.auth.now = snapshot.auth_now();
        let is_same = self.generation == snapshot.generation && {
            let accesses = snapshot.store.accesses();
            let current = accesses.of_client(&self.access.client_id);
            current.is_some_and(|current| Arc::ptr_eq(current, &self.access))
        };
        match self.credentials {
            Credentials::Password { .. } if is_same => {
                let judged = snapshot.forwarder.authorize(&self.access, self.auth);
                judged.map(drop)
            }
            // A token expires by itself, and its key may have been removed.
            _ => Box::pin(self.recheck(snapshot)).await,
        }
    }

    async fn recheck(&mut self, snapshot: &Snapshot) -> Result<(), Error> {
        snapshot.events()?;
        if !snapshot.is_open(self.auth.way) {
            return Err(Error::refused(Code::OperationNotAllowed).because("switched off"));
        }
        snapshot.forwarder.judge_address(self.auth.address)?;
        let proof = Proof::of(&self.credentials, Instant::now() + JUDGED_WITHIN);
        let mut progress = RequestProgress::default();
        let (access, scope) = authorize(snapshot, &mut progress, proof, self.auth).await?;
        snapshot.forwarder.authorize_call(&access, &self.request)?;
        check_scope(scope.as_ref(), &self.request)?;
        self.access = access;
        self.generation = snapshot.generation;
        Ok(())
    }
}
