//! Builds the body of an answer. A long body is produced while it is taken, but its length is announced beforehand.

use std::convert::Infallible;

use adapter::BodyRest;
use axum::body::{Body, Bytes};
use forward::HeldAnswer;
use futures_util::stream;

/// Builds the body from its beginning and its rest. Returns the length in bytes if the body does not know it. `held` is released
/// when the last piece has been taken or the body is dropped.
pub(super) fn body(
    first: Bytes,
    rest: Option<BodyRest>,
    held: Option<HeldAnswer>,
) -> (Body, Option<u64>) {
    if rest.is_none() && held.is_none() {
        return (Body::from(first), None);
    }
    let bytes = first.len() as u64 + rest.as_ref().map_or(0, BodyRest::bytes);
    let pieces = Some(first).into_iter().chain(rest.into_iter().flatten());
    let pieces = pieces.filter(|piece| !piece.is_empty()).map(move |piece| {
        let _held = &held;
        Ok::<_, Infallible>(piece)
    });
    (Body::from_stream(stream::iter(pieces)), Some(bytes))
}
