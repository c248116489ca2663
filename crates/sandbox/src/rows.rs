//! What the chat service's statements share: finding a call's channel and chat, storing, and rows as the API lists them.

use adapter::{Code, Error, Request};
use jiff::Timestamp;
use serde::Serialize;
use sqlx::sqlite::SqliteConnection;

/// A message as the API lists it: all values are strings, and `sent` is called `issent` among the unread ones.
#[derive(Serialize)]
pub(crate) struct Message<'a> {
    platformid: &'a str,
    platform: &'a str,
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
pub(crate) struct Channel {
    pub(crate) platformid: String,
    pub(crate) platform: String,
    pub(crate) name: String,
}

#[derive(Serialize)]
struct Listed<T> {
    list: Vec<T>,
}

/// Message id, destination, message, sent, status, datetime.
pub(crate) type Row = (i64, String, String, bool, String, String);

/// The call's channel, and its chat when there is one.
pub(crate) async fn place(
    connection: &mut SqliteConnection,
    request: &Request,
) -> Result<(i64, Option<i64>), Error> {
    sqlx::query_as(
        "SELECT channels.id, chats.id FROM channels
         LEFT JOIN chats ON chats.channel = channels.id AND chats.destination = ?3
         WHERE channels.platform = ?1 AND channels.platformid = ?2",
    )
    .bind(value(request, "platform"))
    .bind(value(request, "platformid"))
    .bind(value(request, "destination"))
    .fetch_optional(connection)
    .await
    .map_err(broken)?
    .ok_or_else(|| Error::refused(Code::ChannelNotFound))
}

/// The call's chat.
pub(crate) async fn existing_chat(
    connection: &mut SqliteConnection,
    request: &Request,
) -> Result<i64, Error> {
    let (_, chat) = place(connection, request).await?;
    chat.ok_or_else(|| Error::refused(Code::ChatNotFound))
}

/// The call's chat, opened when there is none.
pub(crate) async fn open_chat(
    connection: &mut SqliteConnection,
    request: &Request,
) -> Result<i64, Error> {
    let (channel, chat) = place(connection, request).await?;
    if let Some(chat) = chat {
        return Ok(chat);
    }
    sqlx::query_scalar("INSERT INTO chats (channel, destination) VALUES (?1, ?2) RETURNING id")
        .bind(channel)
        .bind(value(request, "destination"))
        .fetch_one(connection)
        .await
        .map_err(broken)
}

/// Stores a message or a file that left through the API.
pub(crate) async fn store_sent(
    connection: &mut SqliteConnection,
    chat: i64,
    request: &Request,
) -> Result<(), Error> {
    sqlx::query(
        "INSERT INTO messages (chat, message, sent, status, datetime, unread, type, fileurl, thumburl)
         VALUES (?1, ?2, 1, 'sent', ?3, 0, ?4, ?5, ?6)",
    )
    .bind(chat)
    .bind(value(request, "message"))
    .bind(now())
    .bind(request.value("type"))
    .bind(request.value("fileurl"))
    .bind(request.value("thumburl"))
    .execute(connection)
    .await
    .map_err(broken)?;
    Ok(())
}

/// A parameter's value; empty when it was not given.
pub(crate) fn value<'a>(request: &'a Request, name: &str) -> &'a str {
    request.value(name).unwrap_or_default()
}

/// One row as the API lists it, in the wording of its method.
pub(crate) fn message(request: &Request, row: Row, is_unread_list: bool) -> Message<'_> {
    let (id, destination, text, sent, status, datetime) = row;
    let sent = if sent { "1" } else { "0" };
    Message {
        platformid: value(request, "platformid"),
        platform: value(request, "platform"),
        message: text,
        destination,
        messageid: id.to_string(),
        sent: (!is_unread_list).then_some(sent),
        issent: is_unread_list.then_some(sent),
        status,
        datetime,
    }
}

/// `{"list":[…]}` as JSON text.
pub(crate) fn listed<T: Serialize>(list: impl Iterator<Item = T>) -> Result<String, Error> {
    let list = list.collect();
    serde_json::to_string(&Listed { list })
        .map_err(|error| Error::refused(Code::InternalError).because(error.to_string()))
}

/// The time as the API writes it, in UTC.
pub(crate) fn now() -> String {
    Timestamp::now().strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// A failure of the database; its text is for the log.
#[expect(
    clippy::needless_pass_by_value,
    reason = "the shape that map_err takes"
)]
pub(crate) fn broken(error: sqlx::Error) -> Error {
    Error::refused(Code::InternalError).because(error.to_string())
}
