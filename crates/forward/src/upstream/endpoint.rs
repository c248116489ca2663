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

    /// Chooses an endpoint for the attempt after `attempts` others of the same call. Each attempt continues after the endpoint of
    /// the attempt before. A probe is chosen only if `may_probe`.
    pub(super) fn choose(
        &self,
        attempts: usize,
        now: Instant,
        may_probe: bool,
    ) -> EndpointChoice<'_> {
        let turn = if self.round_robin && attempts == 0 {
            self.next.fetch_add(1, Ordering::Relaxed)
        } else {
            self.next.load(Ordering::Relaxed).saturating_sub(1)
        };
        let first = attempts + if self.round_robin { turn } else { 0 };
        let (mut shortest, mut to_probe) = (Duration::MAX, None);
        for at in (first..first + self.all.len()).map(|at| at % self.all.len()) {
            let endpoint = &self.all[at];
            match endpoint.breaker.permit(now, may_probe) {
                Permission::Ask(permit) => {
                    let chosen = Ok(ChosenEndpoint { endpoint, permit });
                    return EndpointChoice { chosen, to_probe };
                }
                Permission::ProbeIsDue => {
                    to_probe = to_probe.or(Some(at));
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
    pub(super) fn probe(&self, at: usize, now: Instant) -> Option<ChosenEndpoint<'_>> {
        let endpoint = self.all.get(at).filter(|known| known.breaker.is_open())?;
        match endpoint.breaker.permit(now, true) {
            Permission::Ask(permit) => Some(ChosenEndpoint { endpoint, permit }),
            Permission::ProbeIsDue | Permission::Wait(_) => None,
        }
    }

    /// Returns the first endpoint with a closed breaker. Uses up neither a probe nor a turn.
    pub(super) fn well(&self) -> Option<&UpstreamEndpoint> {
        self.all.iter().find(|known| !known.breaker.is_open())
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &UpstreamEndpoint> {
        self.all.iter()
    }

    /// Returns whether another endpoint has a closed breaker, so that it can be asked immediately after this one has refused a
    /// connection.
    pub(super) fn has_other_than(&self, asked: &UpstreamEndpoint) -> bool {
        let mut others = self.all.iter().filter(|known| known.url != asked.url);
        others.any(|other| !other.breaker.is_open())
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
        attempts: usize,
        now: Instant,
        may_probe: bool,
    ) -> String {
        let EndpointChoice { chosen, to_probe } = endpoints.choose(attempts, now, may_probe);
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
            Some(at) => format!("{chosen}, {at} to probe"),
            None => chosen,
        }
    }

    #[test]
    fn in_order_the_first_is_asked_as_long_as_it_is_well() {
        let (endpoints, now) = (endpoints(false), Instant::now());
        for attempts in 0..4 {
            let expected = ["a", "b", "c", "a"][attempts];
            assert_eq!(host(&endpoints, attempts, now, true), expected);
        }
        endpoints.all[0].breaker.break_open(now);
        assert_eq!(host(&endpoints, 0, now, true), "b");
        let later = now + Duration::from_secs(1);
        // A call with an effect asks another endpoint, and has the first one probed.
        assert_eq!(host(&endpoints, 0, later, false), "b, 0 to probe");
        let probe = endpoints.choose(0, later, true).chosen.unwrap();
        assert!(probe.permit.is_probe());
        assert_eq!(host(&endpoints, 0, later, true), "b");
        drop(probe);
        assert_eq!(host(&endpoints, 0, later, true), "probe a");
    }

    #[test]
    fn another_one_is_one_that_is_well() {
        let (endpoints, now) = (endpoints(false), Instant::now());
        let first = &endpoints.all[0];
        assert!(endpoints.has_other_than(first));
        endpoints.all[1].breaker.break_open(now);
        assert!(endpoints.has_other_than(first));
        endpoints.all[2].breaker.break_open(now);
        assert!(!endpoints.has_other_than(first));
    }

    #[test]
    fn spread_they_take_turns_and_with_all_at_rest_nobody_is_asked() {
        let (endpoints, now) = (endpoints(true), Instant::now());
        let turns: Vec<_> = (0..4).map(|_| host(&endpoints, 0, now, true)).collect();
        assert_eq!(turns, ["a", "b", "c", "a"]);
        for endpoint in endpoints.iter() {
            endpoint.breaker.break_open(now);
        }
        assert_eq!(host(&endpoints, 0, now, true), "nobody for 1s");
    }

    #[test]
    fn who_only_looks_for_one_that_is_well_takes_neither_probe_nor_turn() {
        let (endpoints, now) = (endpoints(true), Instant::now());
        assert_eq!(host(&endpoints, 0, now, true), "a");
        for _ in 0..2 {
            assert!(endpoints.well().is_some());
        }
        assert_eq!(host(&endpoints, 0, now, true), "b");
        for endpoint in endpoints.iter() {
            endpoint.breaker.break_open(now);
        }
        let later = now + Duration::from_secs(1);
        assert!(endpoints.well().is_none());
        assert_eq!(host(&endpoints, 0, later, true), "probe c");
    }
}
