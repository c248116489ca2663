//! Converts the form with which people send a message to a call.

use adapter::{Code, Error, Operation, Params, Wire};
use bytes::Bytes;
use http::HeaderMap;
use hyper::body::Incoming;

use super::rows::ChatChannel;
use crate::answer::read_body;

/// A sent form.
pub(super) struct MessageForm {
    pub(super) request: Result<adapter::Request, Error>,
    /// The text, which is shown again if it is rejected.
    pub(super) message: String,
}

impl MessageForm {
    /// Reads a form with the bounds of the API, so that a person can type exactly what a call could send.
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

/// Returns the field `message` of a form.
fn typed(body: &Bytes) -> Result<String, Error> {
    let mut params = Params::read(&Wire {
        query: "",
        headers: &HeaderMap::new(),
        body,
    })?;
    Ok(params.take("message")?.unwrap_or_default())
}
