//! Observes callers' calls: lists in their answers are stored in the same log, and every observed call causes its channel to be
//! polled soon.

use adapter::{Request, Response};
use forward::{CallObserver, KeptSignal};
use store::EventChannel;

use crate::diff::ListKind;
use crate::observation_queue::Observation;
use crate::observed_call::ObservedCall;
use crate::service::Events;

impl CallObserver for Events {
    fn observe(&self, request: &Request, response: &Response) -> Option<KeptSignal> {
        let watched = self.watched.load();
        if watched.is_empty() {
            return None;
        }
        let (platform, platformid) = (request.value("platform")?, request.value("platformid")?);
        if !watched.get(platform)?.contains(platformid) {
            return None;
        }
        let method = request.operation().method;
        // If the queue is full, the next poll finds the change.
        let _ = self.observed_calls.try_send(ObservedCall {
            channel: (platform.to_owned(), platformid.to_owned()),
            chats: (method == "getchats").then(|| response.clone()),
        });
        let kind = match method {
            "getmessages" => ListKind::Whole,
            "getunreadmessages" => ListKind::Unread,
            _ => return None,
        };
        let kept = self.recorder.queue(Observation::List {
            channel: EventChannel {
                account: self.account()?,
                platform: platform.to_owned(),
                platformid: platformid.to_owned(),
            },
            destination: request.value("destination")?.to_owned(),
            kind,
            result: response.clone(),
            keeps_texts: self.config().keeps_texts,
        });
        if kept.is_none() {
            self.counts.unstored_lists(1);
        }
        kept
    }
}
