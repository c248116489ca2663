//! Computes the ids of events as a keyed hash of their content. The same event has the same id after a crash, after a restore, and
//! on every replica. Nobody can guess a destination from an id.

use aws_lc_rs::hmac;
use store::{EventChannel, EventKind};

/// Number of bytes of the hash in an id.
const ID_BYTES: usize = 16;

/// Crockford's base32 in lowercase.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// Computes ids.
pub(crate) struct EventIds {
    key: hmac::Key,
}

impl EventIds {
    /// Creates ids with this key.
    pub(crate) fn new(key: &[u8]) -> EventIds {
        EventIds {
            key: hmac::Key::new(hmac::HMAC_SHA256, key),
        }
    }

    /// Returns the id of an event in a channel. `what` is the message's id, and the message's status if the event can happen more
    /// than once.
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
            // Each part is hashed with its length, so that different lists of parts are different bytes.
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
    fn an_event_id_is_deterministic_and_differs_for_each_occurrence() {
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
