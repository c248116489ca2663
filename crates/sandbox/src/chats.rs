//! The chat service itself: channels, chats, messages and unread marks in SQLite.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use adapter::{Code, Error, Request};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Sqlite, SqlitePool, Transaction};
use tokio::sync::watch;

use crate::rows::{
    Channel, Message, Row, broken, existing_chat, listed, message, now, open_chat, place,
    store_sent, value,
};
use crate::samples;

/// Most rows in one answer, the newest: keeps an answer of ordinary messages within the gateway's 4 MiB.
const LIST_ROWS_MAX: i64 = 10_000;

/// How long a write waits for another process that holds the same file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// The chats. One connection does all the work in turn: in memory there can be only one, and no call takes long.
pub(crate) struct Chats {
    pub(crate) pool: SqlitePool,
    /// Moves on with every message and cleared mark, for who looks on.
    news: watch::Sender<()>,
}

impl Chats {
    /// Opens the file or an empty database in memory, and seeds an empty one.
    pub(crate) async fn open(file: Option<&Path>) -> Result<Chats, sqlx::Error> {
        if let Some(file) = file {
            // What people wrote is for the owner alone; SQLite gives the WAL the mode of the file.
            OpenOptions::new()
                .create(true)
                .append(true)
                .mode(0o600)
                .open(file)?;
        }
        // NORMAL: what was answered survives the end of the process, and a power cut may cost a sandbox its last second.
        let options = match file {
            Some(file) => SqliteConnectOptions::new()
                .filename(file)
                .create_if_missing(true),
            None => SqliteConnectOptions::new().in_memory(true),
        }
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Normal)
        .busy_timeout(BUSY_TIMEOUT)
        .foreign_keys(true)
        .disable_statement_logging();
        // The one connection never ages out: with it would go the database in memory.
        let pool = SqlitePoolOptions::new()
            .max_connections(1)
            .min_connections(1)
            .idle_timeout(None)
            .max_lifetime(None)
            .test_before_acquire(false)
            .connect_with(options)
            .await?;
        let mut writing = pool.begin_with("BEGIN IMMEDIATE").await?;
        sqlx::raw_sql(include_str!("schema.sql"))
            .execute(&mut *writing)
            .await?;
        samples::seed(&mut writing).await?;
        writing.commit().await?;
        Ok(Chats {
            pool,
            news: watch::Sender::new(()),
        })
    }

    /// Tells from now on that something has changed; what changes before it is looked at is told once.
    pub(crate) fn news(&self) -> watch::Receiver<()> {
        self.news.subscribe()
    }

    /// Makes a change last and tells who looks on.
    async fn commit(&self, writing: Transaction<'_, Sqlite>) -> Result<(), Error> {
        writing.commit().await.map_err(broken)?;
        self.news.send_replace(());
        Ok(())
    }

    /// Closes the database.
    pub(crate) async fn close(&self) {
        self.pool.close().await;
    }

    /// Performs a call and gives the JSON text of its result.
    pub(crate) async fn perform(&self, request: &Request) -> Result<String, Error> {
        match request.operation().method {
            "getchatchannels" => self.channels().await,
            "sendmessage" => self.send_message(request).await,
            "sendfile" => self.send_file(request).await,
            "getchats" => self.chats(request).await,
            "getmessages" => self.messages(request).await,
            "getunreadmessages" => self.unread(request).await,
            _ => Err(Error::refused(Code::IncorrectMethod)),
        }
    }

    /// Stores a message that came in, unread, and gives it as `getmessages` lists it. Opens the chat.
    pub(crate) async fn receive<'a>(&self, request: &'a Request) -> Result<Message<'a>, Error> {
        let mut writing = self.begin().await?;
        let chat = open_chat(&mut writing, request).await?;
        let row = sqlx::query_as(
            "INSERT INTO messages (chat, message, sent, status, datetime, unread)
             VALUES (?1, ?2, 0, 'received', ?3, 1)
             RETURNING id, ?4, message, sent, status, datetime",
        )
        .bind(chat)
        .bind(value(request, "message"))
        .bind(now())
        .bind(value(request, "destination"))
        .fetch_one(&mut *writing)
        .await
        .map_err(broken)?;
        self.commit(writing).await?;
        Ok(message(request, row, false))
    }

    /// Takes the write lock at once: a transaction that began by reading could not wait for it.
    async fn begin(&self) -> Result<Transaction<'_, Sqlite>, Error> {
        let begun = self.pool.begin_with("BEGIN IMMEDIATE").await;
        begun.map_err(broken)
    }

    async fn channels(&self) -> Result<String, Error> {
        let rows: Vec<(String, String, String)> =
            sqlx::query_as("SELECT platformid, platform, name FROM channels ORDER BY id")
                .fetch_all(&self.pool)
                .await
                .map_err(broken)?;
        let list = rows
            .into_iter()
            .map(|(platformid, platform, name)| Channel {
                platformid,
                platform,
                name,
            });
        listed(list)
    }

    async fn send_message(&self, request: &Request) -> Result<String, Error> {
        let mut writing = self.begin().await?;
        let chat = open_chat(&mut writing, request).await?;
        store_sent(&mut writing, chat, request).await?;
        self.commit(writing).await?;
        Ok("{}".to_owned())
    }

    async fn send_file(&self, request: &Request) -> Result<String, Error> {
        let mut writing = self.begin().await?;
        let chat = existing_chat(&mut writing, request).await?;
        store_sent(&mut writing, chat, request).await?;
        self.commit(writing).await?;
        Ok("{}".to_owned())
    }

    /// Each chat by its latest message, the chat with the newest first. A channel without chats lists none.
    async fn chats(&self, request: &Request) -> Result<String, Error> {
        let mut reading = self.pool.acquire().await.map_err(broken)?;
        let (channel, _) = place(&mut reading, request).await?;
        let rows: Vec<Row> = sqlx::query_as(
            "SELECT m.id, c.destination, m.message, m.sent, m.status, m.datetime
             FROM chats c JOIN messages m ON m.id = (SELECT max(id) FROM messages WHERE chat = c.id)
             WHERE c.channel = ?1 ORDER BY m.id DESC LIMIT ?2",
        )
        .bind(channel)
        .bind(LIST_ROWS_MAX)
        .fetch_all(&mut *reading)
        .await
        .map_err(broken)?;
        listed(rows.into_iter().map(|row| message(request, row, false)))
    }

    /// The messages of a chat, oldest first; its unread marks go.
    async fn messages(&self, request: &Request) -> Result<String, Error> {
        let mut writing = self.begin().await?;
        let chat = existing_chat(&mut writing, request).await?;
        let rows: Vec<Row> = sqlx::query_as(
            "SELECT id, ?2, message, sent, status, datetime FROM messages
             WHERE chat = ?1 ORDER BY id DESC LIMIT ?3",
        )
        .bind(chat)
        .bind(value(request, "destination"))
        .bind(LIST_ROWS_MAX)
        .fetch_all(&mut *writing)
        .await
        .map_err(broken)?;
        sqlx::query("UPDATE messages SET unread = 0 WHERE chat = ?1 AND unread = 1")
            .bind(chat)
            .execute(&mut *writing)
            .await
            .map_err(broken)?;
        self.commit(writing).await?;
        listed(
            rows.into_iter()
                .rev()
                .map(|row| message(request, row, false)),
        )
    }

    /// The unread messages of a chat, oldest first; their marks stay until `getmessages` clears them.
    async fn unread(&self, request: &Request) -> Result<String, Error> {
        let mut reading = self.pool.acquire().await.map_err(broken)?;
        let chat = existing_chat(&mut reading, request).await?;
        let rows: Vec<Row> = sqlx::query_as(
            "SELECT id, ?2, message, sent, status, datetime FROM messages
             WHERE chat = ?1 AND unread = 1 ORDER BY id DESC LIMIT ?3",
        )
        .bind(chat)
        .bind(value(request, "destination"))
        .bind(LIST_ROWS_MAX)
        .fetch_all(&mut *reading)
        .await
        .map_err(broken)?;
        listed(
            rows.into_iter()
                .rev()
                .map(|row| message(request, row, true)),
        )
    }
}
