//! Converts rows that are to be opened to one list per column, for the database.

use std::borrow::Cow;
use std::collections::HashMap;

use tokio_postgres::types::Type;

use super::columns::clean;
use crate::Claim;
use crate::postgres::session::Value;

/// A row that is to be opened, as the statement takes it.
pub(super) struct RowToOpen<'b> {
    /// The index of its entry in the batch.
    pub(super) place: usize,
    pub(super) id: i64,
    pub(super) row: String,
    /// The claim of the row, with the hash of its key.
    pub(super) claim: Option<(&'b Claim, Vec<u8>)>,
}

/// Rows that are to be opened, column by column.
#[derive(Default)]
pub(super) struct OpenLists<'b> {
    ids: Vec<i64>,
    client_ids: Vec<Option<&'b str>>,
    methods: Vec<Option<&'b str>>,
    keys: Vec<Option<&'b [u8]>>,
    fingerprints: Vec<Option<&'b [u8]>>,
    request_ids: Vec<Option<Cow<'b, str>>>,
    made_at: Vec<Option<i64>>,
    kept_since: Vec<Option<i64>>,
    /// The bytes that this batch adds to the receipts of the access, up to and including this row, and the limit for all receipts
    /// of the access.
    own_bytes: Vec<i64>,
    own_max: Vec<Option<i64>>,
    /// The same for the receipts of all accesses.
    all_bytes: Vec<i64>,
    all_max: Vec<Option<i64>>,
    rows: Vec<&'b str>,
}

impl<'b> OpenLists<'b> {
    /// Makes the lists. `ahead_s` is how many seconds the database's clock is ahead of this process's.
    pub(super) fn of(wanted: &'b [RowToOpen<'_>], ahead_s: i64) -> OpenLists<'b> {
        let mut lists = OpenLists::default();
        let (mut own, mut all) = (HashMap::new(), 0);
        for wanted in wanted {
            let claim = wanted.claim.as_ref().map(|(claim, _)| *claim);
            let bytes = claim.map_or(0, Claim::open_bytes);
            all += bytes;
            let own = own.entry(claim.map(|claim| &claim.client_id)).or_insert(0);
            *own += bytes;
            lists.ids.push(wanted.id);
            lists
                .client_ids
                .push(claim.map(|claim| claim.client_id.as_str()));
            lists.methods.push(claim.map(|claim| claim.method));
            lists
                .keys
                .push(wanted.claim.as_ref().map(|(_, key)| key.as_slice()));
            lists
                .fingerprints
                .push(claim.map(|claim| &claim.fingerprint[..]));
            lists
                .request_ids
                .push(claim.map(|claim| clean(&claim.request_id)));
            lists.made_at.push(claim.map(|claim| claim.now + ahead_s));
            lists
                .kept_since
                .push(claim.map(|claim| claim.kept_since + ahead_s));
            lists.own_bytes.push(*own);
            lists.own_max.push(claim.map(|claim| claim.room.per_access));
            lists.all_bytes.push(all);
            lists.all_max.push(claim.map(|claim| claim.room.all));
            lists.rows.push(&wanted.row);
        }
        lists
    }

    pub(super) fn unkeyed_values<'v>(&'v self, owner: &'v i64) -> [Value<'v>; 3] {
        [
            (owner, Type::INT8),
            (&self.ids, Type::INT8_ARRAY),
            (&self.rows, Type::TEXT_ARRAY),
        ]
    }

    pub(super) fn values<'v>(&'v self, owner: &'v i64) -> [Value<'v>; 14] {
        [
            (owner, Type::INT8),
            (&self.ids, Type::INT8_ARRAY),
            (&self.client_ids, Type::TEXT_ARRAY),
            (&self.methods, Type::TEXT_ARRAY),
            (&self.keys, Type::BYTEA_ARRAY),
            (&self.fingerprints, Type::BYTEA_ARRAY),
            (&self.request_ids, Type::TEXT_ARRAY),
            (&self.made_at, Type::INT8_ARRAY),
            (&self.kept_since, Type::INT8_ARRAY),
            (&self.own_bytes, Type::INT8_ARRAY),
            (&self.own_max, Type::INT8_ARRAY),
            (&self.all_bytes, Type::INT8_ARRAY),
            (&self.all_max, Type::INT8_ARRAY),
            (&self.rows, Type::TEXT_ARRAY),
        ]
    }
}
