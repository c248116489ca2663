//! The state of a send, which survives crashes: claim the key → write the open row and the key to the disk → dispatch to the
//! upstream → settle the key. The answer leaves when the receipt of the key is on the disk.

use std::sync::Arc;
use std::time::{Duration, Instant};

use adapter::{Code, Delivery, Error, IDEMPOTENCY_KEY_BYTES_MAX, Request, Response as Success};
use store::{
    Access, Claim, Intent, JournalRow, Obstacle, OpenResult, Receipt, ReceiptState, ReceiptsFull,
    Settlement, sha256,
};
use tokio::sync::oneshot;

use crate::state::snapshot::Snapshot;

/// Seconds after which a caller may ask again about a send that is under way. The send ends soon.
const UNDER_WAY_RETRY_S: u32 = 1;

/// Seconds after which a caller may retry while the store can't be written.
const STORE_RETRY_S: u32 = 10;

/// Maximum time that an answer waits until its receipt is on the disk. After that the answer leaves without it. The key counts as
/// under way until the store is written again.
const SETTLE_MAX: Duration = Duration::from_secs(5);

/// Checks an idempotency key.
///
/// # Errors
/// INCORRECT_PARAM when the key is too long or contains characters that keys may not contain.
pub(crate) fn check_key(given: Result<Option<String>, Error>) -> Result<Option<String>, Error> {
    let Some(key) = given? else { return Ok(None) };
    if (1..=IDEMPOTENCY_KEY_BYTES_MAX).contains(&key.len())
        && key.bytes().all(|b| b.is_ascii_graphic())
    {
        return Ok(Some(key));
    }
    let text = format!(
        "An idempotency key has 1 to {IDEMPOTENCY_KEY_BYTES_MAX} visible ASCII characters."
    );
    Err(Error::explained(Code::IncorrectParam, text))
}

/// The progress of a send. A state is only followed by a later state.
#[derive(Default)]
pub(crate) enum SendState {
    /// Nothing has been sent.
    #[default]
    Idle,
    /// The send carries this key.
    Keyed(Claim),
    /// The key was used before, so the outcome of its first call is repeated.
    Replayed,
    /// The open row and the claimed key are on the disk. From here on, bytes may have left for the upstream.
    Dispatched { intent: Intent, has_key: bool },
    /// The outcome is recorded. The receiver resolves when the key's receipt is on the disk.
    Settling(oneshot::Receiver<()>),
}

impl SendState {
    /// Begins a send, which claims `key` if there is one.
    pub(crate) fn begin(
        snapshot: &Snapshot,
        access: &Access,
        request: &Request,
        request_id: &str,
        key: Option<String>,
    ) -> SendState {
        let Some(key) = key else {
            return SendState::Idle;
        };
        let now = Snapshot::now();
        SendState::Keyed(Claim {
            client_id: access.client_id.clone(),
            method: request.operation().method,
            key,
            fingerprint: fingerprint(request),
            request_id: request_id.to_owned(),
            now,
            kept_since: now.saturating_sub(snapshot.receipts_kept_s),
            room: snapshot.receipt_room,
        })
    }

    /// Returns the outcome of the key's first call, if the key was used before.
    ///
    /// # Errors
    /// IDEMPOTENCY_MISMATCH; IDEMPOTENCY_IN_PROGRESS; the error of the first call; RATE_LIMITED or OVERLOADED when the access or
    /// the store has no room for another receipt; OVERLOADED when the store can't be read.
    pub(crate) async fn replay(
        &mut self,
        snapshot: &Snapshot,
    ) -> Result<Option<Arc<Success>>, Error> {
        let SendState::Keyed(claim) = self else {
            return Ok(None);
        };
        let fingerprint = claim.fingerprint;
        let obstacle = snapshot.store.obstacle(claim).await;
        let obstacle = obstacle.map_err(|error| store_failing(&error))?;
        obstacle
            .map(|obstacle| self.resolve_obstacle(&obstacle, &fingerprint))
            .transpose()
    }

    /// Writes the open row of a send to the disk, together with the key that it claims. Returns the outcome of the key's first
    /// call, if another send has claimed the key since [`SendState::replay`]. `began` is the time at which the request began.
    ///
    /// # Errors
    /// The same as [`SendState::replay`]; OVERLOADED when the store can't be written. Then nothing may be sent.
    pub(crate) async fn dispatch(
        &mut self,
        snapshot: &Snapshot,
        row: JournalRow,
        began: Instant,
    ) -> Result<Option<Arc<Success>>, Error> {
        let claim = match std::mem::take(self) {
            SendState::Keyed(claim) => Some(claim),
            _ => None,
        };
        let fingerprint = claim.as_ref().map(|claim| claim.fingerprint);
        let opened = snapshot.store.journal().open(row, claim, began).await;
        match (opened.map_err(|error| store_failing(&error))?, fingerprint) {
            (OpenResult::Obstacle(obstacle), Some(fingerprint)) => {
                self.resolve_obstacle(&obstacle, &fingerprint).map(Some)
            }
            (OpenResult::Obstacle(_), None) => Err(Error::refused(Code::InternalError)
                .because("a send without an idempotency key got a receipt")
                .with_delivery(Some(Delivery::NotSent))),
            (OpenResult::Intent(intent), fingerprint) => {
                let has_key = fingerprint.is_some();
                *self = SendState::Dispatched { intent, has_key };
                Ok(None)
            }
        }
    }

    /// Closes the open row with this outcome and settles the key. `outcome` is `None` if the outcome is unknown. If no row is open,
    /// returns `row` unchanged.
    pub(crate) fn settle(
        &mut self,
        row: JournalRow,
        outcome: Option<Result<&Success, &Error>>,
    ) -> Option<JournalRow> {
        if !self.is_dispatched() {
            return Some(row);
        }
        match std::mem::take(self) {
            SendState::Dispatched { intent, has_key } if has_key => {
                *self = SendState::Settling(intent.settle(row, settlement(outcome)));
            }
            SendState::Dispatched { intent, .. } => intent.close(row),
            _ => {}
        }
        None
    }

    /// Waits until the key's receipt is on the disk.
    pub(crate) async fn settled(&mut self) {
        if let SendState::Settling(settling) = self
            && tokio::time::timeout(SETTLE_MAX, settling).await.is_err()
        {
            tracing::error!(
                "a receipt could not be written to the disk in time; its idempotency key counts as in progress"
            );
        }
    }

    /// Returns whether bytes may have left for the upstream.
    pub(crate) fn is_dispatched(&self) -> bool {
        matches!(self, SendState::Dispatched { .. })
    }

    /// Returns whether the outcome of an earlier call is repeated.
    pub(crate) fn is_replay(&self) -> bool {
        matches!(self, SendState::Replayed)
    }

    /// Returns the outcome of a send whose key can't be claimed.
    fn resolve_obstacle(
        &mut self,
        obstacle: &Obstacle,
        fingerprint: &[u8; 32],
    ) -> Result<Arc<Success>, Error> {
        let receipt = match obstacle {
            Obstacle::ReceiptsFull(receipts_full) => {
                return Err(receipts_full_error(*receipts_full));
            }
            Obstacle::Known(receipt) => receipt,
        };
        if receipt.fingerprint == *fingerprint && receipt.state != ReceiptState::Open {
            *self = SendState::Replayed;
        }
        repeated(receipt, fingerprint)
    }
}

/// Hashes a request. The hash is the same for every way in.
fn fingerprint(request: &Request) -> [u8; 32] {
    let mut text = Vec::new();
    for (parameter, value) in request.pairs() {
        // Each value follows its length, so that two different requests never produce the same text.
        text.extend_from_slice(parameter.name.as_bytes());
        text.push(0);
        text.extend_from_slice(&(value.len() as u64).to_le_bytes());
        text.extend_from_slice(value.as_bytes());
    }
    sha256(&text)
}

/// Returns the error of a send whose key can't be stored.
fn receipts_full_error(receipts_full: ReceiptsFull) -> Error {
    let (code, text, setting) = if receipts_full.own {
        let text = "This access has used too many idempotency keys; try again later, or send without a key.";
        (Code::RateLimited, text, "receipts.bytes_per_access")
    } else {
        let text =
            "There is no room for another idempotency key; try again later, or send without a key.";
        (Code::Overloaded, text, "receipts.bytes")
    };
    Error::explained(code, text)
        .because(format!("receipts use all of {setting}"))
        .retry_after(u32::try_from(receipts_full.retry_s).unwrap_or(u32::MAX))
}

/// Returns the outcome of the key's first call, or the reason why it can't be repeated.
fn repeated(receipt: &Receipt, fingerprint: &[u8; 32]) -> Result<Arc<Success>, Error> {
    let delivery = match receipt.state {
        ReceiptState::Sent => Delivery::Sent,
        ReceiptState::Open | ReceiptState::Unknown => Delivery::Unknown,
    };
    let id = &receipt.request_id;
    let answer = receipt.answer.as_deref();
    let error = if receipt.fingerprint != *fingerprint {
        let cause = format!("the key belongs to request {id}");
        Error::refused(Code::IdempotencyMismatch).because(cause)
    } else {
        match receipt.state {
            ReceiptState::Sent => {
                // The text of a receipt was accepted as an answer before.
                let success = answer.and_then(Success::of);
                return Ok(Arc::new(success.unwrap_or_else(Success::empty)));
            }
            ReceiptState::Open => Error::refused(Code::IdempotencyInProgress)
                .because(format!("request {id} is under way"))
                .retry_after(UNDER_WAY_RETRY_S),
            ReceiptState::Unknown => {
                let mut codes = Code::ALL.into_iter();
                let code = codes.find(|code| Some(code.word()) == answer);
                Error::refused(code.unwrap_or(Code::UpstreamError))
                    .because(format!("the answer of request {id}"))
            }
        }
    };
    Err(error.with_delivery(Some(delivery)))
}

/// Checks whether a call that is not a send is allowed although its journal row may be lost.
///
/// # Errors
/// OVERLOADED when the store can't be written and the configuration rejects reads in this case.
pub(crate) fn check_store(snapshot: &Snapshot) -> Result<(), Error> {
    if snapshot.serves_without_store {
        return Ok(());
    }
    check_writable(snapshot)
}

/// Checks whether the last write to the store succeeded. A send does not need this check, because it writes itself.
///
/// # Errors
/// OVERLOADED when the last write failed.
pub(crate) fn check_writable(snapshot: &Snapshot) -> Result<(), Error> {
    let trouble = snapshot.store.journal().trouble();
    trouble.map_or(Ok(()), |trouble| {
        let refused = Error::refused(Code::Overloaded).because(trouble);
        Err(refused.retry_after(STORE_RETRY_S))
    })
}

fn settlement(outcome: Option<Result<&Success, &Error>>) -> Settlement {
    match outcome {
        None => Settlement::Unknown(Code::InternalError.word()),
        Some(Ok(success)) => Settlement::Sent(success.result().to_owned()),
        Some(Err(error)) if error.delivery() == Some(Delivery::NotSent) => Settlement::Free,
        Some(Err(error)) => Settlement::Unknown(error.code().word()),
    }
}

/// Returns the error of a send whose row can't be written to the disk.
fn store_failing(error: &store::StoreError) -> Error {
    Error::refused(Code::Overloaded)
        .because(error.to_string())
        .with_delivery(Some(Delivery::NotSent))
        .retry_after(STORE_RETRY_S)
}
