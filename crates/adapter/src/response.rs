//! A successful answer of the upstream.

use std::sync::{Arc, OnceLock};

use crate::json::compact;

/// The upstream's result. Clones share its text.
#[derive(Clone, Debug)]
pub struct Response(Arc<ResultText>);

#[derive(Debug)]
struct ResultText {
    text: String,
    /// The length in a dialect that can determine the length only by rendering the whole text.
    rendered_length: OnceLock<u64>,
}

impl PartialEq for Response {
    fn eq(&self, other: &Response) -> bool {
        self.result() == other.result()
    }
}

impl Eq for Response {}

impl Response {
    /// Returns a response with the empty result, `{}`.
    #[must_use]
    pub fn empty() -> Response {
        Response::new("{}".to_owned())
    }

    /// Compacts the upstream's `result`, a JSON text, to one line without changing any value. Returns `None` if an object in it has
    /// a duplicate key.
    ///
    /// The text must be valid JSON; the caller's parser has proved that.
    #[must_use]
    pub fn of(result: &str) -> Option<Response> {
        let mut result = compact(result)?;
        // Frees the unused capacity of a result that consisted mostly of white space.
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

    /// Returns the result as compact JSON text.
    #[must_use]
    pub fn result(&self) -> &str {
        &self.0.text
    }

    /// Returns a length that depends only on the result, measured once for all clones, because many callers may get the same
    /// answer. `measure` must return the same length each time.
    #[must_use]
    pub fn length(&self, measure: impl FnOnce() -> u64) -> u64 {
        *self.0.rendered_length.get_or_init(measure)
    }

    /// Returns the length of the result in bytes, which is its weight in a cache.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.0.text.len()
    }
}
