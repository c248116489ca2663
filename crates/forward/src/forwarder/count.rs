//! Counts calls against the limits of their accesses, and the bytes of partial bodies.

use std::net::IpAddr;
use std::time::Instant;

use adapter::{Effect, Error, Request};
use shared::{CallWait, CountsUnavailable};
use store::Access;

use super::Forwarder;
use crate::body_budget::PartialBody;
use crate::concurrency::{ConcurrencyLimit, ConcurrencyPermit, all_taken};
use crate::counted_call::CountedCall;

impl Forwarder {
    /// Begins to count the bytes of a body from this address.
    pub fn begin_body(&self, address: IpAddr) -> PartialBody {
        self.bodies.begin(address)
    }

    /// Counts a call against the access's limits without asking the cache or the upstream, for example for a HEAD request. A token
    /// request has no `request`.
    pub async fn count(
        &self,
        access: &Access,
        request: Option<&Request>,
        wait: &CallWait,
    ) -> CountedCall {
        let counted = self.count_rates(access, request, wait).await;
        self.count_day(access, counted).await
    }

    /// Counts a call that is to be forwarded and has to end by the deadline. Acquires its permit if the access has a concurrency
    /// limit; the call is in progress until the permit is dropped.
    pub async fn acquire(
        &self,
        access: &Access,
        request: &Request,
        deadline: Instant,
        wait: &CallWait,
    ) -> (CountedCall, Option<ConcurrencyPermit>) {
        let mut counted = self.count_rates(access, Some(request), wait).await;
        let permit = match &counted.refused {
            Some(_) => None,
            None => {
                let acquired = self.acquire_permit(access, deadline, wait).await;
                counted.apply(access, acquired)
            }
        };
        // The limit per day comes last, so that a call rejected by another limit does not use it.
        (self.count_day(access, counted).await, permit.flatten())
    }

    async fn acquire_permit(
        &self,
        access: &Access,
        deadline: Instant,
        wait: &CallWait,
    ) -> Result<Option<ConcurrencyPermit>, Error> {
        let begun = match (&self.shared_concurrency, access.limits.concurrent) {
            (Some(leases), Some(most)) => {
                Box::pin(leases.begin((access, most), deadline, wait)).await
            }
            _ => Err(CountsUnavailable),
        };
        match begun {
            Ok(Some(lease)) => {
                let permit = ConcurrencyLimit::permit_of(&self.concurrency, access, lease);
                Ok(Some(permit))
            }
            Ok(None) => Err(all_taken()),
            Err(CountsUnavailable) => ConcurrencyLimit::acquire(&self.concurrency, access),
        }
    }

    async fn count_rates(
        &self,
        access: &Access,
        request: Option<&Request>,
        wait: &CallWait,
    ) -> CountedCall {
        let send = request.filter(|request| request.operation().effect == Effect::Send);
        let destination = send.map(|send| send.value("destination").unwrap_or_default());
        let checked = match &self.shared {
            None => self.limits.check_call(access, destination),
            // Boxed, so that processes without shared counts carry no room for it.
            Some(shared) => {
                let call = (access, destination);
                Box::pin(shared.check_call(&self.limits, call, wait)).await
            }
        };
        let mut counted = CountedCall {
            limit: checked.state,
            day: None,
            refused: None,
            would_refuse: None,
        };
        counted.apply(access, checked.result);
        counted
    }

    async fn count_day(&self, access: &Access, mut counted: CountedCall) -> CountedCall {
        if counted.refused.is_some() {
            counted.day = self.daily.peek(access);
            return counted;
        }
        let (day, result) = self.daily.count(access).await;
        counted.day = day;
        counted.apply(access, result);
        counted
    }
}
