//! The body of an answer: a long one is produced while it is taken, with its length announced beforehand.

use std::convert::Infallible;

use adapter::Rest;
use axum::body::{Body, Bytes};
use forward::HeldAnswer;
use futures_util::stream;

/// Builds the body with this beginning and rest, and returns its length in bytes if the body does not know it. What is held
/// for it is released when the last piece has been taken, or the body is dropped.
pub(super) fn body(
    first: Bytes,
    rest: Option<Rest>,
    held: Option<HeldAnswer>,
) -> (Body, Option<u64>) {
    if rest.is_none() && held.is_none() {
        return (Body::from(first), None);
    }
    let bytes = first.len() as u64 + rest.as_ref().map_or(0, Rest::bytes);
    let pieces = Some(first).into_iter().chain(rest.into_iter().flatten());
    let pieces = pieces.filter(|piece| !piece.is_empty()).map(move |piece| {
        let _held = &held;
        Ok::<_, Infallible>(piece)
    });
    (Body::from_stream(stream::iter(pieces)), Some(bytes))
}
