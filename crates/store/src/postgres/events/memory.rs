//! Reads what the gateway knows of channels and chats.

#[cfg(test)]
mod tests;

use tokio_postgres::Row;
use tokio_postgres::types::Type;

use crate::events::RequestedChats;
use crate::postgres::error::PgError;
use crate::postgres::session::Value;
use crate::postgres::store::PostgresStore;
use crate::{
    ChannelMemory, ChatMemory, EventChannel, Floor, KnownMessage, Position, StoreError, Tip,
};

/// Selects a channel and its chats by the index, however plans are made. Without `OFFSET` the planner would turn this into a join
/// over all chats.
const CHANNEL: &str = "SELECT c.newest, c.stalled_at, h.destination, h.tip, h.tip_status FROM chatgate.event_channels c
    LEFT JOIN LATERAL (SELECT destination, tip, tip_status FROM chatgate.event_chats h WHERE h.channel = c.id OFFSET 0) h ON true
    WHERE c.account = $1 AND c.platform = $2 AND c.platformid = $3";

/// Selects a row for each known chat and each of its known messages, with the chat's place in the query. `LIMIT` makes the plan
/// look up each message by the index; a join without nested loops would read all messages.
const CHATS: &str = "SELECT w.place, h.floor, h.floor_datetime, m.id, m.status, m.position,
        coalesce((SELECT e.late FROM chatgate.events e WHERE e.position = m.position), true) AS late
    FROM unnest($4::bigint[], $5::text[]) AS w (place, destination)
    JOIN LATERAL (
        SELECT id, floor, floor_datetime FROM chatgate.event_chats h WHERE h.destination = w.destination AND h.channel =
            (SELECT id FROM chatgate.event_channels c WHERE c.account = $1 AND c.platform = $2 AND c.platformid = $3) LIMIT 1
    ) h ON true
    LEFT JOIN unnest($6::bigint[], $7::text[]) AS a (place, id) ON a.place = w.place
    LEFT JOIN LATERAL (
        SELECT id, status, position FROM chatgate.event_messages m WHERE m.chat = h.id AND m.id = a.id LIMIT 1
    ) m ON true";

impl PostgresStore {
    pub(crate) async fn channel_memory(
        &self,
        channel: &EventChannel,
    ) -> Result<Option<ChannelMemory>, StoreError> {
        let rows = self.pool().read_prepared(CHANNEL, &key(channel)).await?;
        let mut memory: Option<ChannelMemory> = None;
        for row in &rows {
            let read = read_channel(memory.take(), row);
            memory = Some(read?);
        }
        Ok(memory)
    }

    pub(crate) async fn chat_memories(
        &self,
        channel: &EventChannel,
        wanted: RequestedChats,
    ) -> Result<Vec<Option<ChatMemory>>, StoreError> {
        let mut memories = vec![None; wanted.len()];
        let (mut chats, mut messages) = ((vec![], vec![]), (vec![], vec![]));
        for (place, (destination, ids)) in (0_i64..).zip(wanted) {
            chats.0.push(place);
            chats.1.push(destination);
            messages.0.extend(ids.iter().map(|_| place));
            messages.1.extend(ids);
        }
        let mut values = key(channel).to_vec();
        values.push((&chats.0, Type::INT8_ARRAY));
        values.push((&chats.1, Type::TEXT_ARRAY));
        values.push((&messages.0, Type::INT8_ARRAY));
        values.push((&messages.1, Type::TEXT_ARRAY));
        let rows = self.pool().read_prepared(CHATS, &values).await?;
        for row in &rows {
            read_chat(&mut memories, row)?;
        }
        Ok(memories)
    }
}

/// Returns the values that identify a channel.
pub(super) fn key(channel: &EventChannel) -> [Value<'_>; 3] {
    [
        (&channel.account, Type::TEXT),
        (&channel.platform, Type::TEXT),
        (&channel.platformid, Type::TEXT),
    ]
}

fn read_channel(memory: Option<ChannelMemory>, row: &Row) -> Result<ChannelMemory, PgError> {
    let mut memory = memory.unwrap_or_default();
    memory.newest = row.try_get("newest")?;
    memory.stalled_at = row.try_get("stalled_at")?;
    if let Some(destination) = row.try_get("destination")? {
        let tip: Option<String> = row.try_get("tip")?;
        let tip = tip.zip(row.try_get("tip_status")?);
        let tip = tip.map(|(id, status)| Tip { id, status });
        memory.tips.insert(destination, tip);
    }
    Ok(memory)
}

fn read_chat(memories: &mut [Option<ChatMemory>], row: &Row) -> Result<(), PgError> {
    let place = usize::try_from(row.try_get::<_, i64>("place")?).unwrap_or(usize::MAX);
    let Some(memory) = memories.get_mut(place) else {
        return Ok(());
    };
    let memory = memory.get_or_insert_default();
    memory.floor = Floor {
        id: row.try_get("floor")?,
        datetime: row.try_get("floor_datetime")?,
    };
    if let Some(id) = row.try_get("id")? {
        let message = KnownMessage {
            status: row.try_get("status")?,
            position: Position::of(row.try_get("position")?),
            is_late: row.try_get("late")?,
        };
        memory.known.insert(id, message);
    }
    Ok(())
}
