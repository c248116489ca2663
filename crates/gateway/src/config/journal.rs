//! Reads the settings for how long the journal and receipts are stored, and for their size limits.

use settings::{Reader, ValueKind, parse};
use store::{ReceiptRoom, Retention};

/// Minimum size limit for the journal, in bytes. The store also contains accesses and keys, and pruning the journal does not shrink
/// them.
const JOURNAL_BYTES_MIN: usize = 1024 * 1024;

/// Minimum size limit for receipts, in bytes. The receipt of a send under way counts with the size of the longest possible answer.
const RECEIPT_BYTES_MIN: usize = 128 * 1024;

pub(super) fn retention(reader: &mut Reader<'_>) -> Retention {
    let rows = reader.timeout("journal.retention", "90d");
    let payloads = reader.duration("journal.payload_retention", "14d");
    let bytes = reader.value(
        "journal.bytes",
        "4GiB",
        ValueKind::Bytes,
        |text| match parse::bytes(text)? {
            size if size >= JOURNAL_BYTES_MIN => Ok(size as u64),
            _ => Err(format!("{text} is less than {JOURNAL_BYTES_MIN} bytes")),
        },
    );
    if payloads > rows {
        let why = "payloads can't be stored longer than journal.retention";
        reader.reject("journal.payload_retention", why);
    }
    Retention {
        rows,
        payloads,
        bytes,
    }
}

pub(super) fn receipt_room(reader: &mut Reader<'_>) -> ReceiptRoom {
    let mut room = |key, default| {
        reader.value(key, default, ValueKind::Bytes, |text| {
            match parse::bytes(text)? {
                size if size >= RECEIPT_BYTES_MIN => {
                    Ok(i64::try_from(size).unwrap_or(i64::MAX / 2))
                }
                _ => Err(format!("{text} is less than {RECEIPT_BYTES_MIN} bytes")),
            }
        })
    };
    let per_access = room("receipts.bytes_per_access", "128MiB");
    let all = room("receipts.bytes", "1GiB");
    if per_access > all {
        let why = "one access can't have more room than receipts.bytes";
        reader.reject("receipts.bytes_per_access", why);
    }
    ReceiptRoom { per_access, all }
}

/// Returns whether reads are served while the store can't be written.
pub(super) fn serves_without_store(reader: &mut Reader<'_>) -> bool {
    let choices = [("serve", true), ("refuse", false)];
    reader.choice("journal.on_store_failure", "serve", &choices)
}

/// Reads how long receipts are stored, in seconds.
pub(super) fn receipts_kept_s(reader: &mut Reader<'_>) -> i64 {
    reader.value("receipts.keep", "24h", ValueKind::Time, |text| {
        let seconds = parse::timeout(text)?.as_secs();
        i64::try_from(seconds).map_err(|_| format!("{text} is too long"))
    })
}
