//! Sends events of the log again on an operator's request, and sends tests.

use bytes::Bytes;
use events::{Payload, json};
use store::{Event, EventKind, Position, Redelivery, WebhookAttempt, WebhookDelivery};

use crate::draft::WebhookError;
use crate::manage::Webhooks;
use crate::names::{new_name, position_at};
use crate::outcome::Outcome;
use crate::webhook_target::WebhookTarget;

/// The events to send again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RedeliveryRequest {
    /// All dead deliveries, which were given up.
    Dead,
    /// The event with this id.
    Event(String),
    /// All events since this time, in milliseconds since 1970, UTC, that the log still contains.
    Since(i64),
}

impl Webhooks {
    /// Sends events again, under their original ids. Returns the number of queued deliveries, or `None` for [`RedeliveryRequest::Since`], which
    /// moves the webhook's position in the log back.
    ///
    /// # Errors
    /// Returns an error if the webhook does not exist or the store can't be written.
    pub async fn redeliver(
        &self,
        id: &str,
        which: RedeliveryRequest,
    ) -> Result<Option<u64>, WebhookError> {
        let which = match which {
            RedeliveryRequest::Dead => Redelivery::Dead,
            RedeliveryRequest::Event(event) => Redelivery::Event(event),
            RedeliveryRequest::Since(at) => {
                // Reading starts after the position. Subtract one, so that the first event of this millisecond is included.
                let position = position_at(at).saturating_sub(1);
                self.change(WebhookTarget::any(id), move |webhook| {
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

    /// Sends a test immediately, regardless of the webhook's state, and returns its outcome.
    ///
    /// # Errors
    /// Returns an error if the webhook does not exist or the store can't be read.
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
        let accepted = sent.outcome == Outcome::Delivered;
        tracing::info!(webhook = id, accepted, cause = sent.cause, "webhook tested");
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

    /// Returns the pending and the dead deliveries, in the order of their events.
    ///
    /// # Errors
    /// Returns an error if the store can't be read.
    pub async fn deliveries(&self, id: &str) -> Result<Vec<WebhookDelivery>, WebhookError> {
        Ok(self.store().deliveries(id).await?)
    }

    /// Returns the latest attempts, newest first.
    ///
    /// # Errors
    /// Returns an error if the store can't be read.
    pub async fn attempts(&self, id: &str, most: u32) -> Result<Vec<WebhookAttempt>, WebhookError> {
        Ok(self.store().attempts(id, most).await?)
    }
}
