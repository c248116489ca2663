//! Shared parts of the chat service's statements: finding a call's channel and chat, storing messages, and rows as the API lists
//! them.

use adapter::{Code, Request};
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::Serialize;

use crate::clock::now;
use crate::database::ServiceFailure;

/// A message as the API lists it. All values are strings, and among unread messages `sent` is called `issent`.
#[derive(Serialize)]
pub(crate) struct ListedMessage {
    platformid: String,
    platform: String,
    message: String,
    destination: String,
    messageid: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    sent: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    issent: Option<&'static str>,
    status: String,
    datetime: String,
}

/// A channel as the API lists it.
#[derive(Serialize)]
pub(crate) struct ListedChannel {
    pub(crate) platformid: String,
    pub(crate) platform: String,
    pub(crate) name: String,
}

#[derive(Serialize)]
struct ListResult<T> {
    list: Vec<T>,
}

/// Returns the call's channel, and its chat if it exists.
pub(crate) fn channel_and_chat(
    db: &Connection,
    request: &Request,
) -> Result<(i64, Option<i64>), ServiceFailure> {
    db.prepare_cached(
        "SELECT channels.id, chats.id FROM channels
         LEFT JOIN chats ON chats.channel = channels.id AND chats.destination = ?3
         WHERE channels.platform = ?1 AND channels.platformid = ?2",
    )?
    .query_row(
        [
            value(request, "platform"),
            value(request, "platformid"),
            value(request, "destination"),
        ],
        |row| row.try_into(),
    )
    .optional()?
    .ok_or(ServiceFailure::Refused(Code::ChannelNotFound))
}

/// Returns the call's chat.
pub(crate) fn existing_chat(db: &Connection, request: &Request) -> Result<i64, ServiceFailure> {
    let (_, chat) = channel_and_chat(db, request)?;
    chat.ok_or(ServiceFailure::Refused(Code::ChatNotFound))
}

/// Returns the call's chat. Opens it if it does not exist.
pub(crate) fn open_chat(db: &Connection, request: &Request) -> Result<i64, ServiceFailure> {
    let (channel, chat) = channel_and_chat(db, request)?;
    if let Some(chat) = chat {
        return Ok(chat);
    }
    db.prepare_cached("INSERT INTO chats (channel, destination) VALUES (?1, ?2)")?
        .execute(params![channel, value(request, "destination")])?;
    Ok(db.last_insert_rowid())
}

/// Stores a message or a file that was sent through the API.
pub(crate) fn store_sent(
    db: &Connection,
    chat: i64,
    request: &Request,
) -> Result<(), ServiceFailure> {
    db.prepare_cached(
        "INSERT INTO messages (chat, message, sent, status, datetime, unread, type, fileurl, thumburl)
         VALUES (?1, ?2, 1, 'sent', ?3, 0, ?4, ?5, ?6)",
    )?
    .execute(params![
        chat,
        value(request, "message"),
        now(),
        request.value("type"),
        request.value("fileurl"),
        request.value("thumburl"),
    ])?;
    Ok(())
}

/// Returns a parameter's value, or an empty text if the parameter is absent.
pub(crate) fn value<'a>(request: &'a Request, name: &str) -> &'a str {
    request.value(name).unwrap_or_default()
}

/// Converts a row of id, destination, message, sent, status and datetime to the form in which the method lists it.
pub(crate) fn listed_message(
    request: &Request,
    row: &Row<'_>,
    is_unread_list: bool,
) -> rusqlite::Result<ListedMessage> {
    let sent = if row.get(3)? { "1" } else { "0" };
    Ok(ListedMessage {
        platformid: value(request, "platformid").to_owned(),
        platform: value(request, "platform").to_owned(),
        message: row.get(2)?,
        destination: row.get(1)?,
        messageid: row.get::<_, i64>(0)?.to_string(),
        sent: (!is_unread_list).then_some(sent),
        issent: is_unread_list.then_some(sent),
        status: row.get(4)?,
        datetime: row.get(5)?,
    })
}

/// Returns `{"list":[…]}` as JSON text.
pub(crate) fn listed<T: Serialize>(list: Vec<T>) -> Result<String, ServiceFailure> {
    serde_json::to_string(&ListResult { list })
        .map_err(|error| ServiceFailure::Broken(error.to_string()))
}
