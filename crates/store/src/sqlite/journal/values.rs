//! Binds the values of rows to a prepared statement.

use rusqlite::CachedStatement;
use rusqlite::types::{ToSql, ToSqlOutput, ValueRef};

use crate::{JournalRow, StoreError};

/// The values of a statement that is executed many times. Only values that differ from the previous execution are bound: rows are
/// very similar, and binding all of their thirty values would take twice as many instructions.
pub(super) struct BoundValues<'s, 'c, 'r> {
    statement: &'s mut CachedStatement<'c>,
    /// The current value of each parameter; `None` if the value did not outlive its binding.
    held: Vec<Option<ValueRef<'r>>>,
    bound: usize,
}

impl<'s, 'c, 'r> BoundValues<'s, 'c, 'r> {
    /// Starts with a statement whose parameters are all NULL.
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

    /// Binds a value that does not live until the next row.
    pub(super) fn passing(&mut self, value: impl ToSql) -> Result<(), StoreError> {
        self.held[self.bound] = None;
        self.bound += 1;
        Ok(self.statement.raw_bind_parameter(self.bound, value)?)
    }

    /// Binds the outcome of a request, from its status to its limits: the columns that an open row gets when it is closed.
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
