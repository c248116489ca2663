//! The form by which people send a message, as the call that it stands for.

use adapter::{Code, Error, Operation, Params, Wire};
use bytes::Bytes;
use http::HeaderMap;
use hyper::body::Incoming;

use super::rows::ChatChannel;
use crate::answer::read_body;

/// A form that was sent.
pub(super) struct MessageForm {
    pub(super) request: Result<adapter::Request, Error>,
    /// The text, shown again when it is refused.
    pub(super) message: String,
}

impl MessageForm {
    /// Reads a form by the bounds of the API: what can be typed is what could be received.
    pub(super) async fn read(body: Incoming, channel: &ChatChannel, destination: &str) -> Self {
        let message = read_body(body).await.and_then(|body| typed(&body));
        let request = message.as_ref().map_err(Error::clone).and_then(|text| {
            let mut params = Params::from_pairs([
                ("platform", channel.platform.clone()),
                ("platformid", channel.platformid.clone()),
                ("destination", destination.to_owned()),
                ("message", text.clone()),
            ]);
            let operation = Operation::named("sendmessage");
            let operation = operation.ok_or_else(|| Error::refused(Code::InternalError))?;
            adapter::Request::of(operation, &mut params)
        });
        MessageForm {
            request,
            message: message.unwrap_or_default(),
        }
    }
}

/// The field `message` of a form.
fn typed(body: &Bytes) -> Result<String, Error> {
    let mut params = Params::read(&Wire {
        query: "",
        headers: &HeaderMap::new(),
        body,
    })?;
    Ok(params.take("message")?.unwrap_or_default())
}
