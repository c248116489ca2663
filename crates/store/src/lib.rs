//! The durable data of the gateway: accesses, keys, the journal, events, webhooks and receipts. Each method of [`Store`] calls the
//! engine that stores the data: one SQLite file in the data folder (`sqlite/`), or a PostgreSQL database that replicas share
//! (`postgres/`). Code that does not depend on the engine is next to these folders.
//!
//! Requests find their access in a snapshot of all accesses in memory, without waiting for the disk. A change of an access is on
//! the disk before a snapshot with the change replaces the old snapshot.

mod access;
mod accesses;
mod admin_key;
mod admin_keys;
mod backup;
mod cache_policy;
mod change;
mod change_author;
mod change_error;
mod connections;
mod copy;
mod crypto;
mod daily;
mod erasure;
mod error;
mod events;
mod first_start;
mod journal;
mod keys;
mod last_use;
mod last_uses;
mod memory;
mod name;
mod network;
mod object;
mod phc;
mod postgres;
mod reassigned_ids;
mod receipts;
mod replicas;
mod restart;
mod secret;
mod sessions;
mod sqlite;
mod store;
mod table_misfit;
mod token_bounds;
mod webhooks;
mod word;

#[cfg(test)]
mod test_engine;

pub use access::{Access, AccessLimits, Channel, JournalLevel, Rate, SECRETS_MAX, Secret};
pub use accesses::{AccessSearch, Accesses, ChangedAccess};
pub use admin_key::{AdminKey, Role, find_presented};
pub use cache_policy::{CACHE_S_MAX, CachePolicy};
pub use change::Change;
pub use change_author::ChangeAuthor;
pub use change_error::ChangeError;
pub use connections::StoreConnections;
pub use crypto::{random_bytes, sha256};
pub use daily::{DailyBlock, DailyCount};
pub use erasure::ErasureError;
pub use error::StoreError;
pub use events::{
    BadCursor, ChannelMemory, ChatMemory, Event, EventChannel, EventKind, EventPage,
    EventRetention, Floor, KnownMessage, NewEvent, ObservedChannel, ObservedChat, ObservedMessage,
    Position, RequestedChats, StoredBatch, Tip,
};
pub use journal::{
    AccessCalls, COUNTED_KEYS_MAX, CallerClass, Calls, CountKey, CountResult, CountedCalls,
    FoundRows, Intent, Journal, JournalFilter, JournalKind, JournalOrder, JournalPayload,
    JournalRow, JournalStatus, LISTED_REFUSALS_MAX, LimitCall, OpenResult, ReplayCall, Retention,
    Tally,
};
pub use keys::StoredKey;
pub use last_use::LastUse;
pub use name::{NAME_PATTERN, check_name, check_user};
pub use network::{
    EVERYBODY, NetworkDecision, check_everybody, counted_address, judge, parse_access_network,
    parse_network,
};
pub use object::{Object, objects};
pub use postgres::{
    DatabaseFinding, PostgresOptions, PostgresUrl, ReplicaOptions, SEAL_BYTES, SealKeys,
    inspect_postgres, migrate_postgres, reseal_postgres,
};
pub use receipts::{
    Claim, Obstacle, RECEIPT_ANSWER_BYTES_MAX, Receipt, ReceiptRoom, ReceiptState, ReceiptsFull,
    Settlement,
};
pub use replicas::{Propagation, PropagationWait, ReplicaCensus, ReplicaRow};
pub use restart::restart_on_panic;
pub use secret::{
    PASSWORD_CHARACTERS_MIN, RANDOM_SECRET_PREFIX, SecretError, SecretHasher, StoredSecret,
    check_password, new_admin_key, new_client_id, new_random_secret, unknown_name_hash,
    verify_chosen,
};
pub use sessions::{SharedSession, SharedSessions};
pub use store::Store;
pub use table_misfit::TableMisfit;
pub use webhooks::{
    DELIVERING_HELD_MS, Redelivery, Webhook, WebhookAttempt, WebhookDelivery, WebhookProgress,
    WebhookSecret, WebhookSettings, WebhookSettlement, WebhookState,
};
pub use word::ListedWord;
