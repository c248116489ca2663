//! Polls a channel once: lists its chats, fetches the unread messages of changed chats if the configuration allows that, and stores
//! the changes.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::time::{Duration, Instant};

use adapter::{Request, Response};
use store::{ChannelMemory, EventChannel, Store, Tip};

use crate::config::{EventDepth, EventsConfig};
use crate::counts::EventCounts;
use crate::days::Days;
use crate::history::{compared, is_before};
use crate::interests::now_ms;
use crate::observation_queue::{Observation, RecorderHandle};
use crate::poll_interval::PollOutcome;
use crate::polled_chat::PolledChat;
use crate::recorder::{floor_of_new_chats, tips_of};
use crate::row::{ListedRow, listed_rows};
use crate::upstream::{CallBudget, PolledUpstream, request};

/// Number of chats from which a list without any known chat may belong to another account.
const OTHER_CHATS_MIN: usize = 10;

/// The dependencies of a poll.
#[derive(Clone)]
pub(crate) struct Poller {
    pub(crate) store: Arc<Store>,
    pub(crate) upstream: Arc<dyn PolledUpstream>,
    pub(crate) budget: Arc<CallBudget>,
    pub(crate) recorder: RecorderHandle,
    pub(crate) counts: Arc<EventCounts>,
    pub(crate) config: Arc<EventsConfig>,
}

/// The knowledge about a channel between two polls.
pub(crate) struct ChannelState {
    pub(crate) memory: ChannelMemory,
    /// True until a poll has recorded the channel.
    is_first: bool,
    /// A hash of the last list.
    body: Option<u64>,
}

/// The result of a poll.
pub(crate) struct PollResult {
    pub(crate) channel: EventChannel,
    pub(crate) outcome: PollOutcome,
    pub(crate) began: Instant,
    /// The duration of the call for the list of chats.
    pub(crate) took: Duration,
    pub(crate) state: Option<ChannelState>,
}

impl PollResult {
    /// Returns the result of a poll that failed immediately, without a state.
    pub(crate) fn failed(channel: EventChannel) -> PollResult {
        PollResult {
            channel,
            outcome: PollOutcome::Failed,
            began: Instant::now(),
            took: Duration::ZERO,
            state: None,
        }
    }
}

impl Poller {
    /// Polls a channel. `observed` is a list of its chats that a caller has just received, which saves the call.
    pub(crate) async fn poll(
        self,
        channel: EventChannel,
        listing: Request,
        mut state: Option<ChannelState>,
        observed: Option<Response>,
    ) -> PollResult {
        let began = Instant::now();
        let per_second = self.config.calls_per_second.get();
        let asked = match observed {
            Some(response) => Some(response),
            None => self.budget.ask(&*self.upstream, &listing, per_second).await,
        };
        let took = began.elapsed();
        let outcome = match asked {
            Some(response) => {
                self.compare(&channel, &listing, &mut state, &response)
                    .await
            }
            None => None,
        };
        let outcome = outcome.unwrap_or(PollOutcome::Failed);
        self.counts.record_poll(outcome);
        PollResult {
            channel,
            outcome,
            began,
            took,
            state,
        }
    }

    /// Compares the list with the last poll and stores the changes. Returns `None` if the list cannot be read or the changes cannot
    /// be stored.
    async fn compare(
        &self,
        channel: &EventChannel,
        listing: &Request,
        state: &mut Option<ChannelState>,
        response: &Response,
    ) -> Option<PollOutcome> {
        let hash = foldhash::quality::FixedState::default().hash_one(response.result());
        let state = match state {
            Some(state) => state,
            None => state.insert(self.remember(channel).await?),
        };
        if state.body == Some(hash) {
            return Some(PollOutcome::Quiet);
        }
        let tips = tips_of(listed_rows(response.result(), self.config.keeps_texts)?);
        let newest = newest_of(&tips, Days::around(self.store.judged_ms(now_ms())));
        let is_other = is_other_account(&state.memory, &tips);
        if is_other && !state.is_first {
            tracing::warn!(
                "a channel lists only unknown chats, most of them old, as if it belonged to another account: the messages that it \
                 lists now count as history"
            );
        }
        let is_first = state.is_first || is_other;
        let changed = tips.into_iter().filter(|(destination, tip)| {
            let known = state.memory.tips.get(destination).and_then(Option::as_ref);
            known.is_none_or(|known| (&known.id, &known.status) != (&tip.id, &tip.status))
        });
        let changed: Vec<_> = changed.collect();
        if changed.is_empty() && !is_first {
            state.body = Some(hash);
            return Some(PollOutcome::Quiet);
        }
        self.upstream.has_changed(listing);
        let changed_channel = ChangedChannel {
            poller: self,
            channel,
            listing,
            is_first,
            newest,
        };
        let is_whole = changed_channel.keep(state, changed).await;
        state.is_first = is_first && !is_whole;
        state.body = is_whole.then_some(hash);
        is_whole.then_some(PollOutcome::Changed)
    }

    async fn remember(&self, channel: &EventChannel) -> Option<ChannelState> {
        let memory = self.store.channel_memory(channel).await.ok()?;
        Some(ChannelState {
            is_first: memory.is_none(),
            memory: memory.unwrap_or_default(),
            body: None,
        })
    }

    /// Fetches the unread messages of a chat; none if it cannot be asked for.
    pub(crate) async fn fetch_unread(
        &self,
        channel: &EventChannel,
        destination: &str,
    ) -> Option<Vec<ListedRow>> {
        let values = [
            ("platform", channel.platform.as_str()),
            ("platformid", channel.platformid.as_str()),
            ("destination", destination),
        ];
        let Some(request) = request("getunreadmessages", &values) else {
            // No call can name the chat, so its unread messages stay unknown.
            return Some(Vec::new());
        };
        let per_second = self.config.calls_per_second.get();
        self.counts.record_fill();
        let response = self
            .budget
            .ask(&*self.upstream, &request, per_second)
            .await?;
        listed_rows(response.result(), self.config.keeps_texts)
    }
}

/// A channel with changed chats.
struct ChangedChannel<'l> {
    poller: &'l Poller,
    channel: &'l EventChannel,
    listing: &'l Request,
    is_first: bool,
    newest: Option<String>,
}

impl ChangedChannel<'_> {
    /// Stores the changes. Returns whether all of them are stored.
    async fn keep(&self, state: &mut ChannelState, changed: Vec<(String, ListedRow)>) -> bool {
        let depth = self.poller.config.depth;
        if self.is_first || depth == EventDepth::Hint {
            let chats = changed
                .into_iter()
                .map(|(destination, tip)| polled(destination, tip));
            return self.record(state, chats.collect(), true).await;
        }
        let mut is_whole = true;
        for (destination, tip) in changed {
            let known = state.memory.tips.get(&destination);
            let floor = floor_of_new_chats(&state.memory);
            let is_old =
                known.is_none() && is_before(&floor, tip.datetime.as_deref()) == Some(true);
            let has_moved = known
                .and_then(Option::as_ref)
                .is_none_or(|known| known.id != tip.id);
            let mut chat = polled(destination, tip);
            if has_moved && !is_old {
                match self
                    .poller
                    .fetch_unread(self.channel, &chat.destination)
                    .await
                {
                    Some(unread) => {
                        let settling =
                            self.poller
                                .find_order((self.channel, self.listing), &chat, unread);
                        chat.unread = settling.await;
                    }
                    None => {
                        is_whole = false;
                        continue;
                    }
                }
            }
            is_whole &= self.record(state, vec![chat], false).await;
        }
        // The newest datetime is stored last, because otherwise a new chat whose messages are not fetched yet would count as
        // history.
        let is_kept = self.newest == state.memory.newest;
        is_whole && (is_kept || self.record(state, Vec::new(), true).await)
    }

    async fn record(&self, state: &mut ChannelState, chats: Vec<PolledChat>, is_end: bool) -> bool {
        let tips: Vec<(String, Tip)> = chats
            .iter()
            .map(|chat| (chat.destination.clone(), chat.to_tip()))
            .collect();
        let newest = self.newest.clone().filter(|_| is_end);
        let kept = self.poller.recorder.keep(Observation::Poll {
            channel: self.channel.clone(),
            newest: newest.clone(),
            chats,
            is_first: self.is_first,
            floor: floor_of_new_chats(&state.memory),
            depth: self.poller.config.depth,
        });
        if !kept.await {
            return false;
        }
        let tips = tips
            .into_iter()
            .map(|(destination, tip)| (destination, Some(tip)));
        state.memory.tips.extend(tips);
        state.memory.newest = newest.or(state.memory.newest.take());
        true
    }
}

fn polled(destination: String, tip: ListedRow) -> PolledChat {
    PolledChat {
        destination,
        tip,
        unread: Vec::new(),
    }
}

/// Returns whether the list belongs to another account: many chats, none of them known, and most of them older than the last poll.
fn is_other_account(memory: &ChannelMemory, tips: &HashMap<String, ListedRow>) -> bool {
    let is_known = |destination: &String| memory.tips.contains_key(destination);
    let floor = floor_of_new_chats(memory);
    let is_old = |tip: &&ListedRow| is_before(&floor, tip.datetime.as_deref()) == Some(true);
    let old = tips.values().filter(is_old).count();
    tips.len() >= OTHER_CHATS_MIN && old > tips.len() / 2 && !tips.keys().any(is_known)
}

/// Returns the largest datetime of a poll, but none since the beginning of yesterday. Later messages in new chats may be new, because
/// the upstream's clock may show the time of any time zone, and may be set back. Without comparable datetimes all messages may be new.
fn newest_of(tips: &HashMap<String, ListedRow>, days: Days) -> Option<String> {
    if tips.is_empty() {
        // A channel whose chats appear later has a history as well.
        return Some(days.yesterday);
    }
    let datetimes = tips.values().filter_map(|tip| tip.datetime.as_ref());
    let later = |one: &&String, other: &&String| compared(one, other).unwrap_or(Ordering::Equal);
    let newest = datetimes.max_by(later)?;
    let is_older = compared(newest, &days.yesterday)? == Ordering::Less;
    Some(if is_older {
        newest.clone()
    } else {
        days.yesterday
    })
}
