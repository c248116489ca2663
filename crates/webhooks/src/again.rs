//! Sending once more, on an operator's word: events of the log, and tests.

use bytes::Bytes;
use events::{Payload, json};
use store::{Event, EventKind, Position, Redelivery, WebhookAttempt, WebhookDelivery};

use crate::draft::WebhookError;
use crate::manage::Webhooks;
use crate::names::{new_name, position_at};
use crate::outcome::Outcome;

/// Which events are to be sent once more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Again {
    /// All that were given up.
    Dead,
    /// The one with this id.
    Event(String),
    /// All since this time, in milliseconds since 1970, UTC, as far as they are kept.
    Since(i64),
}

impl Webhooks {
    /// Has events sent once more, under the ids that they had. Returns how many deliveries were queued; nothing for [`Again::Since`],
    /// which moves the webhook's position in the log back.
    ///
    /// # Errors
    /// When there is no such webhook, or the store can't be written.
    pub async fn redeliver(&self, id: &str, which: Again) -> Result<Option<u64>, WebhookError> {
        let which = match which {
            Again::Dead => Redelivery::Dead,
            Again::Event(event) => Redelivery::Event(event),
            Again::Since(at) => {
                // What is read comes after it, and the first event of that moment may be the one that was meant.
                let position = position_at(at).saturating_sub(1);
                self.change((id, None), move |webhook| {
                    let at = &mut webhook.progress;
                    at.position = at.position.min(position);
                    Ok(())
                })
                .await?;
                return Ok(None);
            }
        };
        self.find(id).await?;
        let count = self.store().redeliver(id, which).await?;
        self.changed().notify_one();
        Ok(Some(count))
    }

    /// Sends a test at once, whatever the state of the webhook, and returns what came of it.
    ///
    /// # Errors
    /// When there is no such webhook, or the store can't be read.
    pub async fn test(&self, id: &str) -> Result<WebhookAttempt, WebhookError> {
        let (webhook, _) = self.find(id).await?;
        let at = self.now_ms();
        let event_id = new_name("evt_")?;
        let ping = Event {
            position: Position::first_at(at),
            id: event_id.clone(),
            kind: EventKind::WebhookPing,
            at_ms: at,
            platform: String::new(),
            platformid: String::new(),
            destination: None,
            gap: false,
            late: false,
            row: Some("{}".to_owned()),
        };
        let body = Bytes::from(json(&ping, Payload::Full));
        let sender = self.sender();
        let sent = sender.send(&webhook, (&event_id, body), at / 1000).await;
        let is_ok = sent.outcome == Outcome::Delivered;
        tracing::info!(webhook = id, is_ok, cause = sent.cause, "webhook tested");
        Ok(WebhookAttempt {
            position: position_at(at),
            event_id,
            at,
            number: 1,
            status: sent.status,
            cause: sent.cause.to_owned(),
            ms: sent.ms,
        })
    }

    /// What is left to send, and what was given up, in the order of the events.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn deliveries(&self, id: &str) -> Result<Vec<WebhookDelivery>, WebhookError> {
        Ok(self.store().deliveries(id).await?)
    }

    /// The latest attempts, newest first.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn attempts(&self, id: &str, most: u32) -> Result<Vec<WebhookAttempt>, WebhookError> {
        Ok(self.store().attempts(id, most).await?)
    }
}
