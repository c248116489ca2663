//! What must last: accesses, keys, the journal and receipts, in one SQLite file of the data folder. It is asked by `sqlx`, and
//! written by it too but for the journal, whose rows go straight over `rusqlite` (`journal/pen.rs`).
//!
//! Requests never wait for the disk: they read a snapshot of all accesses in memory, and a change is on disk before the
//! snapshot that shows it is swapped in.

mod access;
mod accesses;
mod admin_key;
mod backup;
mod cache_policy;
mod change;
mod daily;
mod database;
mod erasure;
mod first_start;
mod journal;
mod keys;
mod last_use;
mod name;
mod network;
mod object;
mod phc;
mod receipts;
mod secret;
mod token_bounds;
mod turn;

pub use access::{Access, AccessLimits, Channel, JournalLevel, Rate, SECRETS_MAX, Secret};
pub use accesses::Accesses;
pub use admin_key::{AdminKey, Role, find_presented};
pub use cache_policy::{CACHE_S_MAX, CachePolicy};
pub use change::{Change, ChangeError};
pub use daily::DailyCount;
pub use database::{Store, StoreError};
pub use journal::{
    COUNTED_KEYS_MAX, Calls, Class, CountKey, Counted, Intent, Journal, JournalFilter, JournalKind,
    JournalOrder, JournalPayload, JournalRow, JournalStatus, LISTED_REFUSALS_MAX, LimitCall, Noted,
    Opened, ReplayCall, Retention, Tally,
};
pub use keys::StoredKey;
pub use last_use::LastUse;
pub use name::{NAME_PATTERN, check_name};
pub use network::{Verdict, judge, parse_access_network, parse_network};
pub use object::{Object, objects};
pub use receipts::{
    Claim, NoRoom, Obstacle, RECEIPT_ANSWER_BYTES_MAX, Receipt, ReceiptRoom, ReceiptState,
    Settlement,
};
pub use secret::{
    RANDOM_SECRET_PREFIX, SecretError, SecretHasher, StoredSecret, new_admin_key, new_client_id,
    new_random_secret, unknown_name_hash, verify_chosen,
};
