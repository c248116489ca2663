//! A successful answer of the upstream.

use std::sync::{Arc, OnceLock};

use crate::json::compact;

/// The upstream's result. A clone shares its text.
#[derive(Clone, Debug)]
pub struct Response(Arc<ResultText>);

#[derive(Debug)]
struct ResultText {
    text: String,
    /// The length in a dialect that has to render all of the text to know it.
    rendered_length: OnceLock<u64>,
}

impl PartialEq for Response {
    fn eq(&self, other: &Response) -> bool {
        self.result() == other.result()
    }
}

impl Eq for Response {}

impl Response {
    /// A response with the empty result, `{}`.
    #[must_use]
    pub fn empty() -> Response {
        Response::new("{}".to_owned())
    }

    /// Takes the upstream's `result` as JSON text and keeps it value for value on one line; `None` when an object in it holds
    /// a key twice.
    ///
    /// The text must be valid JSON; the caller's parser has proved that.
    #[must_use]
    pub fn of(result: &str) -> Option<Response> {
        let mut result = compact(result)?;
        // A result that was full of white space is not to keep the room of it.
        if result.len() < result.capacity() / 2 {
            result.shrink_to_fit();
        }
        Some(Response::new(result))
    }

    fn new(text: String) -> Response {
        Response(Arc::new(ResultText {
            text,
            rendered_length: OnceLock::new(),
        }))
    }

    /// The result as compact JSON text.
    #[must_use]
    pub fn result(&self) -> &str {
        &self.0.text
    }

    /// A length that follows from the result, measured once for all clones: many callers may get one answer. `measure` has
    /// to return the same length each time.
    #[must_use]
    pub fn length(&self, measure: impl FnOnce() -> u64) -> u64 {
        *self.0.rendered_length.get_or_init(measure)
    }

    /// The length of the result in bytes, which is its weight in a cache.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.0.text.len()
    }
}
