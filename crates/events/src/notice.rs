//! Notices about a channel as a whole. They are retried until they are stored, because readers must receive them even if the store
//! cannot be written for a long time.

use store::{EventChannel, EventKind};
use tokio::sync::oneshot::Receiver;
use tokio::sync::oneshot::error::TryRecvError;

use crate::json::quoted;
use crate::observation_queue::Observation;

/// A notice that a channel has stalled or has resumed.
struct ChannelNotice {
    channel: EventChannel,
    /// The time at which the channel stalled, in milliseconds since 1970, UTC. It distinguishes the notice from others of its kind.
    since: i64,
    kind: EventKind,
    /// The member of the notice's row in addition to the channel, as a member of a JSON object.
    member: String,
}

/// A notice that is queued until it is stored, because no later poll detects it again.
pub(crate) struct PendingNotice {
    notice: ChannelNotice,
    kept: Option<Receiver<()>>,
}

impl ChannelNotice {
    /// Returns the row for the log and the new state of the channel.
    fn observation(&self) -> Observation {
        let EventChannel {
            platform,
            platformid,
            ..
        } = &self.channel;
        let (platformid, platform, member) = (quoted(platformid), quoted(platform), &self.member);
        Observation::Channel {
            channel: self.channel.clone(),
            stalled_at: (self.kind == EventKind::ChannelStalled).then_some(self.since),
            kind: self.kind,
            what: self.since.to_string(),
            row: format!(r#"{{"platformid":{platformid},"platform":{platform},{member}}}"#),
        }
    }
}

impl PendingNotice {
    /// Creates the notice that a channel has stalled, with the time in milliseconds.
    pub(crate) fn stalled(channel: EventChannel, since: i64) -> PendingNotice {
        let text = jiff::Timestamp::from_millisecond(since).unwrap_or_default();
        let member = format!(r#""since":"{text:.3}""#);
        PendingNotice::new(channel, (EventKind::ChannelStalled, since), member)
    }

    /// Creates the notice that a stalled channel is polled successfully again. `since` is the time at which it stalled; both times
    /// are in milliseconds.
    pub(crate) fn resumed(channel: EventChannel, since: i64, now_ms: i64) -> PendingNotice {
        let stalled_s = now_ms.saturating_sub(since) / 1000;
        let member = format!(r#""stalled_s":{stalled_s}"#);
        PendingNotice::new(channel, (EventKind::ChannelResumed, since), member)
    }

    fn new(channel: EventChannel, (kind, since): (EventKind, i64), member: String) -> Self {
        PendingNotice {
            notice: ChannelNotice {
                channel,
                since,
                kind,
                member,
            },
            kept: None,
        }
    }

    /// Queues the notice unless it is queued already, and returns whether it is stored. Its id is always the same, so that it is
    /// stored only once.
    pub(crate) fn queue_until_kept(
        &mut self,
        queue: impl FnOnce(Observation) -> Option<Receiver<()>>,
    ) -> bool {
        match self.kept.as_mut().map(Receiver::try_recv) {
            Some(Ok(())) => return true,
            Some(Err(TryRecvError::Empty)) => return false,
            Some(Err(TryRecvError::Closed)) | None => {}
        }
        self.kept = queue(self.notice.observation());
        false
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    #[test]
    fn a_notice_is_queued_again_until_it_is_stored() {
        let channel = EventChannel {
            account: "host".to_owned(),
            platform: "webchat".to_owned(),
            platformid: "1".to_owned(),
        };
        let mut pending = PendingNotice::resumed(channel, 7_000, 67_000);
        // The queue is full.
        assert!(!pending.queue_until_kept(|_| None));
        let (lost, is_lost) = oneshot::channel();
        let mut seen = None;
        assert!(!pending.queue_until_kept(|observation| {
            seen = Some(observation);
            Some(is_lost)
        }));
        let Some(Observation::Channel { row, .. }) = seen else {
            panic!("nothing was queued");
        };
        assert_eq!(
            row,
            r#"{"platformid":"1","platform":"webchat","stalled_s":60}"#
        );
        assert!(!pending.queue_until_kept(|_| panic!("it waits")));
        // The write failed.
        drop(lost);
        let (kept, is_kept) = oneshot::channel();
        assert!(!pending.queue_until_kept(|_| Some(is_kept)));
        kept.send(()).unwrap();
        assert!(pending.queue_until_kept(|_| panic!("it is kept")));
    }
}
