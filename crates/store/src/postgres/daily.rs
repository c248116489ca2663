//! Daily counts: replicas take blocks of calls out of one shared count. The day is the database's, because replicas whose own
//! clocks show different days would each begin a separate count.

use tokio_postgres::types::Type;

use super::error::PgError;
use super::lease::now_ms;
use super::session::Value;
use super::store::PostgresStore;
use crate::{DailyBlock, DailyCount, StoreError};

/// Does what [`DailyBlock::after`] does in one statement. The row's lock puts the takers in order.
const TAKE: &str = "INSERT INTO chatgate.daily_counts AS d (access, day, given, block)
    VALUES ($1, $2, least($3, $4), least($3, $4))
    ON CONFLICT (access) DO UPDATE SET
        day = CASE WHEN d.day IN ($2, $2 + 1) THEN d.day ELSE $2 END,
        block = CASE WHEN d.day IN ($2, $2 + 1) THEN greatest(0, least($3, $4 - d.given)) ELSE least($3, $4) END,
        given = CASE WHEN d.day IN ($2, $2 + 1) THEN d.given + greatest(0, least($3, $4 - d.given)) ELSE least($3, $4) END
    RETURNING day, block, given";

impl PostgresStore {
    fn ahead_days(&self) -> i64 {
        self.lease().ahead_days(now_ms())
    }

    pub(crate) async fn daily_counts(&self, today: u32) -> Result<Vec<DailyCount>, StoreError> {
        let ahead = self.ahead_days();
        let yesterday = number(today.saturating_sub(1), ahead);
        let old = "DELETE FROM chatgate.daily_counts WHERE day < $1";
        self.pool().write(old, &[(&yesterday, Type::INT4)]).await?;
        let counts = "SELECT access, day, given FROM chatgate.daily_counts";
        let rows = self.pool().read(counts, &[]).await?;
        let read = |row: &tokio_postgres::Row| {
            Ok(DailyCount {
                access: row.try_get("access")?,
                day: day_from(row.try_get("day")?, ahead),
                given: calls(row.try_get("given")?),
            })
        };
        let counts: Result<Vec<DailyCount>, PgError> = rows.iter().map(read).collect();
        Ok(counts?)
    }

    pub(crate) async fn take_daily_block(
        &self,
        access: &str,
        day: u32,
        (wanted, per_day): (u32, u32),
    ) -> Result<DailyBlock, StoreError> {
        let ahead = self.ahead_days();
        let (wanted, per_day) = (i64::from(wanted), i64::from(per_day));
        let day = number(day, ahead);
        let values: [Value<'_>; 4] = [
            (&access, Type::TEXT),
            (&day, Type::INT4),
            (&wanted, Type::INT8),
            (&per_day, Type::INT8),
        ];
        let rows = self.pool().write(TAKE, &values).await?;
        let row = rows
            .first()
            .ok_or_else(|| PgError::new("a block has no row"))?;
        let read = || {
            Ok::<_, PgError>(DailyBlock {
                day: day_from(row.try_get("day")?, ahead),
                calls: calls(row.try_get("block")?),
                given: calls(row.try_get("given")?),
            })
        };
        Ok(read()?)
    }

    pub(crate) async fn return_daily_calls(&self, unused: &[DailyCount]) -> Result<(), StoreError> {
        let names: Vec<&str> = unused.iter().map(|count| count.access.as_str()).collect();
        let ahead = self.ahead_days();
        let days: Vec<i32> = unused
            .iter()
            .map(|count| number(count.day, ahead))
            .collect();
        let given: Vec<i64> = unused.iter().map(|count| count.given.into()).collect();
        // Locks the rows in a fixed order, so that no two replicas wait for each other's rows.
        let take_back = "WITH back AS (
                SELECT d.access, u.calls FROM chatgate.daily_counts d
                JOIN unnest($1::text[], $2::int[], $3::bigint[]) AS u(access, day, calls) ON u.access = d.access AND u.day = d.day
                ORDER BY d.access FOR UPDATE OF d
            ) UPDATE chatgate.daily_counts d SET given = greatest(0, d.given - back.calls) FROM back WHERE back.access = d.access";
        let values: [Value<'_>; 3] = [
            (&names, Type::TEXT_ARRAY),
            (&days, Type::INT4_ARRAY),
            (&given, Type::INT8_ARRAY),
        ];
        self.pool().write(take_back, &values).await?;
        Ok(())
    }
}

/// Converts a day of this process to a day of the database, which is this many days ahead.
fn number(day: u32, ahead: i64) -> i32 {
    i32::try_from(i64::from(day) + ahead).unwrap_or(i32::MAX)
}

/// Converts a day of the database to a day of this process.
fn day_from(day: i32, ahead: i64) -> u32 {
    u32::try_from(i64::from(day) - ahead).unwrap_or(0)
}

fn calls(count: i64) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
