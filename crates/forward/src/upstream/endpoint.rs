//! The endpoints of the upstream account, one or several, each with its own breaker.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use client::Target;
use url::Url;

use super::breaker::{Breaker, BreakerPermit, Permission};

/// One endpoint.
pub(super) struct UpstreamEndpoint {
    pub(super) url: Url,
    /// The destination of its requests.
    pub(super) target: Target,
    /// The breaker, shared with the endpoint of the same URL in the previous configuration.
    pub(super) breaker: Arc<Breaker>,
}

/// All endpoints.
pub(super) struct UpstreamEndpoints {
    all: Vec<UpstreamEndpoint>,
    /// True if the endpoints take turns. Otherwise the first available one is asked.
    round_robin: bool,
    next: AtomicUsize,
}

/// A chosen endpoint with the permission to ask it once.
pub(super) struct ChosenEndpoint<'a> {
    /// The index of the endpoint.
    pub(super) index: usize,
    pub(super) endpoint: &'a UpstreamEndpoint,
    pub(super) permit: BreakerPermit<'a>,
}

/// The choice of an endpoint for an attempt.
pub(super) struct EndpointChoice<'a> {
    /// The chosen endpoint, or the time for which none may be asked.
    pub(super) chosen: Result<ChosenEndpoint<'a>, Duration>,
    /// The index of an endpoint that another call has to probe, because this call may not.
    pub(super) to_probe: Option<usize>,
}

impl UpstreamEndpoints {
    pub(super) fn new(
        urls: Vec<Url>,
        targets: Vec<Target>,
        round_robin: bool,
    ) -> UpstreamEndpoints {
        let endpoint = |(url, target)| UpstreamEndpoint {
            url,
            target,
            breaker: Arc::default(),
        };
        UpstreamEndpoints {
            all: urls.into_iter().zip(targets).map(endpoint).collect(),
            round_robin,
            next: AtomicUsize::new(0),
        }
    }

    /// Takes over the breakers of endpoints that already existed.
    pub(super) fn take_over(&mut self, before: &UpstreamEndpoints) {
        for endpoint in &mut self.all {
            if let Some(known) = before.iter().find(|known| known.url == endpoint.url) {
                endpoint.breaker = Arc::clone(&known.breaker);
            }
        }
    }

    /// Chooses an endpoint for an attempt. `last` is the index of the endpoint that the previous attempt of the same call asked: a
    /// retry continues after it, and prefers another endpoint with a closed breaker. A probe is chosen only if `may_probe`.
    pub(super) fn choose(
        &self,
        last: Option<usize>,
        now: Instant,
        may_probe: bool,
    ) -> EndpointChoice<'_> {
        let first = match last {
            Some(last) => last + 1,
            None if self.round_robin => self.next.fetch_add(1, Ordering::Relaxed),
            None => 0,
        };
        let all = (first..first + self.all.len()).map(|index| index % self.all.len());
        let is_preferred =
            |index: &usize| last.is_some_and(|last| self.is_alternative(*index, last));
        let (mut shortest, mut to_probe) = (Duration::MAX, None);
        for index in all.clone().filter(is_preferred).chain(all) {
            let endpoint = &self.all[index];
            match endpoint.breaker.permit(now, may_probe) {
                Permission::Ask(permit) => {
                    let chosen = Ok(ChosenEndpoint {
                        index,
                        endpoint,
                        permit,
                    });
                    return EndpointChoice { chosen, to_probe };
                }
                Permission::ProbeIsDue => {
                    to_probe = to_probe.or(Some(index));
                    shortest = Duration::ZERO;
                }
                Permission::Wait(wait) => shortest = shortest.min(wait),
            }
        }
        EndpointChoice {
            chosen: Err(shortest),
            to_probe,
        }
    }

    /// Returns this endpoint with the permission to probe it now, if its breaker is open and allows a probe.
    pub(super) fn probe(&self, index: usize, now: Instant) -> Option<ChosenEndpoint<'_>> {
        let endpoint = self
            .all
            .get(index)
            .filter(|known| known.breaker.is_open())?;
        match endpoint.breaker.permit(now, true) {
            Permission::Ask(permit) => Some(ChosenEndpoint {
                index,
                endpoint,
                permit,
            }),
            Permission::ProbeIsDue | Permission::Wait(_) => None,
        }
    }

    /// Returns the first endpoint with a closed breaker. Uses up neither a probe nor a turn.
    pub(super) fn healthy(&self) -> Option<&UpstreamEndpoint> {
        self.all.iter().find(|known| !known.breaker.is_open())
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &UpstreamEndpoint> {
        self.all.iter()
    }

    /// Returns whether another endpoint has a closed breaker, so that it can be asked immediately after the one at this index has
    /// refused a connection.
    pub(super) fn has_alternative(&self, last: usize) -> bool {
        (0..self.all.len()).any(|index| self.is_alternative(index, last))
    }

    /// Returns whether the endpoint at an index has a closed breaker and is not the one at `last`, which may be listed twice.
    fn is_alternative(&self, index: usize, last: usize) -> bool {
        let (other, last) = (&self.all[index], &self.all[last]);
        other.url != last.url && !other.breaker.is_open()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoints(round_robin: bool) -> UpstreamEndpoints {
        let urls = ["http://a/", "http://b/", "http://c/"].map(|url| url.parse().unwrap());
        let targets = urls
            .iter()
            .map(|url| Target::new(0, url).unwrap())
            .collect();
        UpstreamEndpoints::new(urls.into(), targets, round_robin)
    }

    /// Returns the host that a call asks, and the index of the endpoint to probe.
    fn host(
        endpoints: &UpstreamEndpoints,
        last: Option<usize>,
        now: Instant,
        may_probe: bool,
    ) -> String {
        let EndpointChoice { chosen, to_probe } = endpoints.choose(last, now, may_probe);
        let chosen = match chosen {
            Ok(chosen) => {
                let probe = if chosen.permit.is_probe() {
                    "probe "
                } else {
                    ""
                };
                format!("{probe}{}", chosen.endpoint.url.host_str().unwrap())
            }
            Err(wait) => format!("nobody for {wait:?}"),
        };
        match to_probe {
            Some(index) => format!("{chosen}, {index} to probe"),
            None => chosen,
        }
    }

    #[test]
    fn in_order_mode_asks_the_first_healthy_endpoint() {
        let (endpoints, now) = (endpoints(false), Instant::now());
        for (last, expected) in [(None, "a"), (Some(0), "b"), (Some(1), "c"), (Some(2), "a")] {
            assert_eq!(host(&endpoints, last, now, true), expected);
        }
        endpoints.all[0].breaker.break_open(now);
        assert_eq!(host(&endpoints, None, now, true), "b");
        let later = now + Duration::from_secs(1);
        // A call with an effect asks another endpoint, and has the first one probed.
        assert_eq!(host(&endpoints, None, later, false), "b, 0 to probe");
        let probe = endpoints.choose(None, later, true).chosen.unwrap();
        assert!(probe.permit.is_probe());
        assert_eq!(host(&endpoints, None, later, true), "b");
        drop(probe);
        assert_eq!(host(&endpoints, None, later, true), "probe a");
    }

    #[test]
    fn a_retry_asks_a_different_endpoint() {
        let now = Instant::now();
        for round_robin in [false, true] {
            for others in 0..4 {
                let endpoints = endpoints(round_robin);
                let first = endpoints.choose(None, now, true).chosen.unwrap().index;
                // Other calls take turns.
                for _ in 0..others {
                    host(&endpoints, None, now, true);
                }
                assert_eq!(host(&endpoints, Some(first), now, true), "b");
            }
        }
        let endpoints = endpoints(false);
        endpoints.all[0].breaker.break_open(now);
        let second = endpoints.choose(None, now, true).chosen.unwrap().index;
        assert_eq!(host(&endpoints, Some(second), now, true), "c");
        // A retry prefers the healthy endpoint to a probe, and a probe to the endpoint that has just been asked.
        let later = now + Duration::from_secs(1);
        assert_eq!(host(&endpoints, Some(2), later, true), "b");
        endpoints.all[1].breaker.break_open(now);
        assert_eq!(host(&endpoints, Some(2), later, true), "probe a");
    }

    #[test]
    fn an_endpoint_listed_twice_is_not_an_alternative_to_itself() {
        let (mut endpoints, now) = (endpoints(false), Instant::now());
        endpoints.all[1].url = endpoints.all[0].url.clone();
        assert_eq!(host(&endpoints, Some(0), now, true), "c");
        endpoints.all[2].breaker.break_open(now);
        assert!(!endpoints.has_alternative(0));
    }

    #[test]
    fn only_a_healthy_endpoint_counts_as_an_alternative() {
        let (endpoints, now) = (endpoints(false), Instant::now());
        assert!(endpoints.has_alternative(0));
        endpoints.all[1].breaker.break_open(now);
        assert!(endpoints.has_alternative(0));
        endpoints.all[2].breaker.break_open(now);
        assert!(!endpoints.has_alternative(0));
    }

    #[test]
    fn round_robin_uses_endpoints_in_turn_and_waits_if_all_breakers_are_open() {
        let (endpoints, now) = (endpoints(true), Instant::now());
        let turns: Vec<_> = (0..4).map(|_| host(&endpoints, None, now, true)).collect();
        assert_eq!(turns, ["a", "b", "c", "a"]);
        for endpoint in endpoints.iter() {
            endpoint.breaker.break_open(now);
        }
        assert_eq!(host(&endpoints, None, now, true), "nobody for 1s");
    }

    #[test]
    fn healthy_takes_neither_a_probe_nor_a_round_robin_turn() {
        let (endpoints, now) = (endpoints(true), Instant::now());
        assert_eq!(host(&endpoints, None, now, true), "a");
        for _ in 0..2 {
            assert!(endpoints.healthy().is_some());
        }
        assert_eq!(host(&endpoints, None, now, true), "b");
        for endpoint in endpoints.iter() {
            endpoint.breaker.break_open(now);
        }
        let later = now + Duration::from_secs(1);
        assert!(endpoints.healthy().is_none());
        assert_eq!(host(&endpoints, None, later, true), "probe c");
    }
}
