//! What happened to a channel as a whole: readers have to hear of it, however long the store can't be written.

use store::{EventChannel, EventKind};
use tokio::sync::oneshot::Receiver;
use tokio::sync::oneshot::error::TryRecvError;

use crate::json::quoted;
use crate::recorder::Observation;

/// A channel has stalled, or is looked at again.
struct ChannelNotice {
    channel: EventChannel,
    /// Since when it has stalled, or had, in milliseconds since 1970, UTC: tells the notice from others of its kind.
    since: i64,
    kind: EventKind,
    /// What its row says besides the channel, as a member of a JSON object.
    member: String,
}

/// A notice that is queued until it is kept. No later look shows it again.
pub(crate) struct PendingNotice {
    notice: ChannelNotice,
    kept: Option<Receiver<()>>,
}

impl ChannelNotice {
    /// The row of the log, and what is to be known of the channel from then on.
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
    /// A channel has stalled, since then in milliseconds.
    pub(crate) fn stalled(channel: EventChannel, since: i64) -> PendingNotice {
        let text = jiff::Timestamp::from_millisecond(since).unwrap_or_default();
        let member = format!(r#""since":"{text:.3}""#);
        PendingNotice::new(channel, (EventKind::ChannelStalled, since), member)
    }

    /// A channel that had stalled since then is looked at again, both in milliseconds.
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

    /// Queues it unless it waits in the queue, and returns whether it is kept. Its id is always the same, so that it is kept once.
    pub(crate) fn is_kept(
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
    fn a_notice_is_queued_until_it_is_kept() {
        let channel = EventChannel {
            account: "host".to_owned(),
            platform: "webchat".to_owned(),
            platformid: "1".to_owned(),
        };
        let mut pending = PendingNotice::resumed(channel, 7_000, 67_000);
        // There is no room.
        assert!(!pending.is_kept(|_| None));
        let (lost, is_lost) = oneshot::channel();
        let mut seen = None;
        assert!(!pending.is_kept(|observation| {
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
        assert!(!pending.is_kept(|_| panic!("it waits")));
        // It could not be written.
        drop(lost);
        let (kept, is_kept) = oneshot::channel();
        assert!(!pending.is_kept(|_| Some(is_kept)));
        kept.send(()).unwrap();
        assert!(pending.is_kept(|_| panic!("it is kept")));
    }
}
