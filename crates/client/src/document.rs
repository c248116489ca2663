//! Fetches and posts small documents, and reads answers as text.

use http::{HeaderValue, StatusCode};
use reqwest::Response;
use reqwest::header::{ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER};
use visible::is_invisible;

use crate::body::{BodyError, ROOM_WAIT, RoomWait, read_body};
use crate::client::{BoxedFuture, Client};
use crate::error::causes;

/// No deadline here, because the client enforces its own.
const ROOM: RoomWait = RoomWait {
    wait: ROOM_WAIT,
    deadline: None,
};

/// Gets a document such as a JWKS, with limits on time and size.
///
/// # Errors
/// One line, without the URL.
#[must_use]
pub fn get_document(
    client: &Client,
    url: url::Url,
    bytes_max: usize,
) -> BoxedFuture<'_, Result<String, String>> {
    Box::pin(document(client, url, bytes_max))
}

async fn document(client: &Client, url: url::Url, bytes_max: usize) -> Result<String, String> {
    let request = client.0.get(url).header(ACCEPT_ENCODING, "gzip");
    let response = request.send().await;
    let response = response.map_err(causes)?;
    let status = response.status();
    let text = text_of(response, bytes_max).await?;
    if status.is_success() {
        Ok(text)
    } else {
        Err(format!("status {}: {}", status.as_u16(), excerpt(&text)))
    }
}

/// A document to post.
#[derive(Debug)]
pub struct PostedDocument {
    /// The type of the document.
    pub content_type: &'static str,
    /// The header `Authorization`, if the server asks for one.
    pub authorization: Option<HeaderValue>,
    /// The document.
    pub body: Vec<u8>,
}

/// Posts a document. Returns the status of the answer and its Retry-After header. The body of the answer is discarded.
///
/// # Errors
/// One line, without the URL.
pub async fn post_document(
    client: &Client,
    url: url::Url,
    document: PostedDocument,
) -> Result<(StatusCode, Option<HeaderValue>), String> {
    let mut request = client
        .0
        .post(url)
        .header(CONTENT_TYPE, document.content_type);
    if let Some(authorization) = document.authorization {
        request = request.header(AUTHORIZATION, authorization);
    }
    let sent = request.body(document.body).send().await;
    let mut response = sent.map_err(causes)?;
    let (status, asked) = (
        response.status(),
        response.headers().get(RETRY_AFTER).cloned(),
    );
    // Read to the end, so that the connection can be used again.
    read_body(&mut response, IGNORED_BYTES_MAX, ROOM)
        .await
        .map_err(|_| "the answer can't be read".to_owned())?;
    Ok((status, asked))
}

/// Maximum number of bytes read of an answer of which only the status matters.
const IGNORED_BYTES_MAX: usize = 64 * 1024;

/// Maximum number of characters of another server's answer in our messages; enough to recognize the answer.
const EXCERPT_CHARACTERS_MAX: usize = 200;

/// Returns the beginning of another server's answer for the log: limited in length, on one line, and without characters that
/// control a terminal.
pub(crate) fn excerpt(text: &str) -> String {
    let mut excerpt: String = text
        .chars()
        .take(EXCERPT_CHARACTERS_MAX)
        .map(|c| if is_invisible(c) { '\u{fffd}' } else { c })
        .collect();
    if text.chars().nth(EXCERPT_CHARACTERS_MAX).is_some() {
        excerpt.push('…');
    }
    excerpt
}

/// Returns the body as text, whatever the status.
pub(crate) async fn text_of(mut response: Response, bytes_max: usize) -> Result<String, String> {
    let body = read_body(&mut response, bytes_max, ROOM).await;
    let body = body.map_err(|error| match error {
        BodyError::TooLarge => format!("the answer is larger than {bytes_max} bytes"),
        BodyError::NoRoom => "too many large answers at the same time".to_owned(),
        BodyError::Packed => "the answer can't be decompressed".to_owned(),
        BodyError::Broken(error) => error.cause,
    })?;
    Ok(String::from_utf8_lossy(&body).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excerpt_is_short_and_replaces_control_characters() {
        assert_eq!(excerpt("not found"), "not found");
        assert_eq!(
            excerpt("a\r\nb\u{1b}[2J\u{202e}c"),
            "a\u{fffd}\u{fffd}b\u{fffd}[2J\u{fffd}c"
        );
        let long = excerpt(&"ä".repeat(300_000));
        assert_eq!(long.chars().count(), EXCERPT_CHARACTERS_MAX + 1);
        assert!(long.ends_with('…'));
    }
}
