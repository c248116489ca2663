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
use crate::notice::PendingNotice;
use crate::observed_call::{ChannelName, ObservedCall, channel_names};
use crate::poll::{ChannelState, PollResult};
use crate::poll_interval::{PollInterval, PollOutcome};
use crate::service::Events;
use crate::upstream::{CallBudget, PolledUpstream, request};
use crate::visibility::may_listen;

/// Pause between two refreshes of the listeners. A revoked right ends polls after this time.
const REFRESH: Duration = Duration::from_secs(1);

/// Maximum age of the list of channels.
const LISTED_MAX: Duration = Duration::from_secs(60);

/// Pause after a failed list of channels.
const LIST_RETRY: Duration = Duration::from_secs(5);

/// Time without a successful poll after which a channel has stalled. Readers must be able to distinguish a quiet channel from a
/// failing one.
const STALLED_AFTER: Duration = Duration::from_secs(60);

/// Delay from a caller's call on a channel to the poll that finds its effect.
const POLL_AFTER_CALL: Duration = Duration::from_millis(300);

/// A channel with listeners.
struct WatchedChannel {
    listing: Request,
    interval: PollInterval,
    due: Instant,
    is_polling: bool,
    state: Option<ChannelState>,
    /// A list of the channel's chats from a caller's answer.
    observed: Option<Response>,
    last_good: Instant,
    stalled_at: Option<i64>,
    /// The notice that is not stored yet.
    notice: Option<PendingNotice>,
}

/// The result of a task of the watcher.
enum TaskResult {
    Poll(Box<PollResult>),
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
    tasks: JoinSet<TaskResult>,
    chance: foldhash::quality::RandomState,
    polls: u64,
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
            polls: 0,
        }
    }

    pub(crate) async fn run(mut self, mut observed: mpsc::Receiver<ObservedCall>) {
        let mut refresh = interval(REFRESH);
        refresh.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            if caught(self.turn(&mut refresh, &mut observed))
                .await
                .is_none()
            {
                self.recover();
                sleep(REFRESH).await;
            }
        }
    }

    /// Waits for something to do, does it, and starts the polls that are due.
    async fn turn(&mut self, refresh: &mut Interval, observed: &mut mpsc::Receiver<ObservedCall>) {
        let events = Arc::clone(&self.events);
        let due = self.channels.values().filter(|channel| !channel.is_polling);
        let due = due.map(|channel| channel.due).min();
        let next = due.unwrap_or_else(|| Instant::now() + REFRESH);
        tokio::select! {
            _ = refresh.tick() => self.refresh().await,
            () = events.interests.begun.notified() => self.refresh().await,
            Some(observed) = observed.recv() => self.handle_call(observed),
            Some(ended) = self.tasks.join_next() => self.handle_task_result(ended).await,
            () = sleep_until(next.into()) => {}
        }
        self.start_due_polls();
    }

    /// Makes everything due again after a turn that panicked, because the turn may have lost the result of a task. A poll that is
    /// still running may be repeated; it causes no event twice.
    fn recover(&mut self) {
        let now = Instant::now();
        self.list_at = Some(now + LIST_RETRY);
        for channel in self.channels.values_mut() {
            channel.is_polling = false;
            channel.due = now + self.events.config().poll_min;
        }
    }

    async fn handle_task_result(&mut self, ended: Result<TaskResult, JoinError>) {
        match ended {
            Ok(TaskResult::Poll(poll)) => self.poll_ended(*poll),
            Ok(TaskResult::Listing(listed)) => {
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
            TaskResult::Listing(listing.await.flatten())
        });
    }

    fn list(&mut self, listed: Option<&Response>) {
        let names = listed.and_then(|response| channel_names(response.result()));
        let pause = if names.is_some() {
            LISTED_MAX
        } else {
            LIST_RETRY
        };
        self.list_at = Some(Instant::now() + pause);
        self.listed = names.unwrap_or_else(|| std::mem::take(&mut self.listed));
    }

    /// Handles a caller's call that has shown or changed something.
    fn handle_call(&mut self, observed: ObservedCall) {
        let least = self.events.config().poll_min;
        let Some(channel) = self.channels.get_mut(&observed.channel) else {
            return;
        };
        channel.interval = PollInterval::new(least);
        if let Some(chats) = observed.chats {
            if !channel.is_polling {
                channel.observed = Some(chats);
                channel.due = Instant::now();
            }
        } else {
            channel.due = channel.due.min(Instant::now() + POLL_AFTER_CALL);
        }
    }

    /// Starts the polls that are due.
    fn start_due_polls(&mut self) {
        let (now, account) = (Instant::now(), self.upstream.account());
        let poller = self.events.poller(&self.upstream, &self.budget);
        for ((platform, platformid), channel) in &mut self.channels {
            if channel.is_polling || channel.due > now {
                continue;
            }
            channel.is_polling = true;
            // A later kick lowers this again for the next poll.
            channel.due = now + Duration::from_secs(3600);
            let name = EventChannel {
                account: account.clone(),
                platform: platform.clone(),
                platformid: platformid.clone(),
            };
            let (listing, observed) = (channel.listing.clone(), channel.observed.take());
            let failed = PollResult::failed(name.clone());
            let poll = poller
                .clone()
                .poll(name, listing, channel.state.take(), observed);
            self.tasks.spawn(async move {
                // After a panic the next poll reads the state of the channel from the store.
                TaskResult::Poll(Box::new(caught(poll).await.unwrap_or(failed)))
            });
        }
    }

    fn poll_ended(&mut self, poll: PollResult) {
        let config = self.events.config();
        self.polls += 1;
        let chance = self.chance.hash_one(self.polls) as f64 / u64::MAX as f64;
        let stands_back = self.upstream.is_busy();
        let name = (
            poll.channel.platform.clone(),
            poll.channel.platformid.clone(),
        );
        let Some(channel) = self.channels.get_mut(&name) else {
            return;
        };
        let bounds = (config.poll_min, config.poll_max);
        let pause =
            channel
                .interval
                .next_pause((poll.outcome, poll.took), bounds, stands_back, chance);
        channel.is_polling = false;
        channel.due = channel.due.min(poll.began + pause).max(Instant::now());
        channel.state = poll.state;
        if poll.outcome == PollOutcome::Failed {
            return;
        }
        channel.last_good = Instant::now();
        let remembered = channel
            .state
            .as_mut()
            .and_then(|state| state.memory.stalled_at.take());
        if let Some(stalled_at) = channel.stalled_at.take().or(remembered) {
            let now_ms = self.events.judged_now_ms();
            let notice = PendingNotice::resumed(poll.channel, stalled_at, now_ms);
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
        self.events.counts.set_stalled(stalled.count());
    }
}

impl WatchedChannel {
    /// Returns a channel that is due now; `None` if its name is not valid in a call.
    fn new((platform, platformid): &ChannelName, least: Duration) -> Option<WatchedChannel> {
        let values = [("platform", platform.as_str()), ("platformid", platformid)];
        Some(WatchedChannel {
            listing: request("getchats", &values)?,
            interval: PollInterval::new(least),
            due: Instant::now(),
            is_polling: false,
            state: None,
            observed: None,
            last_good: Instant::now(),
            stalled_at: None,
            notice: None,
        })
    }

    /// Queues the notice, if there is one.
    fn queue_notice(&mut self, events: &Events) {
        let is_kept = |notice: &mut PendingNotice| {
            notice.queue_until_kept(|observation| events.recorder.queue(observation))
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
            self.start_due_polls();
            while let Some(ended) = self.tasks.join_next().await {
                self.handle_task_result(ended).await;
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
