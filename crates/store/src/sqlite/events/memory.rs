//! The memory of channels and chats in SQLite.

use std::collections::HashMap;

use aws_lc_rs::hmac;
use rusqlite::{Connection, OptionalExtension, Row};

use crate::erasure::target::erased_form;
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
            let tips = "SELECT destination, tip, tip_status, tip_datetime FROM event_chats WHERE channel = ?";
            let mut tips = connection.prepare_cached(tips)?;
            let tips = tips.query_map([number], |row| {
                Ok((row.get(0)?, tip(row)?))
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
        let (channel, key) = (channel.clone(), self.journal_key().clone());
        self.read(move |connection| {
            let number = channel_number(connection, &channel)?;
            let memory = |(destination, ids): (String, Vec<String>)| match number {
                Some(number) => chat_memory(connection, &key, (number, &destination), ids),
                None => Ok(None),
            };
            wanted.into_iter().map(memory).collect()
        })
        .await
    }
}

/// Reads the last message of a chat from a row with its columns after the destination.
pub(in crate::sqlite) fn tip(row: &Row<'_>) -> Result<Option<Tip>, rusqlite::Error> {
    let (id, status): (Option<_>, Option<_>) = (row.get(1)?, row.get(2)?);
    let datetime = row.get(3)?;
    Ok(id.zip(status).map(|(id, status)| Tip {
        id,
        status,
        datetime,
    }))
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

/// Reads the memory of a chat. In an erased chat, ids may be stored as hashes; the memory contains them as they were requested.
fn chat_memory(
    connection: &Connection,
    key: &hmac::Key,
    (channel, destination): (i64, &str),
    ids: Vec<String>,
) -> Result<Option<ChatMemory>, StoreError> {
    let chat = "SELECT id, floor, floor_datetime, erased FROM event_chats WHERE channel = ?1 AND destination IN (?2, ?3)";
    let mut chat = connection.prepare_cached(chat)?;
    let chat = chat.query_row(
        (channel, destination, erased_form(key, destination)),
        |row| {
            let floor = Floor {
                id: row.get(1)?,
                datetime: row.get(2)?,
            };
            Ok((row.get::<_, i64>(0)?, floor, row.get::<_, bool>(3)?))
        },
    );
    let Some((chat, mut floor, is_erased)) = chat.optional()? else {
        return Ok(None);
    };
    let mut known = HashMap::new();
    let message =
        "SELECT m.status, m.position, coalesce(e.late, 1), m.id <> ?2 FROM event_messages m
        LEFT JOIN events e ON e.position = m.position WHERE m.chat = ?1 AND m.id IN (?2, ?3)";
    let mut message = connection.prepare_cached(message)?;
    for id in ids {
        let form = is_erased.then(|| erased_form(key, &id));
        let found = message.query_row((chat, &id, &form), |row| {
            Ok(KnownMessage {
                status: row.get(0)?,
                position: Position::of(row.get(1)?),
                is_late: row.get(2)?,
                is_erased: row.get(3)?,
            })
        });
        if form.is_some() && form == floor.id {
            floor.id = Some(id.clone());
        }
        if let Some(found) = found.optional()? {
            known.insert(id, found);
        }
    }
    Ok(Some(ChatMemory {
        floor,
        known,
        is_erased,
    }))
}
