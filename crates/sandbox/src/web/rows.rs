//! Queries for the content of the pages. They change no unread marks.

use adapter::{Error, PLATFORMS};
use rusqlite::{Connection, OptionalExtension, params};

use crate::chats::Chats;
use crate::database::ServiceFailure;

/// Maximum number of messages on a chat's page, which shows the newest ones.
const MESSAGES_MAX: i64 = 200;

/// Maximum number of chats per platform on the operator's page, which shows those with the newest messages.
const CHATS_MAX: i64 = 100;

/// Maximum number of characters that the list shows of a chat's latest message.
const EXCERPT_CHARS: i64 = 160;

/// A channel.
pub(crate) struct ChatChannel {
    id: i64,
    pub(crate) platform: String,
    pub(crate) platformid: String,
    pub(crate) name: String,
}

/// A chat. A visitor's chat may not have a message yet.
pub(crate) struct Chat {
    pub(crate) channel: ChatChannel,
    pub(crate) destination: String,
    /// The number in the address of the operator's page; `None` for a visitor.
    pub(crate) id: Option<i64>,
}

impl Chat {
    /// Returns the chat of this visitor on this channel.
    pub(crate) fn of_visitor(channel: ChatChannel, name: &str) -> Chat {
        Chat {
            channel,
            destination: name.to_owned(),
            id: None,
        }
    }

    /// Returns the path of the chat's page.
    pub(crate) fn path(&self) -> String {
        match self.id {
            Some(id) => format!("/operator/chat/{id}"),
            None => format!("/chat/{}", self.channel.platformid),
        }
    }
}

/// A message as a page shows it.
pub(crate) struct ShownMessage {
    pub(crate) id: i64,
    pub(crate) message: String,
    /// True if the message was sent through the API or by an operator.
    pub(crate) sent: bool,
    pub(crate) datetime: String,
    kind: Option<String>,
    fileurl: Option<String>,
}

impl ShownMessage {
    /// Returns the kind and the URL of the file, if the message is a file. Ignores URLs that are not http or https.
    pub(crate) fn file(&self) -> Option<(&str, &str)> {
        let url = self.fileurl.as_deref()?;
        let (scheme, _) = url.split_once("://")?;
        let is_web = ["http", "https"]
            .iter()
            .any(|web| scheme.eq_ignore_ascii_case(web));
        is_web.then_some((self.kind.as_deref().unwrap_or("file"), url))
    }
}

/// A chat in the operator's list.
pub(crate) struct ChatSummary {
    pub(crate) id: i64,
    pub(crate) destination: String,
    pub(crate) channel: String,
    pub(crate) platformid: String,
    pub(crate) unread: i64,
    pub(crate) excerpt: String,
    pub(crate) is_file: bool,
    pub(crate) sent: bool,
    pub(crate) datetime: String,
}

/// A platform with its chats, the chat with the newest message first.
pub(crate) struct PlatformChats {
    pub(crate) name: &'static str,
    pub(crate) chats: Vec<ChatSummary>,
}

impl PlatformChats {
    /// Returns the platform's name for people.
    pub(crate) fn title(&self) -> &'static str {
        match self.name {
            "webchat" => "Web chat",
            "whatsapp" => "WhatsApp",
            "telegram" => "Telegram",
            "operator" => "Operator",
            other => other,
        }
    }
}

impl Chats {
    /// Returns the web chat's channels, through which visitors write.
    pub(crate) async fn web_channels(&self) -> Result<Vec<ChatChannel>, Error> {
        self.database.read(web_channels).await
    }

    /// Returns the web chat's channel with this platformid.
    pub(crate) async fn web_channel(&self, platformid: &str) -> Result<Option<ChatChannel>, Error> {
        let all = self.web_channels().await?;
        Ok(all.into_iter().find(|one| one.platformid == platformid))
    }

    /// Returns the chat with this number.
    pub(crate) async fn chat(&self, id: &str) -> Result<Option<Chat>, Error> {
        match id.parse() {
            Ok(id) => self.database.read(move |db| chat(db, id)).await,
            Err(_) => Ok(None),
        }
    }

    /// Returns the newest messages of a chat that follow the message `after`, oldest first.
    pub(crate) async fn shown(&self, chat: &Chat, after: i64) -> Result<Vec<ShownMessage>, Error> {
        let (channel, destination) = (chat.channel.id, chat.destination.clone());
        let query = move |db: &Connection| shown(db, (channel, &destination), after);
        self.database.read(query).await
    }

    /// Returns the chats of every platform.
    pub(crate) async fn by_platform(&self) -> Result<Vec<PlatformChats>, Error> {
        let query = |db: &Connection| {
            let platforms = PLATFORMS.into_iter().map(|name| {
                let chats = summaries(db, name)?;
                Ok(PlatformChats { name, chats })
            });
            platforms.collect()
        };
        self.database.read(query).await
    }
}

fn web_channels(db: &Connection) -> Result<Vec<ChatChannel>, ServiceFailure> {
    let mut query = db.prepare_cached(
        "SELECT id, platform, platformid, name FROM channels WHERE platform = 'webchat' ORDER BY id",
    )?;
    let channels = query.query_map([], |row| {
        Ok(ChatChannel {
            id: row.get(0)?,
            platform: row.get(1)?,
            platformid: row.get(2)?,
            name: row.get(3)?,
        })
    })?;
    Ok(channels.collect::<Result<_, _>>()?)
}

fn chat(db: &Connection, id: i64) -> Result<Option<Chat>, ServiceFailure> {
    let mut query = db.prepare_cached(
        "SELECT c.destination, n.id, n.platform, n.platformid, n.name
         FROM chats c JOIN channels n ON n.id = c.channel WHERE c.id = ?1",
    )?;
    let chat = query.query_row([id], |row| {
        Ok(Chat {
            destination: row.get(0)?,
            channel: ChatChannel {
                id: row.get(1)?,
                platform: row.get(2)?,
                platformid: row.get(3)?,
                name: row.get(4)?,
            },
            id: Some(id),
        })
    });
    Ok(chat.optional()?)
}

fn shown(
    db: &Connection,
    (channel, destination): (i64, &str),
    after: i64,
) -> Result<Vec<ShownMessage>, ServiceFailure> {
    let mut query = db.prepare_cached(
        "SELECT id, message, sent, datetime, type, fileurl FROM messages
         WHERE chat = (SELECT id FROM chats WHERE channel = ?1 AND destination = ?2) AND id > ?3
         ORDER BY id DESC LIMIT ?4",
    )?;
    let rows = query.query_map(params![channel, destination, after, MESSAGES_MAX], |row| {
        Ok(ShownMessage {
            id: row.get(0)?,
            message: row.get(1)?,
            sent: row.get(2)?,
            datetime: row.get(3)?,
            kind: row.get(4)?,
            fileurl: row.get(5)?,
        })
    })?;
    let mut shown: Vec<_> = rows.collect::<Result<_, _>>()?;
    shown.reverse();
    Ok(shown)
}

fn summaries(db: &Connection, platform: &str) -> Result<Vec<ChatSummary>, ServiceFailure> {
    let mut query = db.prepare_cached(
        "SELECT c.id, c.destination, n.name, n.platformid,
                (SELECT count(*) FROM messages WHERE chat = c.id AND unread = 1),
                substr(m.message, 1, ?3), m.fileurl IS NOT NULL, m.sent, m.datetime
         FROM channels n JOIN chats c ON c.channel = n.id
         JOIN messages m ON m.id = (SELECT max(id) FROM messages WHERE chat = c.id)
         WHERE n.platform = ?1 ORDER BY m.id DESC LIMIT ?2",
    )?;
    let chats = query.query_map(params![platform, CHATS_MAX, EXCERPT_CHARS], |row| {
        Ok(ChatSummary {
            id: row.get(0)?,
            destination: row.get(1)?,
            channel: row.get(2)?,
            platformid: row.get(3)?,
            unread: row.get(4)?,
            excerpt: row.get(5)?,
            is_file: row.get(6)?,
            sent: row.get(7)?,
            datetime: row.get(8)?,
        })
    })?;
    Ok(chats.collect::<Result<_, _>>()?)
}
