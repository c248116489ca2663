//! Small documents and texts of other servers.

use http::{HeaderValue, StatusCode};
use reqwest::Response;
use reqwest::header::{ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER};

use crate::body::{BodyError, ROOM_WAIT, RoomWait, read_body};
use crate::client::{Boxed, Client};
use crate::error::causes;

/// The client sees to the deadline.
const ROOM: RoomWait = RoomWait {
    wait: ROOM_WAIT,
    deadline: None,
};

/// A GET for a document such as a JWKS: bounded in time and size.
///
/// # Errors
/// One line, without the URL.
#[must_use]
pub fn get_document(
    client: &Client,
    url: url::Url,
    bytes_max: usize,
) -> Boxed<'_, Result<String, String>> {
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
    /// What it is.
    pub content_type: &'static str,
    /// The header of this name, if the server asks for one.
    pub authorization: Option<HeaderValue>,
    /// The document.
    pub body: Vec<u8>,
}

/// Posts a document, and returns the status of the answer and how long it asks to be left alone. Of the answer's body nothing is
/// kept.
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
    // Read to its end, so that the connection serves again.
    read_body(&mut response, IGNORED_BYTES_MAX, ROOM)
        .await
        .map_err(|_| "the answer can't be read".to_owned())?;
    Ok((status, asked))
}

/// Most that is read of an answer that says no more than its status, in bytes.
const IGNORED_BYTES_MAX: usize = 64 * 1024;

/// How much of another server's answer goes into a message of ours, in characters: enough to see what it is.
const EXCERPT_CHARACTERS_MAX: usize = 200;

/// The beginning of another server's answer, for the log: bounded, on one line, and without characters that would steer a
/// terminal.
pub(crate) fn excerpt(text: &str) -> String {
    let mut excerpt: String = text
        .chars()
        .take(EXCERPT_CHARACTERS_MAX)
        .map(|c| if steers(c) { '\u{fffd}' } else { c })
        .collect();
    if text.chars().nth(EXCERPT_CHARACTERS_MAX).is_some() {
        excerpt.push('…');
    }
    excerpt
}

/// Whether a character moves the cursor, or turns the direction of writing.
fn steers(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The body as text, whatever its status.
pub(crate) async fn text_of(mut response: Response, bytes_max: usize) -> Result<String, String> {
    let body = read_body(&mut response, bytes_max, ROOM).await;
    let body = body.map_err(|error| match error {
        BodyError::TooLarge => format!("the answer is larger than {bytes_max} bytes"),
        BodyError::NoRoom => "too many answers are large".to_owned(),
        BodyError::Packed => "the answer can't be unpacked".to_owned(),
        BodyError::Broken(error) => error.cause,
    })?;
    Ok(String::from_utf8_lossy(&body).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excerpt_is_short_on_one_line_and_steers_nothing() {
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
