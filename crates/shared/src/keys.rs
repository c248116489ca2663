//! Names of the keys of counts in the server. No person and no access can be identified from a key.

use aws_lc_rs::hmac;

/// Length of the hash in a key, in bytes; enough to keep two names apart.
const HASH_BYTES: usize = 16;

/// Length of the hash that identifies the deployment, in bytes.
const DEPLOYMENT_BYTES: usize = 4;

/// The kinds of counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CountKind {
    /// Calls of an access.
    Access,
    /// Sends of an access to one destination.
    Destination,
    /// Calls from an address.
    Address,
    /// Guesses for a name, from inside its networks.
    GuessInside,
    /// Guesses for a name, from outside its networks.
    GuessOutside,
    /// Guesses from an address.
    GuessAddress,
    /// Calls of an access that are in progress.
    Leases,
    /// Wrong operator keys from an address.
    WrongKeys,
}

impl CountKind {
    fn word(self) -> &'static str {
        match self {
            CountKind::Access => "ac",
            CountKind::Destination => "de",
            CountKind::Address => "ip",
            CountKind::GuessInside => "gn",
            CountKind::GuessOutside => "go",
            CountKind::GuessAddress => "ga",
            CountKind::Leases => "tu",
            CountKind::WrongKeys => "op",
        }
    }
}

/// The key of one count in the server.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ValkeyKey(pub(crate) String);

/// Builds the keys of one deployment. They are the same in each of its processes.
pub struct CountKeys {
    key: hmac::Key,
    deployment: String,
}

impl CountKeys {
    /// Takes a secret that all processes of the deployment have, and nobody else.
    #[must_use]
    pub fn new(secret: &[u8]) -> CountKeys {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
        let tag = hmac::sign(&key, b"deployment");
        CountKeys {
            deployment: hex(&tag.as_ref()[..DEPLOYMENT_BYTES]),
            key,
        }
    }

    /// Returns the key of a count from its kind and subject. The hash stands in braces, so that a cluster assigns the slot by the
    /// hash alone.
    #[must_use]
    pub fn key(&self, kind: CountKind, what: &[&[u8]]) -> ValkeyKey {
        let word = kind.word();
        let mut context = hmac::Context::with_key(&self.key);
        context.update(word.as_bytes());
        for part in what {
            // The length comes first, so that no two lists of parts give the same input.
            context.update(&part.len().to_le_bytes());
            context.update(part);
        }
        let tag = context.sign();
        let hash = hex(&tag.as_ref()[..HASH_BYTES]);
        ValkeyKey(format!("cg:{}:{word}:{{{hash}}}", self.deployment))
    }

    /// Derives a separate key for another purpose. It is the same in all processes.
    #[must_use]
    pub fn derived(&self, purpose: &str) -> [u8; 32] {
        let mut derived = [0; 32];
        let tag = hmac::sign(&self.key, format!("derived key: {purpose}").as_bytes());
        derived.copy_from_slice(tag.as_ref());
        derived
    }

    /// Returns the name of the channel over which processes wake each other up.
    pub(crate) fn channel(&self) -> String {
        format!("cg:{}:sent", self.deployment)
    }

    /// Returns the key of a count that only probes use. Keys of different numbers are in different slots of a cluster.
    pub(crate) fn probe(&self, number: usize) -> ValkeyKey {
        ValkeyKey(format!("cg:{}:pr:{{{number}}}", self.deployment))
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_key_is_deterministic_and_unique_per_deployment_kind_and_name() {
        let keys = CountKeys::new(b"secret");
        let key = keys.key(CountKind::Access, &[b"shop", b"60"]);
        assert_eq!(key.0.len(), "cg:01234567:ac:{}".len() + 2 * HASH_BYTES);
        assert_eq!(
            CountKeys::new(b"secret").key(CountKind::Access, &[b"shop", b"60"]),
            key
        );
        for other in [
            CountKeys::new(b"other").key(CountKind::Access, &[b"shop", b"60"]),
            keys.key(CountKind::Destination, &[b"shop", b"60"]),
            keys.key(CountKind::Access, &[b"shop6", b"0"]),
            keys.key(CountKind::Access, &[b"shop60"]),
        ] {
            assert_ne!(other, key);
        }
    }
}
