//! The webhook and its version that an operator means.

/// A webhook that an operator means.
#[derive(Clone, Copy, Debug)]
pub struct WebhookTarget<'a> {
    /// The id of the webhook.
    pub id: &'a str,
    /// The version that the operator has seen; `None` accepts any version.
    pub seen: Option<i64>,
}

impl<'a> WebhookTarget<'a> {
    /// Means any version of the webhook.
    #[must_use]
    pub fn any(id: &'a str) -> WebhookTarget<'a> {
        WebhookTarget { id, seen: None }
    }

    /// Means this version of the webhook.
    #[must_use]
    pub fn version(id: &'a str, seen: i64) -> WebhookTarget<'a> {
        WebhookTarget {
            id,
            seen: Some(seen),
        }
    }
}
