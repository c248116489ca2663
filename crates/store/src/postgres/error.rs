//! What PostgreSQL says, as the store says it, and what follows for the connection.

use tokio_postgres::error::SqlState;

use crate::{ChangeError, StoreError};

/// Why a statement failed.
#[derive(Debug)]
pub(super) struct PgError {
    fault: PgFault,
    text: String,
    /// Whether another statement before it has been carried out.
    follows: bool,
}

/// What is to be done about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PgFault {
    /// The connection is lost, or leads to a server that can't be written: it is dropped, and so are those beside it.
    Connection,
    /// The server was the primary, and is not any more: another host may lead to the one that is.
    FormerPrimary,
    /// The statement did not end in time: nobody knows whether it was carried out, and the connection is dropped.
    TooLong,
    /// Another transaction was in the way: the same again may succeed.
    Contention,
    /// A table has changed since a statement was prepared, or a pooler has another connection: once more it may succeed.
    CachedPlan,
    /// Something that has to be unique is there already.
    Unique,
    /// A value that the database never takes, however often it is tried.
    Value,
    /// The statement itself is refused.
    Other,
}

impl PgError {
    fn of(fault: PgFault, text: impl Into<String>) -> PgError {
        PgError {
            fault,
            text: text.into(),
            follows: false,
        }
    }

    pub(super) fn new(text: impl Into<String>) -> PgError {
        PgError::of(PgFault::Other, text)
    }

    /// The statement did not end in time.
    pub(super) fn too_long() -> PgError {
        PgError::of(PgFault::TooLong, "the database took too long")
    }

    /// There is no connection.
    pub(super) fn no_connection(text: impl Into<String>) -> PgError {
        PgError::of(PgFault::Connection, text)
    }

    /// Others have taken the place of this server.
    pub(super) fn former_primary(timeline: i64, newer: i64) -> PgError {
        let text = format!("a former primary answers, of timeline {timeline} after {newer}");
        PgError::of(PgFault::FormerPrimary, text)
    }

    /// Whether the server was the primary, and is not any more.
    pub(super) fn is_of_former_primary(&self) -> bool {
        self.fault == PgFault::FormerPrimary
    }

    /// Whether the connection may not be used again.
    pub(super) fn ends_connection(&self) -> bool {
        matches!(
            self.fault,
            PgFault::Connection | PgFault::FormerPrimary | PgFault::TooLong | PgFault::CachedPlan
        )
    }

    /// Whether the statement did not end in time.
    pub(super) fn is_too_long(&self) -> bool {
        self.fault == PgFault::TooLong
    }

    /// Whether something that has to be unique, or a table, was there already.
    pub(super) fn is_there_already(&self) -> bool {
        self.fault == PgFault::Unique
    }

    /// Whether a row is at fault: without it the same statement may succeed.
    pub(super) fn is_of_a_row(&self) -> bool {
        matches!(self.fault, PgFault::Value | PgFault::Unique)
    }

    /// The same of a statement that follows one which was carried out.
    pub(super) fn after_another(self) -> PgError {
        PgError {
            follows: true,
            ..self
        }
    }

    /// Whether nothing has been done, nor will be.
    pub(super) fn undoes(&self) -> bool {
        let may_be_done = matches!(
            self.fault,
            PgFault::Connection | PgFault::FormerPrimary | PgFault::TooLong
        );
        !(may_be_done || self.follows)
    }

    /// Whether the same may succeed at once, as nothing has been done.
    pub(super) fn passes(&self) -> bool {
        matches!(self.fault, PgFault::Contention | PgFault::CachedPlan)
    }

    /// Whether the connection was lost. Others that are open lead to the same trouble.
    pub(super) fn is_lost(&self) -> bool {
        matches!(self.fault, PgFault::Connection | PgFault::FormerPrimary)
    }
}

impl From<tokio_postgres::Error> for PgError {
    fn from(error: tokio_postgres::Error) -> PgError {
        let Some(refused) = error.as_db_error() else {
            return PgError::no_connection(said(&error));
        };
        // Its details may hold values of rows, and are left out.
        let text = format!("{} ({})", refused.message(), refused.code().code());
        PgError::of(fault_of(refused.code(), refused.message()), text)
    }
}

/// What is said of a statement that was prepared over another connection: there is none of that name or one, or it is another,
/// which takes other values.
const OF_POOLERS: [SqlState; 3] = [
    SqlState::INVALID_SQL_STATEMENT_NAME,
    SqlState::DUPLICATE_PSTATEMENT,
    SqlState::PROTOCOL_VIOLATION,
];

/// Whether a prepared statement has failed because a pooler has handed the transaction to another connection.
pub(super) fn shows_pooler(error: &tokio_postgres::Error) -> bool {
    error.code().is_some_and(|code| OF_POOLERS.contains(code))
}

/// An error with its causes, as one sentence.
pub(super) fn said(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text = format!("{text}: {inner_text}");
        }
        cause = inner.source();
    }
    text
}

/// Classes of states that speak of values: data exceptions, constraints, and what is too long for an index.
const OF_VALUES: [&str; 3] = ["22", "23", "54"];

fn fault_of(code: &SqlState, message: &str) -> PgFault {
    let is_lost = code.code().starts_with("08") || code.code().starts_with("57P0");
    if is_lost || *code == SqlState::READ_ONLY_SQL_TRANSACTION {
        PgFault::Connection
    } else if [
        SqlState::T_R_DEADLOCK_DETECTED,
        SqlState::T_R_SERIALIZATION_FAILURE,
        SqlState::LOCK_NOT_AVAILABLE,
    ]
    .contains(code)
    {
        PgFault::Contention
    } else if OF_POOLERS[..2].contains(code)
        || (*code == SqlState::FEATURE_NOT_SUPPORTED && message.contains("cached plan"))
    {
        PgFault::CachedPlan
    } else if [
        SqlState::UNIQUE_VIOLATION,
        SqlState::DUPLICATE_TABLE,
        // A table that two make at once has a type of its name.
        SqlState::DUPLICATE_OBJECT,
    ]
    .contains(code)
    {
        PgFault::Unique
    } else if OF_VALUES.iter().any(|class| code.code().starts_with(class)) {
        PgFault::Value
    } else {
        PgFault::Other
    }
}

impl From<PgError> for StoreError {
    fn from(error: PgError) -> StoreError {
        StoreError::new(error.text)
    }
}

impl From<PgError> for ChangeError {
    fn from(error: PgError) -> ChangeError {
        match error.fault {
            PgFault::Unique => ChangeError::Taken,
            _ => ChangeError::Store(error.into()),
        }
    }
}

impl std::fmt::Display for PgError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_state_has_what_follows_from_it() {
        for (code, message, expected) in [
            ("08006", "", PgFault::Connection),
            ("57P01", "", PgFault::Connection),
            ("25006", "", PgFault::Connection),
            ("40P01", "", PgFault::Contention),
            ("40001", "", PgFault::Contention),
            ("55P03", "", PgFault::Contention),
            (
                "0A000",
                "cached plan must not change result type",
                PgFault::CachedPlan,
            ),
            ("0A000", "something else", PgFault::Other),
            ("26000", "", PgFault::CachedPlan),
            ("42P05", "", PgFault::CachedPlan),
            ("08P01", "", PgFault::Connection),
            ("23505", "", PgFault::Unique),
            ("42710", "", PgFault::Unique),
            ("22P05", "", PgFault::Value),
            ("22003", "", PgFault::Value),
            ("23514", "", PgFault::Value),
            ("54000", "", PgFault::Value),
            ("53100", "", PgFault::Other),
            ("57014", "", PgFault::Other),
            ("42P01", "", PgFault::Other),
        ] {
            let fault = fault_of(&SqlState::from_code(code), message);
            assert_eq!(fault, expected, "{code} {message}");
        }
    }
}
