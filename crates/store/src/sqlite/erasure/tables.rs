//! Finds a destination in the rows of a table, and removes it from them.

use rusqlite::types::ValueRef;
use rusqlite::{Connection, Transaction};

use crate::StoreError;
use crate::erasure::sought::{EVENTS, Holds, Sought, SoughtTable};
use crate::sqlite::events::discount;

/// Number of rows that are read before other work may use the connection: some milliseconds of reading.
const READ_AT_ONCE: usize = 5000;

/// Returns the rows after `beyond` that contain the destination, among one batch of read rows, and the last row of the batch,
/// unless no rows follow.
pub(super) fn find_some(
    table: &SoughtTable,
    connection: &Connection,
    sought: &Sought,
    beyond: i64,
) -> Result<(Vec<i64>, Option<i64>), StoreError> {
    let SoughtTable { name, id, .. } = table;
    let names = table.names();
    let query = format!(
        "SELECT {id}, {names} FROM {name} WHERE {id} > ? ORDER BY {id} LIMIT {READ_AT_ONCE}"
    );
    let mut query = connection.prepare_cached(&query)?;
    let mut rows = query.query([beyond])?;
    let (mut found, mut last, mut count) = (Vec::new(), None, 0);
    while let Some(row) = rows.next()? {
        let number = row.get(0)?;
        for (column, (_, holds)) in table.columns.iter().enumerate() {
            if stands_in(sought, row.get_ref(column + 1)?, *holds) {
                found.push(number);
                break;
            }
        }
        last = Some(number);
        count += 1;
    }
    Ok((found, last.filter(|_| count == READ_AT_ONCE)))
}

/// Removes the destination from a row. Returns whether the row contained it.
pub(super) fn erase(
    table: &SoughtTable,
    transaction: &Transaction<'_>,
    sought: &Sought,
    number: i64,
) -> Result<bool, StoreError> {
    let SoughtTable { name, id, .. } = table;
    if table.goes {
        if *name == EVENTS {
            discount(transaction, number)?;
        }
        let delete = format!("DELETE FROM {name} WHERE {id} = ?");
        let deleted = transaction.prepare_cached(&delete)?.execute([number])?;
        return Ok(deleted > 0);
    }
    let mut stood = false;
    for (column, holds) in table.columns {
        let select = format!("SELECT {column} FROM {name} WHERE {id} = ?");
        let mut select = transaction.prepare_cached(&select)?;
        let mut rows = select.query([number])?;
        // Rows may have been cleared since the search.
        let Some(row) = rows.next()? else { break };
        let Some(rest) = taken_from(sought, row.get_ref(0)?, *holds) else {
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

fn stands_in(sought: &Sought, value: ValueRef<'_>, holds: Holds) -> bool {
    match value {
        ValueRef::Blob(hash) => holds == Holds::Hash && sought.has_hash(hash),
        ValueRef::Text(text) => std::str::from_utf8(text).is_ok_and(|text| sought.stands_in(text)),
        ValueRef::Null | ValueRef::Integer(_) | ValueRef::Real(_) => false,
    }
}

fn taken_from(sought: &Sought, value: ValueRef<'_>, holds: Holds) -> Option<String> {
    sought.taken_from(value.as_str().ok()?, holds)
}
