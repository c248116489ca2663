//! What somebody has typed, as the call that it stands for.

use adapter::{Code, Error, Operation, Params, Wire};
use bytes::Bytes;
use http::HeaderMap;
use hyper::body::Incoming;

use super::rows::Channel;
use crate::answer::read_body;

/// What a form says, as the call that it is.
pub(super) struct Said {
    pub(super) request: Result<adapter::Request, Error>,
    /// The text, to be given back when it is refused.
    pub(super) message: String,
}

/// Judged by the bounds of the API: what can be typed is what could be received.
pub(super) async fn said(body: Incoming, channel: &Channel, destination: &str) -> Said {
    let message = match read_body(body).await {
        Ok(body) => typed(&body),
        Err(error) => Err(error),
    };
    match message {
        Err(error) => Said {
            request: Err(error),
            message: String::new(),
        },
        Ok(message) => {
            let mut params = Params::from_pairs([
                ("platform", channel.platform.clone()),
                ("platformid", channel.platformid.clone()),
                ("destination", destination.to_owned()),
                ("message", message.clone()),
            ]);
            let operation = Operation::named("sendmessage");
            let operation = operation.ok_or_else(|| Error::refused(Code::InternalError));
            Said {
                request: operation.and_then(|op| adapter::Request::of(op, &mut params)),
                message,
            }
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
