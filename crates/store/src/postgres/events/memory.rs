//! Reads what the gateway knows of channels and chats.

#[cfg(test)]
mod tests;

use std::collections::HashMap;

use tokio_postgres::Row;
use tokio_postgres::types::Type;

use crate::erasure::target::erased_form;
use crate::events::RequestedChats;
use crate::postgres::error::PgError;
use crate::postgres::session::Value;
use crate::postgres::store::PostgresStore;
use crate::{
    ChannelMemory, ChatMemory, EventChannel, Floor, KnownMessage, Position, StoreError, Tip,
};

/// Selects a channel and its chats by the index, however plans are made. Without `OFFSET` the planner would turn this into a join
/// over all chats.
const CHANNEL: &str = "SELECT c.newest, c.stalled_at, h.destination, h.tip, h.tip_status, h.tip_datetime FROM chatgate.event_channels c
    LEFT JOIN LATERAL (SELECT destination, tip, tip_status, tip_datetime FROM chatgate.event_chats h WHERE h.channel = c.id OFFSET 0) h ON true
    WHERE c.account = $1 AND c.platform = $2 AND c.platformid = $3";

/// Selects a row for each known chat and each of its known messages, with the chat's place in the query. A chat is found by its
/// destination or by the hash of an erased one. `LIMIT` makes the plan look up each message by the index; a join without nested
/// loops would read all messages.
const CHATS: &str = "SELECT w.place, h.floor, h.floor_datetime, h.erased, m.id, m.status, m.position,
        coalesce((SELECT e.late FROM chatgate.events e WHERE e.position = m.position), true) AS late
    FROM unnest($4::bigint[], $5::text[], $6::text[]) AS w (place, destination, form)
    JOIN LATERAL (
        SELECT id, floor, floor_datetime, erased FROM chatgate.event_chats h
        WHERE h.destination IN (w.destination, w.form) AND h.channel =
            (SELECT id FROM chatgate.event_channels c WHERE c.account = $1 AND c.platform = $2 AND c.platformid = $3)
        ORDER BY h.destination = w.form LIMIT 1
    ) h ON true
    LEFT JOIN unnest($7::bigint[], $8::text[]) AS a (place, id) ON a.place = w.place
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
        let all = Vec::from_iter((0_i64..).zip(wanted));
        let rows = self.read_chats(channel, &all).await?;
        for row in &rows {
            read_chat(&mut memories, row, None)?;
        }
        // An erased chat knows its messages by the hashes of their ids.
        let (mut erased, mut ids) = (Vec::new(), HashMap::new());
        for (place, (destination, wanted)) in all {
            let memory = usize::try_from(place).ok().and_then(|at| memories.get(at));
            if memory.is_some_and(|memory| memory.as_ref().is_some_and(|memory| memory.is_erased)) {
                let form = |id: String| {
                    let form = erased_form(&self.journal_key, &id);
                    ids.insert(form.clone(), id);
                    form
                };
                erased.push((place, (destination, wanted.into_iter().map(form).collect())));
            }
        }
        if !erased.is_empty() {
            for row in &self.read_chats(channel, &erased).await? {
                read_chat(&mut memories, row, Some(&ids))?;
            }
        }
        Ok(memories)
    }

    async fn read_chats(
        &self,
        channel: &EventChannel,
        wanted: &[(i64, (String, Vec<String>))],
    ) -> Result<Vec<Row>, PgError> {
        let (mut chats, mut messages) = ((vec![], vec![], vec![]), (vec![], vec![]));
        for (place, (destination, ids)) in wanted {
            chats.0.push(*place);
            chats.1.push(destination);
            chats.2.push(erased_form(&self.journal_key, destination));
            messages.0.extend(ids.iter().map(|_| *place));
            messages.1.extend(ids);
        }
        let mut values = key(channel).to_vec();
        values.push((&chats.0, Type::INT8_ARRAY));
        values.push((&chats.1, Type::TEXT_ARRAY));
        values.push((&chats.2, Type::TEXT_ARRAY));
        values.push((&messages.0, Type::INT8_ARRAY));
        values.push((&messages.1, Type::TEXT_ARRAY));
        self.pool().read_prepared(CHATS, &values).await
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
        memory.tips.insert(destination, tip(row)?);
    }
    Ok(memory)
}

/// Reads the last message of a chat.
pub(in crate::postgres) fn tip(row: &Row) -> Result<Option<Tip>, PgError> {
    let id: Option<String> = row.try_get("tip")?;
    let (status, datetime) = (row.try_get("tip_status")?, row.try_get("tip_datetime")?);
    Ok(id.zip(status).map(|(id, status)| Tip {
        id,
        status,
        datetime,
    }))
}

/// Reads a row of a chat and one of its messages. `erased` has the ids of erased messages by their hashes, if those were asked for.
fn read_chat(
    memories: &mut [Option<ChatMemory>],
    row: &Row,
    erased: Option<&HashMap<String, String>>,
) -> Result<(), PgError> {
    let place = usize::try_from(row.try_get::<_, i64>("place")?).unwrap_or(usize::MAX);
    let Some(memory) = memories.get_mut(place) else {
        return Ok(());
    };
    let memory = memory.get_or_insert_default();
    let named = |id: String| erased.and_then(|ids| ids.get(&id)).cloned().unwrap_or(id);
    memory.floor = Floor {
        id: row.try_get::<_, Option<_>>("floor")?.map(named),
        datetime: row.try_get("floor_datetime")?,
    };
    memory.is_erased = row.try_get("erased")?;
    if let Some(id) = row.try_get::<_, Option<_>>("id")? {
        let message = KnownMessage {
            status: row.try_get("status")?,
            position: Position::of(row.try_get("position")?),
            is_late: row.try_get("late")?,
            is_erased: erased.is_some(),
        };
        memory.known.insert(named(id), message);
    }
    Ok(())
}
