//! The rules for answering reads of an access from memory: which reads, and for how long. An access can have its own time for each
//! operation that the operation table calls cacheable.

use std::fmt;
use std::time::Duration;

use adapter::{OPERATION_COUNT, Operation, cacheable};
use serde::de::{Error, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Maximum time for which answers of an access may be cached, in seconds: a day.
pub const CACHE_S_MAX: u32 = 24 * 60 * 60;

const ENABLED: &str = "enabled";

/// The cache rules of one access. They are written as an object; the plain values `true` and `false` can be read as well, and mean
/// an object that contains only `enabled`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CachePolicy {
    /// True if any read is answered from memory.
    pub enabled: bool,
    /// The access's own times in seconds, by the number of the operation. 0 means that the answer is not cached, and `None` means
    /// the time that applies to all accesses.
    own_s: [Option<u32>; OPERATION_COUNT],
}

impl Default for CachePolicy {
    fn default() -> CachePolicy {
        CachePolicy::switched(true)
    }
}

impl CachePolicy {
    /// Makes a policy without own times.
    #[must_use]
    pub fn switched(enabled: bool) -> CachePolicy {
        CachePolicy {
            enabled,
            own_s: [None; OPERATION_COUNT],
        }
    }

    /// Returns this access's own cache time for the operation, in seconds, if it has one.
    #[must_use]
    pub fn own_s(&self, operation: &Operation) -> Option<u32> {
        self.own_s[operation.number()]
    }

    /// Returns the cache time for the operation; `usual` is the time that applies to all accesses.
    #[must_use]
    pub fn lifetime(&self, operation: &Operation, usual: Duration) -> Duration {
        match self.own_s(operation) {
            _ if !self.enabled => Duration::ZERO,
            Some(seconds) => Duration::from_secs(seconds.into()),
            None => usual,
        }
    }

    /// Checks the policy's times.
    ///
    /// # Errors
    /// One sentence, when a time exceeds [`CACHE_S_MAX`].
    pub fn check(&self) -> Result<(), String> {
        if self.own_s.into_iter().flatten().any(|s| s > CACHE_S_MAX) {
            return Err(format!("at most {CACHE_S_MAX} seconds"));
        }
        Ok(())
    }
}

impl Serialize for CachePolicy {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_map(None)?;
        object.serialize_entry(ENABLED, &self.enabled)?;
        for (operation, caching) in cacheable() {
            if let Some(seconds) = self.own_s(operation) {
                object.serialize_entry(caching.field, &seconds)?;
            }
        }
        object.end()
    }
}

impl<'de> Deserialize<'de> for CachePolicy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<CachePolicy, D::Error> {
        let read = deserializer.deserialize_any(PolicyVisitor);
        // Every error gets the same sentence.
        read.map_err(|_| D::Error::custom(ExpectedPolicy))
    }
}

struct ExpectedPolicy;

impl fmt::Display for ExpectedPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cache: write true, false, or an object with {ENABLED}")?;
        cacheable().try_for_each(|(_, caching)| write!(f, ", {}", caching.field))
    }
}

struct PolicyVisitor;

impl<'de> Visitor<'de> for PolicyVisitor {
    type Value = CachePolicy;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{ExpectedPolicy}")
    }

    fn visit_bool<E>(self, enabled: bool) -> Result<CachePolicy, E> {
        Ok(CachePolicy::switched(enabled))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<CachePolicy, A::Error> {
        let mut policy = CachePolicy::default();
        let mut seen = Vec::new();
        while let Some(name) = members.next_key::<String>()? {
            if seen.contains(&name) {
                return Err(A::Error::custom("a name occurs twice"));
            }
            if name == ENABLED {
                policy.enabled = members.next_value()?;
            } else {
                let named = cacheable().find(|(_, caching)| caching.field == name);
                let (operation, _) = named.ok_or_else(|| A::Error::custom("an unknown name"))?;
                policy.own_s[operation.number()] = members.next_value()?;
            }
            seen.push(name);
        }
        Ok(policy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> CachePolicy {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn a_policy_is_read_from_a_bool_or_object_and_written_as_an_object() {
        assert_eq!(read("true"), CachePolicy::default());
        assert_eq!(read("{}"), CachePolicy::default());
        let off = read("false");
        assert_eq!(serde_json::to_string(&off).unwrap(), r#"{"enabled":false}"#);
        let own = read(r#"{"getchats_s":5}"#);
        let written = serde_json::to_string(&own).unwrap();
        assert_eq!(written, r#"{"enabled":true,"getchats_s":5}"#);
        assert_eq!(read(&written), own);
        assert!(serde_json::from_str::<CachePolicy>(r#"{"getmessages_s":5}"#).is_err());
    }

    #[test]
    fn own_lifetimes_override_the_default_unless_caching_is_off() {
        let usual = Duration::from_secs(60);
        let lifetime = |text: &str, method| {
            read(text)
                .lifetime(Operation::named(method).unwrap(), usual)
                .as_secs()
        };
        assert_eq!(lifetime("true", "getchats"), 60);
        assert_eq!(lifetime(r#"{"getchats_s":5}"#, "getchats"), 5);
        assert_eq!(lifetime(r#"{"getchats_s":5}"#, "getchatchannels"), 60);
        assert_eq!(lifetime(r#"{"getchats_s":0}"#, "getchats"), 0);
        let off = r#"{"enabled":false,"getchats_s":5}"#;
        assert_eq!(lifetime(off, "getchats"), 0);
        assert!(read(r#"{"getchats_s":86401}"#).check().is_err());
    }
}
