//! Decides which channels have listeners and when each is polled. Nothing is polled while nobody listens.

use std::collections::{HashMap, HashSet};
use std::hash::BuildHasher;
use std::sync::Arc;
use std::time::{Duration, Instant};

use adapter::{Request, Response};
use store::EventChannel;
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Interval, MissedTickBehavior, interval, sleep, sleep_until};

use crate::caught::caught;
use crate::heard::{ChannelName, Heard, channel_names};
use crate::look::{ChannelState, EndedLook};
use crate::notice::PendingNotice;
use crate::pace::{LookOutcome, LookPace};
use crate::service::Events;
use crate::upstream::{CallBudget, PolledUpstream, request};
use crate::visible::may_listen;

/// Pause between two refreshes of the listeners. A revoked right ends polls after this time.
const REFRESH: Duration = Duration::from_secs(1);

/// Maximum age of the list of channels.
const LISTED_MAX: Duration = Duration::from_secs(60);

/// Pause after a failed list of channels.
const LIST_AGAIN: Duration = Duration::from_secs(5);

/// Time without a successful poll after which a channel has stalled. Readers must be able to distinguish a quiet channel from a
/// failing one.
const STALLED_AFTER: Duration = Duration::from_secs(60);

/// Delay from a caller's call on a channel to the poll that finds its effect.
const KICK: Duration = Duration::from_millis(300);

/// A channel with listeners.
struct WatchedChannel {
    listing: Request,
    pace: LookPace,
    due: Instant,
    is_looked_at: bool,
    state: Option<ChannelState>,
    /// A list of the channel's chats from a caller's answer.
    heard: Option<Response>,
    last_good: Instant,
    stalled_at: Option<i64>,
    /// The notice that is not stored yet.
    notice: Option<PendingNotice>,
}

/// The result of a task of the watcher.
enum Ended {
    Look(Box<EndedLook>),
    Listing(Option<Response>),
}

/// Polls channels as long as the task runs.
pub(crate) struct Watcher {
    events: Arc<Events>,
    upstream: Arc<dyn PolledUpstream>,
    budget: Arc<CallBudget>,
    channels: HashMap<ChannelName, WatchedChannel>,
    listed: Vec<ChannelName>,
    /// The time at which the channels must be listed again; `None` while they are being listed.
    list_at: Option<Instant>,
    tasks: JoinSet<Ended>,
    chance: foldhash::quality::RandomState,
    looks: u64,
}

impl Watcher {
    pub(crate) fn new(events: Arc<Events>, upstream: Arc<dyn PolledUpstream>) -> Watcher {
        Watcher {
            events,
            upstream,
            budget: Arc::new(CallBudget::new()),
            channels: HashMap::new(),
            listed: Vec::new(),
            list_at: Some(Instant::now()),
            tasks: JoinSet::new(),
            chance: foldhash::quality::RandomState::default(),
            looks: 0,
        }
    }

    pub(crate) async fn run(mut self, mut heard: mpsc::Receiver<Heard>) {
        let mut refresh = interval(REFRESH);
        refresh.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            if caught(self.turn(&mut refresh, &mut heard)).await.is_none() {
                self.recover();
                sleep(REFRESH).await;
            }
        }
    }

    /// Waits for something to do, does it, and starts the polls that are due.
    async fn turn(&mut self, refresh: &mut Interval, heard: &mut mpsc::Receiver<Heard>) {
        let events = Arc::clone(&self.events);
        let due = self
            .channels
            .values()
            .filter(|channel| !channel.is_looked_at);
        let due = due.map(|channel| channel.due).min();
        let next = due.unwrap_or_else(|| Instant::now() + REFRESH);
        tokio::select! {
            _ = refresh.tick() => self.refresh().await,
            () = events.interests.begun.notified() => self.refresh().await,
            Some(heard) = heard.recv() => self.hear(heard),
            Some(ended) = self.tasks.join_next() => self.take(ended).await,
            () = sleep_until(next.into()) => {}
        }
        self.begin_due();
    }

    /// Makes everything due again after a turn that panicked, because the turn may have lost the result of a task. A poll that is
    /// still running may be repeated; it causes no event twice.
    fn recover(&mut self) {
        let now = Instant::now();
        self.list_at = Some(now + LIST_AGAIN);
        for channel in self.channels.values_mut() {
            channel.is_looked_at = false;
            channel.due = now + self.events.config().poll_min;
        }
    }

    async fn take(&mut self, ended: Result<Ended, JoinError>) {
        match ended {
            Ok(Ended::Look(look)) => self.ended(*look),
            Ok(Ended::Listing(listed)) => {
                self.list(listed.as_ref());
                self.refresh().await;
            }
            // Panics are caught within the tasks, and no task is aborted while this runs.
            Err(error) => tracing::error!(%error, "a poll ended without a result"),
        }
    }

    /// Updates the listeners and their channels.
    async fn refresh(&mut self) {
        let is_ours = self.events.config().enabled && self.events.share_interests().await;
        let now_s = self.events.judged_now_ms() / 1000;
        let listening = if is_ours {
            self.events.listening()
        } else {
            Vec::new()
        };
        let listening: Vec<_> = listening
            .into_iter()
            .filter(|access| access.is_live(now_s) && may_listen(access))
            .collect();
        if listening.is_empty() {
            self.channels.clear();
        } else if self.list_at.is_some_and(|at| at <= Instant::now()) {
            self.begin_listing();
        }
        let wanted = self.listed.iter().filter(|(platform, platformid)| {
            let may_use = |access| forward::may_use(access, platform, platformid);
            listening.iter().any(|access| may_use(access))
        });
        let wanted: HashSet<&ChannelName> = wanted.collect();
        self.channels.retain(|name, _| wanted.contains(name));
        let least = self.events.config().poll_min;
        for name in wanted {
            if !self.channels.contains_key(name)
                && let Some(channel) = WatchedChannel::new(name, least)
            {
                self.channels.insert(name.clone(), channel);
            }
        }
        self.events.watch(self.channels.keys());
        self.find_stalled();
    }

    fn begin_listing(&mut self) {
        let Some(request) = request("getchatchannels", &[]) else {
            return;
        };
        self.list_at = None;
        let (budget, upstream) = (Arc::clone(&self.budget), Arc::clone(&self.upstream));
        let per_second = self.events.config().calls_per_second.get();
        self.tasks.spawn(async move {
            // A panic counts as a failed list.
            let listing = caught(budget.ask(&*upstream, &request, per_second));
            Ended::Listing(listing.await.flatten())
        });
    }

    fn list(&mut self, listed: Option<&Response>) {
        let names = listed.and_then(|response| channel_names(response.result()));
        let pause = if names.is_some() {
            LISTED_MAX
        } else {
            LIST_AGAIN
        };
        self.list_at = Some(Instant::now() + pause);
        self.listed = names.unwrap_or_else(|| std::mem::take(&mut self.listed));
    }

    /// Handles a caller's call that has shown or changed something.
    fn hear(&mut self, heard: Heard) {
        let least = self.events.config().poll_min;
        let Some(channel) = self.channels.get_mut(&heard.channel) else {
            return;
        };
        channel.pace = LookPace::new(least);
        if let Some(chats) = heard.chats {
            if !channel.is_looked_at {
                channel.heard = Some(chats);
                channel.due = Instant::now();
            }
        } else {
            channel.due = channel.due.min(Instant::now() + KICK);
        }
    }

    /// Starts the polls that are due.
    fn begin_due(&mut self) {
        let (now, account) = (Instant::now(), self.upstream.account());
        let looker = self.events.looker(&self.upstream, &self.budget);
        for ((platform, platformid), channel) in &mut self.channels {
            if channel.is_looked_at || channel.due > now {
                continue;
            }
            channel.is_looked_at = true;
            // A later kick lowers this again for the next poll.
            channel.due = now + Duration::from_secs(3600);
            let name = EventChannel {
                account: account.clone(),
                platform: platform.clone(),
                platformid: platformid.clone(),
            };
            let (listing, heard) = (channel.listing.clone(), channel.heard.take());
            let failed = EndedLook::failed(name.clone());
            let look = looker
                .clone()
                .look(name, listing, channel.state.take(), heard);
            self.tasks.spawn(async move {
                // After a panic the next poll reads the state of the channel from the store.
                Ended::Look(Box::new(caught(look).await.unwrap_or(failed)))
            });
        }
    }

    fn ended(&mut self, look: EndedLook) {
        let config = self.events.config();
        self.looks += 1;
        let chance = self.chance.hash_one(self.looks) as f64 / u64::MAX as f64;
        let stands_back = self.upstream.is_busy();
        let name = (
            look.channel.platform.clone(),
            look.channel.platformid.clone(),
        );
        let Some(channel) = self.channels.get_mut(&name) else {
            return;
        };
        let bounds = (config.poll_min, config.poll_max);
        let pause = channel
            .pace
            .after((look.outcome, look.took), bounds, stands_back, chance);
        channel.is_looked_at = false;
        channel.due = channel.due.min(look.began + pause).max(Instant::now());
        channel.state = look.state;
        if look.outcome == LookOutcome::Failed {
            return;
        }
        channel.last_good = Instant::now();
        let remembered = channel
            .state
            .as_mut()
            .and_then(|state| state.memory.stalled_at.take());
        if let Some(stalled_at) = channel.stalled_at.take().or(remembered) {
            let now_ms = self.events.judged_now_ms();
            let notice = PendingNotice::resumed(look.channel, stalled_at, now_ms);
            channel.notice = Some(notice);
            channel.queue_notice(&self.events);
        }
    }

    fn find_stalled(&mut self) {
        let (account, now_ms) = (self.upstream.account(), self.events.judged_now_ms());
        for ((platform, platformid), channel) in &mut self.channels {
            channel.queue_notice(&self.events);
            let silent = channel.last_good.elapsed();
            if silent < STALLED_AFTER || channel.stalled_at.is_some() {
                continue;
            }
            let since = now_ms - i64::try_from(silent.as_millis()).unwrap_or(0);
            channel.stalled_at = Some(since);
            let name = EventChannel {
                account: account.clone(),
                platform: platform.clone(),
                platformid: platformid.clone(),
            };
            channel.notice = Some(PendingNotice::stalled(name, since));
            channel.queue_notice(&self.events);
        }
        let stalled = self
            .channels
            .values()
            .filter(|channel| channel.stalled_at.is_some());
        self.events.counts.stalled(stalled.count());
    }
}

impl WatchedChannel {
    /// Returns a channel that is due now; `None` if its name is not valid in a call.
    fn new((platform, platformid): &ChannelName, least: Duration) -> Option<WatchedChannel> {
        let values = [("platform", platform.as_str()), ("platformid", platformid)];
        Some(WatchedChannel {
            listing: request("getchats", &values)?,
            pace: LookPace::new(least),
            due: Instant::now(),
            is_looked_at: false,
            state: None,
            heard: None,
            last_good: Instant::now(),
            stalled_at: None,
            notice: None,
        })
    }

    /// Queues the notice, if there is one.
    fn queue_notice(&mut self, events: &Events) {
        let is_kept = |notice: &mut PendingNotice| {
            notice.is_kept(|observation| events.recorder.queue(observation))
        };
        if self.notice.as_mut().is_some_and(is_kept) {
            self.notice = None;
        }
    }
}

#[cfg(test)]
mod steps {
    use super::*;

    impl Watcher {
        /// Starts the tasks that are due and waits for them.
        pub(crate) async fn round(&mut self) {
            self.refresh().await;
            self.begin_due();
            while let Some(ended) = self.tasks.join_next().await {
                self.take(ended).await;
            }
        }

        /// Makes every poll due, and moves the last successful poll of each channel back by this time.
        pub(crate) fn age(&mut self, by: Duration) {
            for channel in self.channels.values_mut() {
                channel.due = Instant::now();
                channel.last_good = channel.last_good.checked_sub(by).unwrap();
            }
        }
    }
}
