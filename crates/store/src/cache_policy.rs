//! What of an access's reads may be answered from memory, and for how long.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::object::object;

/// Longest time that an access may have its answers kept, in seconds: a day.
pub const CACHE_S_MAX: u32 = 24 * 60 * 60;

/// CachePolicyInput as an object; `true` and `false` alone are read as well, and stand for an object with nothing but `enabled`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "CachePolicyInput")]
pub struct CachePolicy {
    /// Whether anything is answered from memory at all.
    pub enabled: bool,
    /// How long a list of channels is kept, in seconds, 0 being not at all; absent means as long as for everybody.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub getchatchannels_s: Option<u32>,
    /// The same for a list of chats.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub getchats_s: Option<u32>,
}

impl Default for CachePolicy {
    fn default() -> CachePolicy {
        CachePolicy {
            enabled: true,
            getchatchannels_s: None,
            getchats_s: None,
        }
    }
}

impl CachePolicy {
    /// How long an answer to this method is kept, which for everybody would be `usual`.
    #[must_use]
    pub fn life(&self, method: &str, usual: Duration) -> Duration {
        let own = match method {
            "getchatchannels" => self.getchatchannels_s,
            "getchats" => self.getchats_s,
            _ => None,
        };
        match own {
            _ if !self.enabled => Duration::ZERO,
            Some(seconds) => Duration::from_secs(seconds.into()),
            None => usual,
        }
    }

    /// What can't be about it, in one sentence.
    ///
    /// # Errors
    /// When a time is beyond [`CACHE_S_MAX`].
    pub fn check(&self) -> Result<(), String> {
        let times = [self.getchatchannels_s, self.getchats_s];
        if times.into_iter().flatten().any(|s| s > CACHE_S_MAX) {
            return Err(format!("at most {CACHE_S_MAX} seconds"));
        }
        Ok(())
    }
}

/// As people write it, and as the store has it from before there were times.
#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "cache: write true, false, or an object with enabled, getchatchannels_s, getchats_s"
)]
enum CachePolicyInput {
    Switch(bool),
    Policy(#[serde(deserialize_with = "object")] Policy),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Policy {
    #[serde(default = "yes")]
    enabled: bool,
    #[serde(default)]
    getchatchannels_s: Option<u32>,
    #[serde(default)]
    getchats_s: Option<u32>,
}

fn yes() -> bool {
    true
}

impl From<CachePolicyInput> for CachePolicy {
    fn from(written: CachePolicyInput) -> CachePolicy {
        match written {
            CachePolicyInput::Switch(enabled) => CachePolicy {
                enabled,
                ..CachePolicy::default()
            },
            CachePolicyInput::Policy(policy) => CachePolicy {
                enabled: policy.enabled,
                getchatchannels_s: policy.getchatchannels_s,
                getchats_s: policy.getchats_s,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> CachePolicy {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn a_switch_alone_and_an_object_are_read_and_an_object_is_written() {
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
    fn its_own_times_stand_in_the_place_of_everybodys_unless_it_is_off() {
        let usual = Duration::from_secs(60);
        let life = |text: &str, method| read(text).life(method, usual).as_secs();
        assert_eq!(life("true", "getchats"), 60);
        assert_eq!(life(r#"{"getchats_s":5}"#, "getchats"), 5);
        assert_eq!(life(r#"{"getchats_s":5}"#, "getchatchannels"), 60);
        assert_eq!(life(r#"{"getchats_s":0}"#, "getchats"), 0);
        let off = r#"{"enabled":false,"getchats_s":5}"#;
        assert_eq!(life(off, "getchats"), 0);
        assert!(read(r#"{"getchats_s":86401}"#).check().is_err());
    }
}
