//! The record of the first start. Of several processes that start at the same time, one writes the record together with the first
//! accesses.

use tokio_postgres::types::Type;

use super::epochs::EpochOf;
use super::session::Value;
use super::store::PostgresStore;
use crate::first_start::FIRST_START;
use crate::{Access, ChangeAuthor, ChangeError, StoreError};

impl PostgresStore {
    pub(crate) async fn has_started(&self) -> Result<bool, StoreError> {
        let fact = "SELECT 1 FROM chatgate.facts WHERE name = $1";
        let rows = self
            .pool()
            .read(fact, &[(&FIRST_START, Type::TEXT)])
            .await?;
        Ok(!rows.is_empty())
    }

    pub(crate) async fn first_start(
        &self,
        by: ChangeAuthor<'_>,
        accesses: &[Access],
    ) -> Result<(), ChangeError> {
        let count = accesses.len() as i64;
        let (mut lease, epoch) = self.begin_exclusive(EpochOf::Accesses, count).await?;
        let started = async {
            let session = &mut lease.session;
            let note =
                "INSERT INTO chatgate.facts (name, at) VALUES ($1, $2) ON CONFLICT DO NOTHING";
            let values: [Value<'_>; 2] = [(&FIRST_START, Type::TEXT), (&by.at_s, Type::INT8)];
            match session.execute(note, &values).await? {
                0 => Ok(None),
                _ => self.put(session, (by, epoch), accesses).await.map(Some),
            }
        };
        let started: Result<Option<_>, ChangeError> = started.await;
        let put = self.end(lease, started).await?;
        match put {
            Some(put) => self.put_in_force(put, epoch).await,
            // Another process has recorded the first start and written its accesses.
            None => drop(self.load_accesses().await?),
        }
        Ok(())
    }
}
