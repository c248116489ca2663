//! Binding the values of rows to a prepared statement.

use rusqlite::CachedStatement;
use rusqlite::types::{ToSql, ToSqlOutput, ValueRef};

use crate::{JournalRow, StoreError};

/// The values of a statement, which is executed again and again. Only what differs from the last execution is bound: rows are
/// much alike, and binding takes half the instructions that it takes for all of their thirty values.
pub(super) struct BoundValues<'s, 'c, 'r> {
    statement: &'s mut CachedStatement<'c>,
    /// What each parameter is; unset where the value did not outlive its binding.
    held: Vec<Option<ValueRef<'r>>>,
    bound: usize,
}

impl<'s, 'c, 'r> BoundValues<'s, 'c, 'r> {
    /// A statement comes without values: each is NULL.
    pub(super) fn of(statement: &'s mut CachedStatement<'c>) -> BoundValues<'s, 'c, 'r> {
        let held = vec![Some(ValueRef::Null); statement.parameter_count()];
        BoundValues {
            statement,
            held,
            bound: 0,
        }
    }

    pub(super) fn text(&mut self, text: Option<&'r str>) -> Result<(), StoreError> {
        self.bind(ValueRef::from(text))
    }

    pub(super) fn number(&mut self, number: Option<impl Into<i64>>) -> Result<(), StoreError> {
        self.bind(number.map_or(ValueRef::Null, |number| ValueRef::Integer(number.into())))
    }

    fn bind(&mut self, value: ValueRef<'r>) -> Result<(), StoreError> {
        let held = &mut self.held[self.bound];
        self.bound += 1;
        if *held == Some(value) {
            return Ok(());
        }
        *held = Some(value);
        let value = ToSqlOutput::Borrowed(value);
        Ok(self.statement.raw_bind_parameter(self.bound, value)?)
    }

    /// Binds a value that is gone when the next row comes.
    pub(super) fn passing(&mut self, value: impl ToSql) -> Result<(), StoreError> {
        self.held[self.bound] = None;
        self.bound += 1;
        Ok(self.statement.raw_bind_parameter(self.bound, value)?)
    }

    /// How a request ended, from its status to its limits: the columns that an open row gets when it is closed.
    pub(super) fn outcome(&mut self, row: &'r JournalRow) -> Result<(), StoreError> {
        self.number(row.status)?;
        self.number(row.canonical)?;
        self.text(row.code.as_deref())?;
        self.text(row.upstream_code.as_deref())?;
        self.text(row.delivery.as_deref())?;
        self.number(row.attempts)?;
        self.number(row.queue_us)?;
        self.number(row.upstream_us)?;
        self.number(row.total_us)?;
        self.text(row.cache.as_deref())?;
        self.text(row.limited_by.as_deref())?;
        self.number(row.limit_max)?;
        self.number(row.limit_left)
    }

    pub(super) fn execute(&mut self) -> Result<(), StoreError> {
        self.bound = 0;
        self.statement.raw_execute()?;
        Ok(())
    }
}
