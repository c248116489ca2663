//! Replaces the destination of chats and the ids of their messages by hashes. Observations are not recorded during this, because
//! they would store the destination again next to its hash.

use tokio_postgres::Row;
use tokio_postgres::types::Type;

use crate::Floor;
use crate::erasure::hashed_chat::HashedChat;
use crate::erasure::target::ErasureTarget;
use crate::postgres::error::PgError;
use crate::postgres::events::{LOCK, tip};
use crate::postgres::session::{PgSession, Value};
use crate::postgres::slow::{SlowConnection, TRIES};

const CHATS: &str =
    "SELECT id, channel, destination, tip, tip_status, tip_datetime, floor, floor_datetime
    FROM chatgate.event_chats WHERE id = ANY($1)";

const MESSAGES: &str = "SELECT id, datetime FROM chatgate.event_messages WHERE chat = $1";

const HASH_MESSAGES: &str = "UPDATE chatgate.event_messages m SET id = n.form, status = '', datetime = n.datetime
    FROM unnest($2::text[], $3::text[], $4::text[]) AS n (id, form, datetime) WHERE m.chat = $1 AND m.id = n.id";

/// Deletes an earlier hash of the chat. The previous release stores an erased chat anew when it observes it.
const DELETE_EARLIER: &str =
    "DELETE FROM chatgate.event_chats WHERE channel = $1 AND destination = $2";

const HASH_CHAT: &str =
    "UPDATE chatgate.event_chats SET destination = $2, floor = $3, floor_datetime = $4, tip = NULL,
    tip_status = NULL, tip_datetime = NULL, erased = true WHERE id = $1";

/// Hashes these chats in one transaction, which is retried if another transaction was in its way or the connection was lost.
pub(super) async fn hash_chats(
    slow: &mut SlowConnection<'_>,
    sought: &ErasureTarget,
    ids: &[i64],
) -> Result<(), PgError> {
    let mut tries = 1;
    loop {
        match hash_once(slow.connected().await?, sought, ids).await {
            Err(error) if tries < TRIES && (error.is_retryable() || error.is_lost()) => tries += 1,
            hashed => return hashed,
        }
    }
}

/// Hashes these chats. After an error the session is not usable, so that the next use of the connection opens another one.
async fn hash_once(
    session: &mut PgSession,
    sought: &ErasureTarget,
    ids: &[i64],
) -> Result<(), PgError> {
    session.begin().await?;
    session.query(LOCK, &[]).await?;
    for row in &session.query(CHATS, &[(&ids, Type::INT8_ARRAY)]).await? {
        let number: i64 = row.try_get("id")?;
        let messages = session.query(MESSAGES, &[(&number, Type::INT8)]).await?;
        hash_chat(
            session,
            (number, row.try_get("channel")?),
            hashed(sought, row, &messages)?,
        )
        .await?;
    }
    session.commit().await
}

fn hashed(sought: &ErasureTarget, chat: &Row, messages: &[Row]) -> Result<HashedChat, PgError> {
    let floor = Floor {
        id: chat.try_get("floor")?,
        datetime: chat.try_get("floor_datetime")?,
    };
    let message = |row: &Row| Ok((row.try_get("id")?, row.try_get("datetime")?));
    let messages: Result<_, PgError> = messages.iter().map(message).collect();
    let destination = chat.try_get("destination")?;
    Ok(HashedChat::new(
        sought,
        destination,
        (tip(chat)?, floor),
        messages?,
    ))
}

async fn hash_chat(
    session: &mut PgSession,
    (number, channel): (i64, i64),
    chat: HashedChat,
) -> Result<(), PgError> {
    let (mut ids, mut forms, mut datetimes) = (vec![], vec![], vec![]);
    for message in chat.messages {
        ids.push(message.id);
        forms.push(message.form);
        datetimes.push(message.datetime);
    }
    let values: [Value<'_>; 4] = [
        (&number, Type::INT8),
        (&ids, Type::TEXT_ARRAY),
        (&forms, Type::TEXT_ARRAY),
        (&datetimes, Type::TEXT_ARRAY),
    ];
    session.execute(HASH_MESSAGES, &values).await?;
    let values: [Value<'_>; 2] = [(&channel, Type::INT8), (&chat.destination, Type::TEXT)];
    session.execute(DELETE_EARLIER, &values).await?;
    let values: [Value<'_>; 4] = [
        (&number, Type::INT8),
        (&chat.destination, Type::TEXT),
        (&chat.floor.id, Type::TEXT),
        (&chat.floor.datetime, Type::TEXT),
    ];
    session.execute(HASH_CHAT, &values).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use tokio::time::timeout;

    use crate::events::tests::{DESTINATION, recorded};
    use crate::postgres::test_server::new_database;
    use crate::test_engine::connect;
    use crate::{Journal, Store};

    /// Maximum time to wait for a result.
    const PATIENCE: Duration = Duration::from_secs(60);

    /// Waits until this number of connections wait for a lock.
    async fn until_waiting(client: &tokio_postgres::Client, number: i64) {
        let count = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
        let waiting = async || {
            let row = client.query_one(count, &[]).await.unwrap();
            row.get::<_, i64>(0)
        };
        let waiting = async { while waiting().await < number {} };
        timeout(PATIENCE, waiting).await.unwrap();
    }

    #[tokio::test]
    async fn an_observation_during_an_erasure_finds_the_erased_chat() {
        let Some(options) = new_database() else {
            return;
        };
        let store = Arc::new(Store::open_postgres(&options).await.unwrap());
        recorded(&store, "a").await;
        let (holder, watcher) = (connect(&options).await, connect(&options).await);
        holder
            .batch_execute("BEGIN; SELECT FROM chatgate.event_chats FOR UPDATE")
            .await
            .unwrap();
        let journal = Journal::start(&store).await.unwrap();
        let erasing = tokio::spawn({
            let store = Arc::clone(&store);
            async move { store.erase_destination(("ann", 1), DESTINATION).await }
        });
        until_waiting(&watcher, 1).await;
        let recording = tokio::spawn({
            let store = Arc::clone(&store);
            async move { recorded(&store, "b").await }
        });
        until_waiting(&watcher, 2).await;
        holder.batch_execute("COMMIT").await.unwrap();
        assert_eq!(recording.await.unwrap(), ["evt_b_received"]);
        erasing.await.unwrap().unwrap();
        let chats = "SELECT count(*), bool_and(erased) FROM chatgate.event_chats";
        let chats = watcher.query_one(chats, &[]).await.unwrap();
        assert_eq!((chats.get::<_, i64>(0), chats.get::<_, bool>(1)), (1, true));
        journal.stop().await;
        store.close().await;
    }
}
