//! Sample channels and chats for an empty database, so that every operation has something to answer.

use sqlx::sqlite::SqliteConnection;

use crate::rows::now;

/// Platform, platformid, name. The second web chat has no chats: what an empty list looks like can be seen there.
const CHANNELS: [(&str, &str, &str); 5] = [
    ("webchat", "1", "Website"),
    ("webchat", "2", "Help pages"),
    ("whatsapp", "100", "Sales"),
    ("telegram", "200", "Support"),
    ("operator", "300", "Front desk"),
];

/// Platformid, destination, message, whether it left through the API; what came in last is unread.
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

/// Fills an empty database; leaves any other as it is.
pub(crate) async fn seed(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    let channels: i64 = sqlx::query_scalar("SELECT count(*) FROM channels")
        .fetch_one(&mut *connection)
        .await?;
    if channels > 0 {
        return Ok(());
    }
    for (platform, platformid, name) in CHANNELS {
        sqlx::query("INSERT INTO channels (platform, platformid, name) VALUES (?1, ?2, ?3)")
            .bind(platform)
            .bind(platformid)
            .bind(name)
            .execute(&mut *connection)
            .await?;
    }
    for (platformid, destination, message, sent, unread) in MESSAGES {
        sqlx::query(
            "INSERT OR IGNORE INTO chats (channel, destination)
             SELECT id, ?2 FROM channels WHERE platformid = ?1",
        )
        .bind(platformid)
        .bind(destination)
        .execute(&mut *connection)
        .await?;
        sqlx::query(
            "INSERT INTO messages (chat, message, sent, status, datetime, unread)
             SELECT id, ?2, ?3, ?4, ?5, ?6 FROM chats WHERE destination = ?1",
        )
        .bind(destination)
        .bind(message)
        .bind(sent)
        .bind(if sent { "sent" } else { "received" })
        .bind(now())
        .bind(unread)
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}
