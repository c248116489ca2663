//! Sample channels and chats for an empty database, so that every operation has a useful answer.

use rusqlite::{Connection, params};

use crate::clock::now;

/// Platform, platformid, name. The second web chat has no chats, so that it shows an empty list.
const CHANNELS: [(&str, &str, &str); 5] = [
    ("webchat", "1", "Website"),
    ("webchat", "2", "Help pages"),
    ("whatsapp", "100", "Sales"),
    ("telegram", "200", "Support"),
    ("operator", "300", "Front desk"),
];

/// Platformid, destination, message, whether the message was sent through the API, and whether it is unread. The last incoming
/// message is unread.
const MESSAGES: [(&str, &str, &str, bool, bool); 7] = [
    (
        "1",
        "visitor-1",
        "Is the shop open on Sunday?",
        false,
        false,
    ),
    ("1", "visitor-1", "Yes, from ten to two.", true, false),
    ("200", "700100", "My parcel has not come yet.", false, false),
    (
        "200",
        "700100",
        "It is on its way and comes tomorrow.",
        true,
        false,
    ),
    (
        "300",
        "operator-1",
        "Please call back the customer of this morning.",
        true,
        false,
    ),
    (
        "100",
        "34600000000",
        "Good morning! How can we help?",
        true,
        false,
    ),
    (
        "100",
        "34600000000",
        "Hello, do you deliver on Saturdays?",
        false,
        true,
    ),
];

/// Fills an empty database. Does not change any other database.
pub(crate) fn seed(db: &Connection) -> rusqlite::Result<()> {
    let channels: i64 = db.query_row("SELECT count(*) FROM channels", [], |row| row.get(0))?;
    if channels > 0 {
        return Ok(());
    }
    for (platform, platformid, name) in CHANNELS {
        db.execute(
            "INSERT INTO channels (platform, platformid, name) VALUES (?1, ?2, ?3)",
            [platform, platformid, name],
        )?;
    }
    for (platformid, destination, message, sent, unread) in MESSAGES {
        db.execute(
            "INSERT OR IGNORE INTO chats (channel, destination)
             SELECT id, ?2 FROM channels WHERE platformid = ?1",
            [platformid, destination],
        )?;
        let status = if sent { "sent" } else { "received" };
        db.execute(
            "INSERT INTO messages (chat, message, sent, status, datetime, unread)
             SELECT id, ?2, ?3, ?4, ?5, ?6 FROM chats WHERE destination = ?1",
            params![destination, message, sent, status, now(), unread],
        )?;
    }
    Ok(())
}
