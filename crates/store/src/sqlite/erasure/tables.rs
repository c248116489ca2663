//! Finds a destination in the rows of a table, and removes it from them.

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, Transaction};

use crate::erasure::hashed_chat::HashedChat;
use crate::erasure::target::{ColumnContent, EVENTS, ErasureTarget, RowErasure, SearchedTable};
use crate::sqlite::events::{discount, tip};
use crate::{Floor, StoreError};

/// Number of rows that are read before other work may use the connection: some milliseconds of reading.
const READ_PER_BATCH: usize = 5000;

/// Returns the rows after `beyond` that contain the destination, among one batch of read rows, and the last row of the batch,
/// unless no rows follow.
pub(super) fn find_batch(
    table: &SearchedTable,
    connection: &Connection,
    sought: &ErasureTarget,
    beyond: i64,
) -> Result<(Vec<i64>, Option<i64>), StoreError> {
    let SearchedTable { name, id, .. } = table;
    let names = table.names();
    let query = format!(
        "SELECT {id}, {names} FROM {name} WHERE {id} > ? ORDER BY {id} LIMIT {READ_PER_BATCH}"
    );
    let mut query = connection.prepare_cached(&query)?;
    let mut rows = query.query([beyond])?;
    let (mut found, mut last, mut count) = (Vec::new(), None, 0);
    while let Some(row) = rows.next()? {
        let number = row.get(0)?;
        for (column, (_, holds)) in table.columns.iter().enumerate() {
            if occurs_in(sought, row.get_ref(column + 1)?, *holds) {
                found.push(number);
                break;
            }
        }
        last = Some(number);
        count += 1;
    }
    Ok((found, last.filter(|_| count == READ_PER_BATCH)))
}

/// Removes the destination from a row. Returns whether the row contained it.
pub(super) fn erase(
    table: &SearchedTable,
    transaction: &Transaction<'_>,
    sought: &ErasureTarget,
    number: i64,
) -> Result<bool, StoreError> {
    match table.erasure {
        RowErasure::Delete => delete(table, transaction, number),
        RowErasure::Redact => redact(table, transaction, sought, number),
        RowErasure::HashChat => hash_chat(transaction, sought, number),
    }
}

fn delete(
    table: &SearchedTable,
    transaction: &Transaction<'_>,
    number: i64,
) -> Result<bool, StoreError> {
    let SearchedTable { name, id, .. } = table;
    if *name == EVENTS {
        discount(transaction, number)?;
    }
    let delete = format!("DELETE FROM {name} WHERE {id} = ?");
    let deleted = transaction.prepare_cached(&delete)?.execute([number])?;
    Ok(deleted > 0)
}

fn redact(
    table: &SearchedTable,
    transaction: &Transaction<'_>,
    sought: &ErasureTarget,
    number: i64,
) -> Result<bool, StoreError> {
    let SearchedTable { name, id, .. } = table;
    let mut stood = false;
    for (column, holds) in table.columns {
        let select = format!("SELECT {column} FROM {name} WHERE {id} = ?");
        let mut select = transaction.prepare_cached(&select)?;
        let mut rows = select.query([number])?;
        // Rows may have been cleared since the search.
        let Some(row) = rows.next()? else { break };
        let Some(rest) = redacted(sought, row.get_ref(0)?, *holds) else {
            continue;
        };
        drop(rows);
        let update = format!("UPDATE {name} SET {column} = ? WHERE {id} = ?");
        transaction
            .prepare_cached(&update)?
            .execute((rest, number))?;
        stood = true;
    }
    Ok(stood)
}

/// Replaces the destination of a chat and the ids of its messages by hashes.
fn hash_chat(
    transaction: &Transaction<'_>,
    sought: &ErasureTarget,
    number: i64,
) -> Result<bool, StoreError> {
    let Some(chat) = hashed_chat(transaction, sought, number)? else {
        return Ok(false);
    };
    let set =
        "UPDATE event_messages SET id = ?3, status = '', datetime = ?4 WHERE chat = ?1 AND id = ?2";
    let mut set = transaction.prepare_cached(set)?;
    for message in chat.messages {
        set.execute((number, message.id, message.form, message.datetime))?;
    }
    let set = "UPDATE event_chats SET destination = ?2, floor = ?3, floor_datetime = ?4, tip = NULL, tip_status = NULL,
             tip_datetime = NULL, erased = 1 WHERE id = ?1";
    let values = (number, chat.destination, chat.floor.id, chat.floor.datetime);
    transaction.prepare_cached(set)?.execute(values)?;
    Ok(true)
}

fn hashed_chat(
    transaction: &Transaction<'_>,
    sought: &ErasureTarget,
    number: i64,
) -> Result<Option<HashedChat>, StoreError> {
    let chat = "SELECT destination, tip, tip_status, tip_datetime, floor, floor_datetime FROM event_chats WHERE id = ?";
    let mut chat = transaction.prepare_cached(chat)?;
    let chat = chat.query_row([number], |row| {
        let floor = Floor {
            id: row.get(4)?,
            datetime: row.get(5)?,
        };
        Ok((row.get(0)?, tip(row)?, floor))
    });
    let Some((destination, tip, floor)) = chat.optional()? else {
        return Ok(None);
    };
    let messages = "SELECT id, datetime FROM event_messages WHERE chat = ?";
    let mut messages = transaction.prepare_cached(messages)?;
    let messages = messages.query_map([number], |row| Ok((row.get(0)?, row.get(1)?)));
    let messages = messages?.collect::<Result<_, _>>()?;
    Ok(Some(HashedChat::new(
        sought,
        destination,
        (tip, floor),
        messages,
    )))
}

fn occurs_in(sought: &ErasureTarget, value: ValueRef<'_>, holds: ColumnContent) -> bool {
    match value {
        ValueRef::Blob(hash) => holds == ColumnContent::Hash && sought.has_hash(hash),
        ValueRef::Text(text) => std::str::from_utf8(text).is_ok_and(|text| sought.occurs_in(text)),
        ValueRef::Null | ValueRef::Integer(_) | ValueRef::Real(_) => false,
    }
}

fn redacted(sought: &ErasureTarget, value: ValueRef<'_>, holds: ColumnContent) -> Option<String> {
    sought.redacted(value.as_str().ok()?, holds)
}
