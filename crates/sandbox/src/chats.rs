//! The chat service itself: channels, chats, messages and unread marks in SQLite.

use std::path::Path;

use adapter::{Code, Error, Request};
use rusqlite::{Connection, params};
use tokio::sync::watch;

use crate::clock::now;
use crate::database::{Database, ServiceFailure};
use crate::rows::{
    ListedChannel, ListedMessage, channel_and_chat, existing_chat, listed, listed_message,
    open_chat, store_sent, value,
};

/// Maximum number of rows in one answer, which contains the newest ones. It keeps an answer of ordinary messages within the
/// gateway's 4 MiB.
const LIST_ROWS_MAX: i64 = 10_000;

/// The chat service.
pub(crate) struct Chats {
    pub(crate) database: Database,
    /// Notifies watchers of every message and every cleared mark.
    news: watch::Sender<()>,
}

impl Chats {
    /// Opens the file or an empty database in memory. An empty database gets sample data.
    pub(crate) fn open(
        file: Option<&Path>,
    ) -> Result<Chats, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Chats {
            database: Database::open(file)?,
            news: watch::Sender::new(()),
        })
    }

    /// Returns a receiver that signals changes from now on. Several changes between two checks are one signal.
    pub(crate) fn news(&self) -> watch::Receiver<()> {
        self.news.subscribe()
    }

    /// Performs a call and returns the JSON text of its result.
    pub(crate) async fn perform(&self, request: &Request) -> Result<String, Error> {
        let request = request.clone();
        match request.operation().method {
            "getchatchannels" => self.database.read(channels).await,
            "sendmessage" => self.change(move |db| send_message(db, &request)).await,
            "sendfile" => self.change(move |db| send_file(db, &request)).await,
            "getchats" => self.database.read(move |db| chats(db, &request)).await,
            "getmessages" => self.change(move |db| messages(db, &request)).await,
            "getunreadmessages" => self.database.read(move |db| unread(db, &request)).await,
            _ => Err(Error::refused(Code::IncorrectMethod)),
        }
    }

    /// Stores an incoming message as unread, and returns it as `getmessages` lists it. Opens the chat if necessary.
    pub(crate) async fn receive(&self, request: &Request) -> Result<ListedMessage, Error> {
        let request = request.clone();
        self.change(move |db| receive(db, &request)).await
    }

    /// Makes a change and wakes the watchers.
    async fn change<T: Send + 'static>(
        &self,
        change: impl FnOnce(&Connection) -> Result<T, ServiceFailure> + Send + 'static,
    ) -> Result<T, Error> {
        let result = self.database.write(change).await?;
        self.news.send_replace(());
        Ok(result)
    }
}

fn receive(db: &Connection, request: &Request) -> Result<ListedMessage, ServiceFailure> {
    let chat = open_chat(db, request)?;
    let message = db
        .prepare_cached(
            "INSERT INTO messages (chat, message, sent, status, datetime, unread)
             VALUES (?1, ?2, 0, 'received', ?3, 1)
             RETURNING id, ?4, message, sent, status, datetime",
        )?
        .query_row(
            params![
                chat,
                value(request, "message"),
                now(),
                value(request, "destination")
            ],
            |row| listed_message(request, row, false),
        )?;
    Ok(message)
}

fn channels(db: &Connection) -> Result<String, ServiceFailure> {
    let mut query =
        db.prepare_cached("SELECT platformid, platform, name FROM channels ORDER BY id")?;
    let list = query.query_map([], |row| {
        Ok(ListedChannel {
            platformid: row.get(0)?,
            platform: row.get(1)?,
            name: row.get(2)?,
        })
    })?;
    listed(list.collect::<Result<_, _>>()?)
}

fn send_message(db: &Connection, request: &Request) -> Result<String, ServiceFailure> {
    let chat = open_chat(db, request)?;
    store_sent(db, chat, request)?;
    Ok("{}".to_owned())
}

fn send_file(db: &Connection, request: &Request) -> Result<String, ServiceFailure> {
    let chat = existing_chat(db, request)?;
    store_sent(db, chat, request)?;
    Ok("{}".to_owned())
}

/// Lists each chat with its latest message, the chat with the newest message first. A channel without chats has an empty list.
fn chats(db: &Connection, request: &Request) -> Result<String, ServiceFailure> {
    let (channel, _) = channel_and_chat(db, request)?;
    let mut query = db.prepare_cached(
        "SELECT m.id, c.destination, m.message, m.sent, m.status, m.datetime
         FROM chats c JOIN messages m ON m.id = (SELECT max(id) FROM messages WHERE chat = c.id)
         WHERE c.channel = ?1 ORDER BY m.id DESC LIMIT ?2",
    )?;
    let list = query.query_map(params![channel, LIST_ROWS_MAX], |row| {
        listed_message(request, row, false)
    })?;
    listed(list.collect::<Result<_, _>>()?)
}

/// Lists the messages of a chat, oldest first, and clears their unread marks.
fn messages(db: &Connection, request: &Request) -> Result<String, ServiceFailure> {
    let chat = existing_chat(db, request)?;
    let list = messages_of(db, request, (chat, false))?;
    db.prepare_cached("UPDATE messages SET unread = 0 WHERE chat = ?1 AND unread = 1")?
        .execute([chat])?;
    listed(list)
}

/// Lists the unread messages of a chat, oldest first. Their marks stay until `getmessages` clears them.
fn unread(db: &Connection, request: &Request) -> Result<String, ServiceFailure> {
    let chat = existing_chat(db, request)?;
    listed(messages_of(db, request, (chat, true))?)
}

fn messages_of(
    db: &Connection,
    request: &Request,
    (chat, only_unread): (i64, bool),
) -> Result<Vec<ListedMessage>, ServiceFailure> {
    // Use two statements, because unread messages have their own index.
    let mut query = db.prepare_cached(if only_unread {
        "SELECT id, ?2, message, sent, status, datetime FROM messages
         WHERE chat = ?1 AND unread = 1 ORDER BY id DESC LIMIT ?3"
    } else {
        "SELECT id, ?2, message, sent, status, datetime FROM messages
         WHERE chat = ?1 ORDER BY id DESC LIMIT ?3"
    })?;
    let rows = query.query_map(
        params![chat, value(request, "destination"), LIST_ROWS_MAX],
        |row| listed_message(request, row, only_unread),
    )?;
    let mut list: Vec<_> = rows.collect::<Result<_, _>>()?;
    list.reverse();
    Ok(list)
}
