//! What the pages show of the chats. Nothing here changes an unread mark.

use adapter::{Error, PLATFORMS};

use crate::chats::Chats;
use crate::rows::broken;

/// Most messages of a chat on its page, the newest.
const MESSAGES_MAX: i64 = 200;

/// Most chats of a platform on the operator's page, those with the newest messages.
const CHATS_MAX: i64 = 100;

/// Most characters of a chat's latest message in the list.
const EXCERPT_CHARS: i64 = 160;

/// A channel.
pub(crate) struct Channel {
    id: i64,
    pub(crate) platform: String,
    pub(crate) platformid: String,
    pub(crate) name: String,
}

/// A chat, which may have no message yet when it is a visitor's.
pub(crate) struct Chat {
    pub(crate) channel: Channel,
    pub(crate) destination: String,
    /// Its number among the operator's pages; none for a visitor.
    pub(crate) id: Option<i64>,
}

impl Chat {
    /// The chat of this visitor on this channel.
    pub(crate) fn of_visitor(channel: Channel, name: &str) -> Chat {
        Chat {
            channel,
            destination: name.to_owned(),
            id: None,
        }
    }

    /// Where its page is.
    pub(crate) fn path(&self) -> String {
        match self.id {
            Some(id) => format!("/operator/chat/{id}"),
            None => format!("/chat/{}", self.channel.platformid),
        }
    }
}

/// Id, message, sent, datetime, type, fileurl.
type ShownRow = (i64, String, bool, String, Option<String>, Option<String>);

/// A message as a page shows it.
pub(crate) struct Shown {
    pub(crate) id: i64,
    pub(crate) message: String,
    /// Whether it left through the API or an operator.
    pub(crate) sent: bool,
    pub(crate) datetime: String,
    kind: Option<String>,
    fileurl: Option<String>,
}

impl Shown {
    /// What the file is and where, if this is one. A link to anywhere but the web is none.
    pub(crate) fn file(&self) -> Option<(&str, &str)> {
        let url = self.fileurl.as_deref()?;
        let (scheme, _) = url.split_once("://")?;
        let is_web = ["http", "https"]
            .iter()
            .any(|web| scheme.eq_ignore_ascii_case(web));
        is_web.then_some((self.kind.as_deref().unwrap_or("file"), url))
    }
}

/// The fields of [`Listed`], in its order.
type ListedRow = (i64, String, String, String, i64, String, bool, bool, String);

/// A chat in the operator's list.
pub(crate) struct Listed {
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

impl Listed {
    fn of(row: ListedRow) -> Listed {
        let (id, destination, channel, platformid, unread, excerpt, is_file, sent, datetime) = row;
        Listed {
            id,
            destination,
            channel,
            platformid,
            unread,
            excerpt,
            is_file,
            sent,
            datetime,
        }
    }
}

/// A platform with its chats, the one with the newest message first.
pub(crate) struct Platform {
    pub(crate) name: &'static str,
    pub(crate) chats: Vec<Listed>,
}

impl Platform {
    /// As people write it.
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
    /// The channels that a visitor can come by.
    pub(crate) async fn web_channels(&self) -> Result<Vec<Channel>, Error> {
        let rows: Vec<(i64, String, String, String)> = sqlx::query_as(
            "SELECT id, platform, platformid, name FROM channels WHERE platform = 'webchat' ORDER BY id",
        )
        .fetch_all(&self.pool)
        .await
        .map_err(broken)?;
        let channels = rows
            .into_iter()
            .map(|(id, platform, platformid, name)| Channel {
                id,
                platform,
                platformid,
                name,
            });
        Ok(channels.collect())
    }

    /// One of them.
    pub(crate) async fn web_channel(&self, platformid: &str) -> Result<Option<Channel>, Error> {
        let all = self.web_channels().await?;
        Ok(all.into_iter().find(|one| one.platformid == platformid))
    }

    /// The chat with this number.
    pub(crate) async fn chat(&self, id: &str) -> Result<Option<Chat>, Error> {
        let Ok(id) = id.parse::<i64>() else {
            return Ok(None);
        };
        let row: Option<(String, i64, String, String, String)> = sqlx::query_as(
            "SELECT c.destination, n.id, n.platform, n.platformid, n.name
             FROM chats c JOIN channels n ON n.id = c.channel WHERE c.id = ?1",
        )
        .bind(id)
        .fetch_optional(&self.pool)
        .await
        .map_err(broken)?;
        Ok(
            row.map(|(destination, channel, platform, platformid, name)| Chat {
                channel: Channel {
                    id: channel,
                    platform,
                    platformid,
                    name,
                },
                destination,
                id: Some(id),
            }),
        )
    }

    /// The newest messages of a chat after one of them, oldest first.
    pub(crate) async fn shown(&self, chat: &Chat, after: i64) -> Result<Vec<Shown>, Error> {
        let rows: Vec<ShownRow> = sqlx::query_as(
            "SELECT id, message, sent, datetime, type, fileurl FROM messages
             WHERE chat = (SELECT id FROM chats WHERE channel = ?1 AND destination = ?2) AND id > ?3
             ORDER BY id DESC LIMIT ?4",
        )
        .bind(chat.channel.id)
        .bind(&chat.destination)
        .bind(after)
        .bind(MESSAGES_MAX)
        .fetch_all(&self.pool)
        .await
        .map_err(broken)?;
        let shown = rows
            .into_iter()
            .rev()
            .map(|(id, message, sent, datetime, kind, fileurl)| Shown {
                id,
                message,
                sent,
                datetime,
                kind,
                fileurl,
            });
        Ok(shown.collect())
    }

    /// The chats of every platform.
    pub(crate) async fn by_platform(&self) -> Result<Vec<Platform>, Error> {
        let mut platforms = Vec::with_capacity(PLATFORMS.len());
        for name in PLATFORMS {
            let rows: Vec<ListedRow> = sqlx::query_as(
                "SELECT c.id, c.destination, n.name, n.platformid,
                        (SELECT count(*) FROM messages WHERE chat = c.id AND unread = 1),
                        substr(m.message, 1, ?3), m.fileurl IS NOT NULL, m.sent, m.datetime
                 FROM channels n JOIN chats c ON c.channel = n.id
                 JOIN messages m ON m.id = (SELECT max(id) FROM messages WHERE chat = c.id)
                 WHERE n.platform = ?1 ORDER BY m.id DESC LIMIT ?2",
            )
            .bind(name)
            .bind(CHATS_MAX)
            .bind(EXCERPT_CHARS)
            .fetch_all(&self.pool)
            .await
            .map_err(broken)?;
            let chats = rows.into_iter().map(Listed::of).collect();
            platforms.push(Platform { name, chats });
        }
        Ok(platforms)
    }
}
