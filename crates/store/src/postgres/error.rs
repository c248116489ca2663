//! Errors of PostgreSQL, their conversion to errors of the store, and their consequences for the connection.

use tokio_postgres::error::SqlState;

use crate::{ChangeError, StoreError};

/// The reason why a statement failed.
#[derive(Debug)]
pub(super) struct PgError {
    fault: PgErrorKind,
    text: String,
    /// True if an earlier statement of the same operation has been carried out.
    follows: bool,
}

/// The kind of an error, which determines how to handle it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PgErrorKind {
    /// The connection is lost, or leads to a server that does not accept writes. It is dropped, and so are the other idle
    /// connections.
    Connection,
    /// The server is a former primary. Another host may lead to the current primary.
    FormerPrimary,
    /// The statement did not end in time. It is unknown whether it was carried out, and the connection is dropped.
    Timeout,
    /// Another transaction was in the way. The same statement may succeed when retried.
    Contention,
    /// A table has changed since a statement was prepared, or a pooler has used another connection. The statement may succeed when
    /// retried.
    CachedPlan,
    /// A value that has to be unique, or a table, exists already.
    Unique,
    /// A value that the database never accepts, however often it is tried.
    Value,
    /// The database rejects the statement itself.
    Other,
}

impl PgError {
    fn of(fault: PgErrorKind, text: impl Into<String>) -> PgError {
        PgError {
            fault,
            text: text.into(),
            follows: false,
        }
    }

    pub(super) fn new(text: impl Into<String>) -> PgError {
        PgError::of(PgErrorKind::Other, text)
    }

    /// Makes the error of a statement that did not end in time.
    pub(super) fn timed_out() -> PgError {
        PgError::of(PgErrorKind::Timeout, "the database took too long")
    }

    /// Makes the error of a missing or lost connection.
    pub(super) fn no_connection(text: impl Into<String>) -> PgError {
        PgError::of(PgErrorKind::Connection, text)
    }

    /// Makes the error of a server that another one has replaced.
    pub(super) fn former_primary(timeline: i64, newer: i64) -> PgError {
        let text = format!("a former primary answers, of timeline {timeline} after {newer}");
        PgError::of(PgErrorKind::FormerPrimary, text)
    }

    /// Returns whether the server is a former primary.
    pub(super) fn is_of_former_primary(&self) -> bool {
        self.fault == PgErrorKind::FormerPrimary
    }

    /// Returns whether the connection must not be used again.
    pub(super) fn ends_connection(&self) -> bool {
        matches!(
            self.fault,
            PgErrorKind::Connection
                | PgErrorKind::FormerPrimary
                | PgErrorKind::Timeout
                | PgErrorKind::CachedPlan
        )
    }

    /// Returns whether the statement did not end in time.
    pub(super) fn is_timeout(&self) -> bool {
        self.fault == PgErrorKind::Timeout
    }

    /// Returns whether a value that has to be unique, or a table, existed already.
    pub(super) fn is_duplicate(&self) -> bool {
        self.fault == PgErrorKind::Unique
    }

    /// Returns whether a row is the cause, so that the same statement may succeed without it.
    pub(super) fn is_row_fault(&self) -> bool {
        matches!(self.fault, PgErrorKind::Value | PgErrorKind::Unique)
    }

    /// Marks the error as one of a statement that follows a statement which was carried out.
    pub(super) fn after_success(self) -> PgError {
        PgError {
            follows: true,
            ..self
        }
    }

    /// Returns whether nothing has been done and nothing will be done.
    pub(super) fn is_undone(&self) -> bool {
        let may_be_done = matches!(
            self.fault,
            PgErrorKind::Connection | PgErrorKind::FormerPrimary | PgErrorKind::Timeout
        );
        !(may_be_done || self.follows)
    }

    /// Returns whether an immediate retry may succeed, because nothing has been done.
    pub(super) fn is_retryable(&self) -> bool {
        matches!(
            self.fault,
            PgErrorKind::Contention | PgErrorKind::CachedPlan
        )
    }

    /// Returns whether the connection was lost. Other open connections lead to the same problem.
    pub(super) fn is_lost(&self) -> bool {
        matches!(
            self.fault,
            PgErrorKind::Connection | PgErrorKind::FormerPrimary
        )
    }
}

impl From<tokio_postgres::Error> for PgError {
    fn from(error: tokio_postgres::Error) -> PgError {
        let Some(refused) = error.as_db_error() else {
            return PgError::no_connection(with_causes(&error));
        };
        // The details of the error may contain values of rows, so they are omitted.
        let text = format!("{} ({})", refused.message(), refused.code().code());
        PgError::of(fault_of(refused.code(), refused.message()), text)
    }
}

/// The states that PostgreSQL reports when a statement was prepared over another connection: there is no statement of this name,
/// there is one already, or another statement with other parameters has the name.
const OF_POOLERS: [SqlState; 3] = [
    SqlState::INVALID_SQL_STATEMENT_NAME,
    SqlState::DUPLICATE_PSTATEMENT,
    SqlState::PROTOCOL_VIOLATION,
];

/// Returns whether a prepared statement has failed because a pooler has used another connection for the transaction.
pub(super) fn shows_pooler(error: &tokio_postgres::Error) -> bool {
    error.code().is_some_and(|code| OF_POOLERS.contains(code))
}

/// Returns an error with its causes as one sentence.
pub(super) fn with_causes(error: &dyn std::error::Error) -> String {
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

/// Classes of states about values: data exceptions, constraints, and values that are too long for an index.
const OF_VALUES: [&str; 3] = ["22", "23", "54"];

fn fault_of(code: &SqlState, message: &str) -> PgErrorKind {
    let is_lost = code.code().starts_with("08") || code.code().starts_with("57P0");
    if is_lost || *code == SqlState::READ_ONLY_SQL_TRANSACTION {
        PgErrorKind::Connection
    } else if [
        SqlState::T_R_DEADLOCK_DETECTED,
        SqlState::T_R_SERIALIZATION_FAILURE,
        SqlState::LOCK_NOT_AVAILABLE,
    ]
    .contains(code)
    {
        PgErrorKind::Contention
    } else if OF_POOLERS[..2].contains(code)
        || (*code == SqlState::FEATURE_NOT_SUPPORTED && message.contains("cached plan"))
    {
        PgErrorKind::CachedPlan
    } else if [
        SqlState::UNIQUE_VIOLATION,
        SqlState::DUPLICATE_TABLE,
        // Reported when two sessions create the same table at the same time, because the type with its name exists already.
        SqlState::DUPLICATE_OBJECT,
    ]
    .contains(code)
    {
        PgErrorKind::Unique
    } else if OF_VALUES.iter().any(|class| code.code().starts_with(class)) {
        PgErrorKind::Value
    } else {
        PgErrorKind::Other
    }
}

impl From<PgError> for StoreError {
    fn from(error: PgError) -> StoreError {
        if error.is_row_fault() {
            StoreError::of_row(error.text)
        } else {
            StoreError::new(error.text)
        }
    }
}

impl From<PgError> for ChangeError {
    fn from(error: PgError) -> ChangeError {
        match error.fault {
            PgErrorKind::Unique => ChangeError::Taken,
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
    fn each_sqlstate_maps_to_its_error_kind() {
        for (code, message, expected) in [
            ("08006", "", PgErrorKind::Connection),
            ("57P01", "", PgErrorKind::Connection),
            ("25006", "", PgErrorKind::Connection),
            ("40P01", "", PgErrorKind::Contention),
            ("40001", "", PgErrorKind::Contention),
            ("55P03", "", PgErrorKind::Contention),
            (
                "0A000",
                "cached plan must not change result type",
                PgErrorKind::CachedPlan,
            ),
            ("0A000", "something else", PgErrorKind::Other),
            ("26000", "", PgErrorKind::CachedPlan),
            ("42P05", "", PgErrorKind::CachedPlan),
            ("08P01", "", PgErrorKind::Connection),
            ("23505", "", PgErrorKind::Unique),
            ("42710", "", PgErrorKind::Unique),
            ("22P05", "", PgErrorKind::Value),
            ("22003", "", PgErrorKind::Value),
            ("23514", "", PgErrorKind::Value),
            ("54000", "", PgErrorKind::Value),
            ("53100", "", PgErrorKind::Other),
            ("57014", "", PgErrorKind::Other),
            ("42P01", "", PgErrorKind::Other),
        ] {
            let fault = fault_of(&SqlState::from_code(code), message);
            assert_eq!(fault, expected, "{code} {message}");
        }
    }
}
