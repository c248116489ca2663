//! The memory of channels and chats in SQLite.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension};

use crate::events::RequestedChats;
use crate::sqlite::store::SqliteStore;
use crate::{
    ChannelMemory, ChatMemory, EventChannel, Floor, KnownMessage, Position, StoreError, Tip,
};

impl SqliteStore {
    pub(crate) async fn channel_memory(
        &self,
        channel: &EventChannel,
    ) -> Result<Option<ChannelMemory>, StoreError> {
        let channel = channel.clone();
        self.read(move |connection| {
            let Some(number) = channel_number(connection, &channel)? else {
                return Ok(None);
            };
            let known = "SELECT newest, stalled_at FROM event_channels WHERE id = ?";
            let (newest, stalled_at) = connection
                .prepare_cached(known)?
                .query_row([number], |row| Ok((row.get(0)?, row.get(1)?)))?;
            let tips = "SELECT destination, tip, tip_status FROM event_chats WHERE channel = ?";
            let mut tips = connection.prepare_cached(tips)?;
            let tips = tips.query_map([number], |row| {
                let tip: (Option<String>, Option<String>) = (row.get(1)?, row.get(2)?);
                let tip = tip.0.zip(tip.1).map(|(id, status)| Tip { id, status });
                Ok((row.get(0)?, tip))
            })?;
            Ok(Some(ChannelMemory {
                newest,
                stalled_at,
                tips: tips.collect::<Result<_, _>>()?,
            }))
        })
        .await
    }

    pub(crate) async fn chat_memories(
        &self,
        channel: &EventChannel,
        wanted: RequestedChats,
    ) -> Result<Vec<Option<ChatMemory>>, StoreError> {
        let channel = channel.clone();
        self.read(move |connection| {
            let number = channel_number(connection, &channel)?;
            let memory = |(destination, ids)| match number {
                Some(number) => chat_memory(connection, number, destination, ids),
                None => Ok(None),
            };
            wanted.into_iter().map(memory).collect()
        })
        .await
    }
}

pub(super) fn channel_number(
    connection: &Connection,
    channel: &EventChannel,
) -> Result<Option<i64>, StoreError> {
    let number =
        "SELECT id FROM event_channels WHERE account = ? AND platform = ? AND platformid = ?";
    let mut number = connection.prepare_cached(number)?;
    let key = (&channel.account, &channel.platform, &channel.platformid);
    Ok(number.query_row(key, |row| row.get(0)).optional()?)
}

fn chat_memory(
    connection: &Connection,
    channel: i64,
    destination: String,
    ids: Vec<String>,
) -> Result<Option<ChatMemory>, StoreError> {
    let chat =
        "SELECT id, floor, floor_datetime FROM event_chats WHERE channel = ? AND destination = ?";
    let mut chat = connection.prepare_cached(chat)?;
    let chat = chat.query_row((channel, destination), |row| {
        let floor = Floor {
            id: row.get(1)?,
            datetime: row.get(2)?,
        };
        Ok((row.get::<_, i64>(0)?, floor))
    });
    let Some((chat, floor)) = chat.optional()? else {
        return Ok(None);
    };
    let mut known = HashMap::new();
    let message = "SELECT m.status, m.position, coalesce(e.late, 1) FROM event_messages m
        LEFT JOIN events e ON e.position = m.position WHERE m.chat = ? AND m.id = ?";
    let mut message = connection.prepare_cached(message)?;
    for id in ids {
        let found = message.query_row((chat, &id), |row| {
            Ok(KnownMessage {
                status: row.get(0)?,
                position: Position::of(row.get(1)?),
                is_late: row.get(2)?,
            })
        });
        if let Some(found) = found.optional()? {
            known.insert(id, found);
        }
    }
    Ok(Some(ChatMemory { floor, known }))
}
