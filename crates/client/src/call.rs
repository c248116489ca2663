//! Requests of the command line to a running gateway.

use std::fmt;

use http::HeaderMap;
use http::header::IF_MATCH;
use reqwest::Response;
use tokio::io::{AsyncWrite, AsyncWriteExt};

use crate::client::{BoxedFuture, Client};
use crate::document::{excerpt, text_of};
use crate::error::causes;

/// Maximum length of an answer that is read as text, in bytes. A page of the journal with a hundred changes of long lists fits.
const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;

/// A request of our own command line to our own gateway.
#[derive(Debug)]
pub struct GatewayCall<'a> {
    /// The URL of the request.
    pub url: url::Url,
    /// A form to post.
    pub form: Option<&'a [(&'a str, &'a str)]>,
    /// A method and a JSON document. Without a document and without a form the request is a GET.
    pub json: Option<(http::Method, String)>,
    /// A bearer key.
    pub bearer: Option<&'a str>,
    /// The ETag of the resource that the document changes. If the resource has changed since, the answer is 412.
    pub if_match: Option<String>,
}

/// The reason why a call failed.
#[derive(Debug)]
pub enum CallError {
    /// There was no complete answer. The text is one line without the URL.
    NoAnswer(String),
    /// The status of the answer is not 2xx.
    Refused {
        /// The status of the answer.
        status: u16,
        /// The body of the answer.
        body: String,
    },
    /// The answer could not be written to its destination.
    NotWritten(std::io::Error),
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CallError::NoAnswer(why) => f.write_str(why),
            CallError::NotWritten(error) => error.fmt(f),
            CallError::Refused { status, body } => write!(f, "status {status}: {}", excerpt(body)),
        }
    }
}

/// A 2xx answer.
#[derive(Debug)]
pub struct GatewayAnswer {
    /// Headers of the answer.
    pub headers: HeaderMap,
    /// The body of the answer.
    pub body: String,
}

/// Sends one request and returns a 2xx answer.
///
/// # Errors
/// There is no answer, or its status is not 2xx.
#[must_use]
pub fn call<'a>(
    client: &'a Client,
    call: GatewayCall<'a>,
) -> BoxedFuture<'a, Result<GatewayAnswer, CallError>> {
    Box::pin(read_whole(client, call))
}

async fn read_whole(client: &Client, call: GatewayCall<'_>) -> Result<GatewayAnswer, CallError> {
    let response = answered(client, call).await?;
    let headers = response.headers().clone();
    let body = text_of(response, ANSWER_BYTES_MAX).await;
    Ok(GatewayAnswer {
        headers,
        body: body.map_err(CallError::NoAnswer)?,
    })
}

/// Sends one request and writes the body of a 2xx answer as it arrives. Only the client's timeout limits its size, because a holder
/// of the operators' key may fill their own disk. `come` is called with the number of bytes so far and, if known, the total.
///
/// # Errors
/// There is no complete answer, its status is not 2xx, or it can't be written.
pub async fn save(
    client: &Client,
    call: GatewayCall<'_>,
    file: &mut (impl AsyncWrite + Unpin),
    come: impl Fn(u64, Option<u64>),
) -> Result<(), CallError> {
    let mut response = answered(client, call).await?;
    let (mut bytes, all) = (0, response.content_length());
    while let Some(chunk) = response.chunk().await.map_err(no_answer)? {
        let written = file.write_all(&chunk).await;
        written.map_err(CallError::NotWritten)?;
        bytes += chunk.len() as u64;
        come(bytes, all);
    }
    file.flush().await.map_err(CallError::NotWritten)
}

fn answered<'a>(
    client: &'a Client,
    call: GatewayCall<'a>,
) -> BoxedFuture<'a, Result<Response, CallError>> {
    Box::pin(send(client, call))
}

async fn send(client: &Client, call: GatewayCall<'_>) -> Result<Response, CallError> {
    let mut request = match (call.form, call.json) {
        (Some(form), _) => client.0.post(call.url).form(form),
        (None, Some((method, document))) => client.0.request(method, call.url).body(document),
        (None, None) => client.0.get(call.url),
    };
    if let Some(key) = call.bearer {
        request = request.bearer_auth(key);
    }
    if let Some(tag) = call.if_match {
        request = request.header(IF_MATCH, tag);
    }
    let response = request.send().await.map_err(no_answer)?;
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let body = text_of(response, ANSWER_BYTES_MAX).await;
    Err(CallError::Refused {
        status: status.as_u16(),
        body: body.unwrap_or_default(),
    })
}

fn no_answer(error: reqwest::Error) -> CallError {
    CallError::NoAnswer(causes(error))
}
