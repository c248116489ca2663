//! Tests that no event leaves the way out stuck. Random calls end, fail, are abandoned or panic at any step, with reloads and tries
//! of the next account in between, on a clock that the test sets. The test covers endpoints, permits and lines. Afterwards the
//! upstream is well, and a call has to be served within the longest time that a breaker stays open.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use client::Target;

use super::breaker::OPEN_TIME_MAX;
use super::endpoint::{ChosenEndpoint, EndpointChoice, UpstreamEndpoints};
use super::queue::{AdmissionQueue, QueueFull, QueuePermit};

/// Number of interleavings, and the number of events in each.
const INTERLEAVINGS: u64 = 10_000;
const EVENTS: usize = 80;

/// Number of successive configurations in one interleaving.
const GENERATIONS: usize = 2;

/// The state that all calls share under one configuration.
struct SharedState {
    endpoints: UpstreamEndpoints,
    queue: Arc<AdmissionQueue>,
}

impl SharedState {
    fn new(chance: &mut SplitMix64) -> SharedState {
        let urls = ["http://a/", "http://b/"].map(|url| url.parse().unwrap());
        let urls = &urls[..1 + chance.below(2)];
        let targets = urls
            .iter()
            .map(|url| Target::new(0, url).unwrap())
            .collect();
        SharedState {
            endpoints: UpstreamEndpoints::new(urls.to_vec(), targets, chance.below(2) == 0),
            queue: AdmissionQueue::new(1 + chance.below(4), chance.below(8)),
        }
    }
}

/// A generator that gives the same numbers for the same seed (splitmix64).
struct SplitMix64(u64);

impl SplitMix64 {
    fn below(&mut self, most: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((x ^ (x >> 31)) % most as u64) as usize
    }
}

type Acquiring<'w> = Pin<Box<dyn Future<Output = Result<QueuePermit, QueueFull>> + 'w>>;

/// The step that a call has reached.
enum Step<'w> {
    /// The call waits in a line.
    Waits(Acquiring<'w>),
    HasPermit(QueuePermit),
    /// The call asks an endpoint. A probe for other calls has no permit.
    Asks(Option<QueuePermit>, ChosenEndpoint<'w>, Instant),
}

struct Call<'w> {
    world: &'w SharedState,
    is_read: bool,
    /// The index of the endpoint that was asked last.
    asked: Option<usize>,
    step: Step<'w>,
}

/// The state of everything at one moment.
struct Model<'w> {
    chance: SplitMix64,
    now: Instant,
    world: &'w SharedState,
    calls: Vec<Call<'w>>,
    is_success: bool,
}

impl<'w> Model<'w> {
    fn begin(&mut self) {
        let world = self.world;
        let is_read = self.chance.below(3) > 0;
        let step = match world.queue.try_acquire() {
            Some(permit) => Step::HasPermit(permit),
            None => Step::Waits(Box::pin(
                world
                    .queue
                    .acquire(["a", "b"][self.chance.below(2)], self.now),
            )),
        };
        self.calls.push(Call {
            world,
            is_read,
            asked: None,
            step,
        });
    }

    /// Moves one random call to its next step: to a permit, to asking, or to its end.
    fn advance_random_call(&mut self) {
        if self.calls.is_empty() {
            return;
        }
        let at = self.chance.below(self.calls.len());
        let Call {
            world,
            is_read,
            mut asked,
            step,
        } = self.calls.swap_remove(at);
        let step = match step {
            Step::Waits(mut waiting) => {
                match waiting
                    .as_mut()
                    .poll(&mut Context::from_waker(Waker::noop()))
                {
                    Poll::Pending => Step::Waits(waiting),
                    Poll::Ready(Ok(permit)) => Step::HasPermit(permit),
                    Poll::Ready(Err(QueueFull)) => return,
                }
            }
            Step::HasPermit(permit) => match self.choose(world, asked, is_read) {
                Some(chosen) => {
                    asked = Some(chosen.index);
                    Step::Asks(Some(permit), chosen, self.now)
                }
                None => return,
            },
            Step::Asks(permit, chosen, began) => match self.end(permit, chosen, began) {
                Some(permit) => Step::HasPermit(permit),
                None => return,
            },
        };
        self.calls.push(Call {
            world,
            is_read,
            asked,
            step,
        });
    }

    fn choose(
        &mut self,
        world: &'w SharedState,
        asked: Option<usize>,
        is_read: bool,
    ) -> Option<ChosenEndpoint<'w>> {
        let EndpointChoice { chosen, to_probe } = world.endpoints.choose(asked, self.now, is_read);
        let probe = to_probe.and_then(|at| world.endpoints.probe(at, self.now));
        self.calls.extend(probe.map(|chosen| Call {
            world,
            is_read: true,
            asked: None,
            step: Step::Asks(None, chosen, self.now),
        }));
        chosen.ok()
    }

    /// Ends an attempt according to the state of the upstream. Returns the permit if the call is repeated.
    fn end(
        &mut self,
        permit: Option<QueuePermit>,
        chosen: ChosenEndpoint<'_>,
        began: Instant,
    ) -> Option<QueuePermit> {
        if self.is_success {
            chosen.permit.success(self.now);
        } else {
            chosen.permit.failure(self.now);
        }
        let mut permit = permit?;
        permit.record_attempt("getchats", (began, self.now), self.is_success);
        if self.is_success || self.chance.below(2) == 0 {
            return None;
        }
        permit.will_retry();
        Some(permit)
    }

    /// Drops a call, because its caller disconnects or it panics. Everything that it holds is dropped.
    fn drop_random_call(&mut self, panics: bool) {
        if self.calls.is_empty() {
            return;
        }
        let lost = self.calls.swap_remove(self.chance.below(self.calls.len()));
        if panics {
            let unwound = catch_unwind(AssertUnwindSafe(|| {
                let _lost = lost;
                resume_unwind(Box::new(()));
            }));
            assert!(unwound.is_err());
        }
    }

    fn apply_random_event(&mut self, next: &mut dyn Iterator<Item = &'w SharedState>) {
        match self.chance.below(24) {
            0..6 => self.begin(),
            6..16 => self.advance_random_call(),
            16 | 17 => self.drop_random_call(false),
            18 => self.drop_random_call(true),
            // The try of the next account, which is dropped or ends without reporting to the breaker.
            19 => drop(self.world.endpoints.healthy()),
            20 => self.world = next.next().unwrap_or(self.world),
            21 => self.is_success = self.chance.below(4) == 0,
            _ => self.now += Duration::from_millis(self.chance.below(1500) as u64),
        }
    }

    /// Makes the upstream well, and brings every call to an end.
    fn recover(&mut self) {
        self.is_success = true;
        while !self.calls.is_empty() {
            match self.chance.below(4) {
                0 => self.drop_random_call(false),
                _ => self.advance_random_call(),
            }
        }
    }

    /// Returns the time until a call is served. From then on all calls are served.
    fn time_until_served(&mut self) -> Duration {
        let began = self.now;
        loop {
            assert!(self.now - began <= OPEN_TIME_MAX, "stuck");
            let permit = self.world.queue.try_acquire();
            let mut permit = permit.expect("nobody holds or waits for a permit");
            if let Ok(chosen) = self.world.endpoints.choose(None, self.now, true).chosen {
                permit.record_attempt("getchats", (self.now, self.now), true);
                chosen.permit.success(self.now);
                return self.now - began;
            }
            self.now += Duration::from_millis(50);
        }
    }
}

#[test]
fn random_interleavings_of_calls_never_leave_the_way_out_stuck() {
    let mut longest = Duration::ZERO;
    for seed in 0..INTERLEAVINGS {
        let mut chance = SplitMix64(seed);
        let worlds: Vec<_> = (0..GENERATIONS)
            .map(|_| SharedState::new(&mut chance))
            .collect();
        let mut generations = worlds.iter();
        let world = generations.next().unwrap();
        let mut model = Model {
            chance,
            now: Instant::now(),
            world,
            calls: Vec::new(),
            is_success: false,
        };
        for _ in 0..EVENTS {
            model.apply_random_event(&mut generations);
        }
        model.recover();
        for world in &worlds {
            let occupancy = world.queue.occupancy();
            assert_eq!((occupancy.in_use, occupancy.waiting), (0, 0), "seed {seed}");
            // No call asks now, so no probe may be running.
            let is_probing = world
                .endpoints
                .iter()
                .any(|known| known.breaker.is_probing());
            assert!(!is_probing, "seed {seed}");
        }
        longest = longest.max(model.time_until_served());
    }
    // Some interleavings have to find an open breaker. Otherwise the test would prove nothing.
    assert!(longest >= Duration::from_secs(1), "{longest:?}");
}
