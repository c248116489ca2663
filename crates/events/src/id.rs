//! Ids of events: a keyed hash of what happened. The same happening has the same id after a crash, a restore, and on every replica,
//! and nobody guesses a destination from one.

use aws_lc_rs::hmac;
use store::{EventChannel, EventKind};

/// Bytes of the hash in an id.
const ID_BYTES: usize = 16;

/// Crockford's base32 in small letters.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// Makes ids.
pub(crate) struct EventIds {
    key: hmac::Key,
}

impl EventIds {
    /// Ids under this key.
    pub(crate) fn new(key: &[u8]) -> EventIds {
        EventIds {
            key: hmac::Key::new(hmac::HMAC_SHA256, key),
        }
    }

    /// The id of what happened to something in a channel: `what` is the message's id, and for what may happen to it more than once
    /// its status.
    pub(crate) fn id(
        &self,
        channel: &EventChannel,
        destination: &str,
        kind: EventKind,
        what: [&str; 2],
    ) -> String {
        let EventChannel {
            account,
            platform,
            platformid,
        } = channel;
        let channel = [account.as_str(), platform, platformid, destination];
        let mut hash = hmac::Context::with_key(&self.key);
        for part in channel.into_iter().chain([kind.word()]).chain(what) {
            // With its length, so that no two lists of parts are the same bytes.
            hash.update(&(part.len() as u64).to_be_bytes());
            hash.update(part.as_bytes());
        }
        format!("evt_{}", base32(&hash.sign().as_ref()[..ID_BYTES]))
    }
}

fn base32(bytes: &[u8]) -> String {
    let bit = |at: usize| bytes.get(at / 8).map_or(0, |byte| byte >> (7 - at % 8) & 1);
    let digits = (0..bytes.len() * 8).step_by(5);
    let digit = |start: usize| (start..start + 5).fold(0, |digit, at| digit << 1 | bit(at));
    digits
        .map(|start| char::from(ALPHABET[usize::from(digit(start))]))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_follows_from_what_happened_and_from_nothing_else() {
        let ids = EventIds::new(b"key");
        let channel = |platformid: &str| EventChannel {
            account: "host".to_owned(),
            platform: "whatsapp".to_owned(),
            platformid: platformid.to_owned(),
        };
        let of = |platformid: &str, destination: &str, what| {
            ids.id(
                &channel(platformid),
                destination,
                EventKind::ChatChanged,
                what,
            )
        };
        let id = of("1", "23", ["m", "sent"]);
        assert_eq!(id, of("1", "23", ["m", "sent"]));
        assert_eq!(id.len(), "evt_".len() + 26);
        for other in [
            of("12", "3", ["m", "sent"]),
            of("1", "23", ["m", "read"]),
            of("1", "23", ["ms", "ent"]),
        ] {
            assert_ne!(id, other);
        }
        assert_eq!(base32(&[0xff, 0x00]), "zw00");
    }
}
