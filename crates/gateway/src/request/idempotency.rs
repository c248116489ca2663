//! A send, kept true through crashes: its key first, then its trace on the disk, and only then the upstream. The answer
//! leaves when what became of the key is on the disk as well.

use std::sync::Arc;
use std::time::Duration;

use adapter::{Code, Delivery, Error, Request, Response as Success};
use aws_lc_rs::digest::{Context, SHA256};
use store::{Access, Claim, NoRoom, Obstacle, Opened, Receipt, ReceiptState, Settlement};
use tokio::sync::oneshot;

use crate::request::record::Story;
use crate::state::snapshot::Snapshot;

/// Most bytes of a key: four times what any client library makes.
pub(crate) const KEY_BYTES_MAX: usize = 255;

/// When to ask again for a send that is under way: it ends within seconds.
const UNDER_WAY_RETRY_S: u32 = 1;

/// When to come again while the store can't be written.
const STORE_RETRY_S: u32 = 10;

/// Longest that an answer waits for its receipt to get to the disk. What was sent is told all the same; until the store is
/// written again the key counts as under way.
const SETTLE_MAX: Duration = Duration::from_secs(5);

/// Reads a key.
///
/// # Errors
/// INCORRECT_PARAM when it can't be one.
pub(crate) fn key(given: Result<Option<String>, Error>) -> Result<Option<String>, Error> {
    let Some(key) = given? else { return Ok(None) };
    if (1..=KEY_BYTES_MAX).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_graphic()) {
        return Ok(Some(key));
    }
    let text = format!("An idempotency key has 1 to {KEY_BYTES_MAX} visible ASCII characters.");
    Err(Error::explained(Code::IncorrectParam, text))
}

/// What a send with this key claims.
pub(crate) fn claim(
    snapshot: &Snapshot,
    (access, request): (&Access, &Request),
    request_id: &str,
    key: String,
) -> Claim {
    let now = Snapshot::now();
    Claim {
        client_id: access.client_id.clone(),
        method: request.operation().method,
        key,
        fingerprint: fingerprint(request),
        request_id: request_id.to_owned(),
        now,
        kept_since: now.saturating_sub(snapshot.receipts_kept_s),
        room: snapshot.receipt_room,
    }
}

/// Tells two requests apart whatever way they came.
fn fingerprint(request: &Request) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    for (parameter, value) in request.pairs() {
        // With its length, so that no two requests are one text.
        context.update(parameter.name.as_bytes());
        context.update(&[0]);
        context.update(&(value.len() as u64).to_le_bytes());
        context.update(value.as_bytes());
    }
    let mut fingerprint = [0; 32];
    fingerprint.copy_from_slice(context.finish().as_ref());
    fingerprint
}

/// What the key's first call was told, if it was used before.
///
/// # Errors
/// IDEMPOTENCY_MISMATCH, IDEMPOTENCY_IN_PROGRESS, what the first call ended with; RATE_LIMITED or OVERLOADED when there is no
/// room for another receipt, of the access or at all; OVERLOADED when the store can't be read.
pub(crate) async fn replayed(
    snapshot: &Snapshot,
    story: &mut Story,
    claim: &Claim,
) -> Result<Option<Arc<Success>>, Error> {
    let obstacle = snapshot.store.obstacle(claim).await;
    let obstacle = obstacle.map_err(|error| store_failing(&error))?;
    obstacle
        .map(|obstacle| stopped(story, claim, &obstacle))
        .transpose()
}

/// Puts the trace of a send on the disk, with the key that it claims. Gives what the key's first call was told, should
/// another have claimed it meanwhile.
///
/// # Errors
/// As [`replayed`]; OVERLOADED when the store can't be written. Nothing may be sent then.
pub(crate) async fn open(
    snapshot: &Snapshot,
    story: &mut Story,
    claim: Option<Claim>,
) -> Result<Option<Arc<Success>>, Error> {
    let has_key = claim.is_some();
    let asked = claim.clone();
    let opened = snapshot.store.journal().open(story.open_row(), claim).await;
    match (opened.map_err(|error| store_failing(&error))?, asked) {
        (Opened::Obstacle(obstacle), Some(claim)) => stopped(story, &claim, &obstacle).map(Some),
        (Opened::Obstacle(_), None) => Err(Error::refused(Code::InternalError)
            .because("a receipt for a send without a key")
            .with_delivery(Some(Delivery::NotSent))),
        (Opened::Intent(intent), _) => {
            story.sends(intent, has_key);
            Ok(None)
        }
    }
}

/// What a send is told whose key could not be claimed.
fn stopped(story: &mut Story, claim: &Claim, obstacle: &Obstacle) -> Result<Arc<Success>, Error> {
    match obstacle {
        Obstacle::Known(receipt) => replay(story, claim, receipt),
        Obstacle::NoRoom(no_room) => Err(without_room(*no_room)),
    }
}

/// Nothing is sent under a key that could not be remembered.
fn without_room(no_room: NoRoom) -> Error {
    let (code, text, setting) = if no_room.own {
        let text = "This access has used too many idempotency keys; try again later, or send without a key.";
        (Code::RateLimited, text, "receipts.bytes_per_access")
    } else {
        let text =
            "There is no room for another idempotency key; try again later, or send without a key.";
        (Code::Overloaded, text, "receipts.bytes")
    };
    Error::explained(code, text)
        .because(format!("receipts take all of {setting}"))
        .retry_after(u32::try_from(no_room.retry_s).unwrap_or(u32::MAX))
}

/// Tells once more what the first call was told.
fn replay(story: &mut Story, claim: &Claim, receipt: &Receipt) -> Result<Arc<Success>, Error> {
    let word = match receipt.state {
        ReceiptState::Sent => Delivery::Sent,
        ReceiptState::Open | ReceiptState::Unknown => Delivery::Unknown,
    };
    if receipt.fingerprint != claim.fingerprint {
        let cause = format!("the key belongs to request {}", receipt.request_id);
        let mismatch = Error::refused(Code::IdempotencyMismatch).because(cause);
        return Err(mismatch.with_delivery(Some(word)));
    }
    let answer = receipt.answer.as_deref();
    match receipt.state {
        ReceiptState::Open => {
            let cause = format!("request {} is under way", receipt.request_id);
            let under_way = Error::refused(Code::IdempotencyInProgress).because(cause);
            Err(under_way
                .with_delivery(Some(word))
                .retry_after(UNDER_WAY_RETRY_S))
        }
        ReceiptState::Sent => {
            story.replays = true;
            // What is kept was taken as an answer before.
            let told = answer.and_then(Success::of);
            Ok(Arc::new(told.unwrap_or_else(Success::empty)))
        }
        ReceiptState::Unknown => {
            story.replays = true;
            let code = Code::ALL
                .into_iter()
                .find(|code| Some(code.word()) == answer);
            let cause = format!("as request {} was told", receipt.request_id);
            let error = Error::refused(code.unwrap_or(Code::UpstreamError)).because(cause);
            Err(error.with_delivery(Some(word)))
        }
    }
}

/// Whether a call that sends nothing may be made though no trace of it may be left.
///
/// # Errors
/// OVERLOADED when the store can't be written and the operator wants no reads then.
pub(crate) fn may_go_untraced(snapshot: &Snapshot) -> Result<(), Error> {
    if snapshot.serves_without_store {
        return Ok(());
    }
    snapshot
        .store
        .journal()
        .trouble()
        .map_or(Ok(()), |trouble| {
            let refused = Error::refused(Code::Overloaded).because(trouble);
            Err(refused.retry_after(STORE_RETRY_S))
        })
}

/// How the key of a send is left that ended so.
pub(crate) fn settlement(outcome: Result<&Success, &Error>) -> Settlement {
    match outcome {
        Ok(success) => Settlement::Sent(success.result().to_owned()),
        Err(error) if error.delivery() == Some(Delivery::NotSent) => Settlement::Free,
        Err(error) => Settlement::Unknown(error.code().word()),
    }
}

/// Waits until what became of the key is on the disk.
pub(crate) async fn settled(settling: Option<oneshot::Receiver<()>>) {
    if let Some(settling) = settling
        && tokio::time::timeout(SETTLE_MAX, settling).await.is_err()
    {
        tracing::error!("a receipt is not on the disk yet; its key counts as under way");
    }
}

/// Without its trace no send begins.
fn store_failing(error: &store::StoreError) -> Error {
    Error::refused(Code::Overloaded)
        .because(error.to_string())
        .with_delivery(Some(Delivery::NotSent))
        .retry_after(STORE_RETRY_S)
}
