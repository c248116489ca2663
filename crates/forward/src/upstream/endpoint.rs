//! Where the upstream account can be reached: one endpoint or several, each with a breaker of its own.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use url::Url;

use super::alias::Target;
use super::breaker::{Breaker, Permission};

/// One of them.
pub(super) struct Endpoint {
    pub(super) url: Url,
    /// Where its requests go.
    pub(super) target: Target,
    pub(super) breaker: Breaker,
}

/// All of them.
pub(super) struct Endpoints {
    all: Vec<Endpoint>,
    /// Whether they take turns; otherwise the first that is well is asked.
    spread: bool,
    turn: AtomicUsize,
}

/// Whom to ask.
pub(super) enum Choice<'a> {
    /// This one.
    Ask(&'a Endpoint),
    /// This one, on behalf of all others.
    Probe(&'a Endpoint, usize),
    /// Nobody for so long.
    Nobody(Duration),
}

impl Endpoints {
    pub(super) fn new(urls: Vec<Url>, targets: Vec<Target>, spread: bool) -> Endpoints {
        let endpoint = |(url, target)| Endpoint {
            url,
            target,
            breaker: Breaker::default(),
        };
        Endpoints {
            all: urls.into_iter().zip(targets).map(endpoint).collect(),
            spread,
            turn: AtomicUsize::new(0),
        }
    }

    /// Chooses for the attempt after so many of one call: each goes on where the one before it ended.
    pub(super) fn choose(&self, attempts: usize, now: Instant) -> Choice<'_> {
        let turn = if self.spread && attempts == 0 {
            self.turn.fetch_add(1, Ordering::Relaxed)
        } else {
            self.turn.load(Ordering::Relaxed).saturating_sub(1)
        };
        let first = attempts + if self.spread { turn } else { 0 };
        let mut shortest = Duration::MAX;
        for at in (first..first + self.all.len()).map(|at| at % self.all.len()) {
            match self.all[at].breaker.permit(now) {
                Permission::Ask => return Choice::Ask(&self.all[at]),
                Permission::Probe => return Choice::Probe(&self.all[at], at),
                Permission::Wait(wait) => shortest = shortest.min(wait),
            }
        }
        Choice::Nobody(shortest)
    }

    pub(super) fn at(&self, at: usize) -> Option<&Endpoint> {
        self.all.get(at)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Endpoint> {
        self.all.iter()
    }

    /// Whether another one can be asked at once when one has refused a connection.
    pub(super) fn are_several(&self) -> bool {
        self.all.len() > 1
    }
}

#[cfg(test)]
mod tests {
    use super::super::alias::targets;
    use super::*;

    fn endpoints(spread: bool) -> Endpoints {
        let urls = ["http://a/", "http://b/", "http://c/"].map(|url| url.parse().unwrap());
        let (targets, _) = targets(&urls);
        Endpoints::new(urls.into(), targets, spread)
    }

    fn host(choice: &Choice<'_>) -> String {
        match choice {
            Choice::Ask(endpoint) => endpoint.url.host_str().unwrap().to_owned(),
            Choice::Probe(endpoint, _) => format!("probe {}", endpoint.url.host_str().unwrap()),
            Choice::Nobody(wait) => format!("nobody for {wait:?}"),
        }
    }

    #[test]
    fn in_order_the_first_is_asked_as_long_as_it_is_well() {
        let (endpoints, now) = (endpoints(false), Instant::now());
        for attempts in 0..4 {
            let expected = ["a", "b", "c", "a"][attempts];
            assert_eq!(host(&endpoints.choose(attempts, now)), expected);
        }
        while !endpoints.all[0].breaker.ill(now) {}
        assert_eq!(host(&endpoints.choose(0, now)), "b");
        let later = now + Duration::from_secs(1);
        assert_eq!(host(&endpoints.choose(0, later)), "probe a");
        assert_eq!(host(&endpoints.choose(0, later)), "b");
    }

    #[test]
    fn spread_they_take_turns_and_with_all_at_rest_nobody_is_asked() {
        let (endpoints, now) = (endpoints(true), Instant::now());
        let turns: Vec<_> = (0..4).map(|_| host(&endpoints.choose(0, now))).collect();
        assert_eq!(turns, ["a", "b", "c", "a"]);
        for endpoint in endpoints.iter() {
            while !endpoint.breaker.ill(now) {}
        }
        assert_eq!(host(&endpoints.choose(0, now)), "nobody for 1s");
    }
}
