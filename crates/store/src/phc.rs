//! Decides which password hashes from other systems are accepted.
//!
//! A caller that presents a name makes us compute with the parameters of the name's hash, so that the parameters have upper bounds.
//! A hash that is cheap for us is also cheap for a thief of the store, so that the parameters have lower bounds.

use argon2::Params;
use argon2::password_hash::phc::PasswordHash;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

use crate::StoredSecret;

/// Minimum memory, in KiB: the smallest argon2id setting of OWASP's password storage cheat sheet.
const MEMORY_KIB_MIN: u32 = 7 * 1024;

/// Maximum memory, in KiB: the setting of PHP, of libsodium and of RFC 9106's second choice. 16 computations at the same time take
/// 1 GiB.
const MEMORY_KIB_MAX: u32 = 64 * 1024;

/// Minimum work, memory times iterations, in KiB: five passes over [`MEMORY_KIB_MIN`], as in the same cheat sheet.
const WORK_KIB_MIN: u32 = 5 * MEMORY_KIB_MIN;

/// Maximum work, in KiB: PHP's four passes over [`MEMORY_KIB_MAX`], about seven times the work of our own hashes.
const WORK_KIB_MAX: u32 = 4 * MEMORY_KIB_MAX;

/// Maximum number of lanes; we compute them one after the other.
const LANES_MAX: u32 = 16;

/// Minimum length of a hash, in bytes.
const HASH_BYTES_MIN: usize = 16;

/// Maximum length of a PHC string, in bytes: with the longest salt and hash it has about 200.
const PHC_BYTES_MAX: usize = 256;

/// Length of a random secret's keyed hash, in bytes.
const KEYED_BYTES: usize = 32;

impl StoredSecret {
    /// Accepts the hash of a chosen password, a PHC string of argon2id.
    ///
    /// # Errors
    /// The defect of the hash, in one sentence.
    pub fn from_phc(text: &str) -> Result<StoredSecret, String> {
        check_phc(text).map(|()| StoredSecret::Argon2id(text.to_owned()))
    }

    /// Checks whether the stored secret can be one of ours, or can be accepted from another system.
    ///
    /// # Errors
    /// The defect of the stored secret, in one sentence.
    pub fn check(&self) -> Result<(), String> {
        match self {
            StoredSecret::Argon2id(phc) => check_phc(phc),
            StoredSecret::Keyed(text) => match BASE64_URL_SAFE_NO_PAD.decode(text) {
                Ok(bytes) if bytes.len() == KEYED_BYTES => Ok(()),
                _ => Err("this is not a keyed hash of a random secret".to_owned()),
            },
        }
    }
}

fn check_phc(text: &str) -> Result<(), String> {
    let no_phc = || "write a PHC string: $argon2id$v=19$m=…,t=…,p=…$SALT$HASH".to_owned();
    if text.len() > PHC_BYTES_MAX {
        return Err(no_phc());
    }
    let parsed = PasswordHash::new(text).map_err(|_| no_phc())?;
    if parsed.algorithm.as_str() != "argon2id" || parsed.version != Some(19) {
        return Err("only argon2id of version 19 is accepted".to_owned());
    }
    let has_all = ["m", "t", "p"].map(|name| parsed.params.get_decimal(name).is_some());
    if parsed.params.iter().count() != has_all.len() || has_all.contains(&false) {
        return Err("its parameters have to be m, t and p".to_owned());
    }
    let params = Params::try_from(&parsed).map_err(|_| no_phc())?;
    check_cost(&params)?;
    match (parsed.salt, parsed.hash) {
        (Some(_), Some(hash)) if hash.len() >= HASH_BYTES_MIN => Ok(()),
        _ => Err(format!(
            "it needs a salt and a hash of {HASH_BYTES_MIN} bytes or more"
        )),
    }
}

fn check_cost(params: &Params) -> Result<(), String> {
    let (memory, passes, lanes) = (params.m_cost(), params.t_cost(), params.p_cost());
    if !(MEMORY_KIB_MIN..=MEMORY_KIB_MAX).contains(&memory) {
        return Err(format!(
            "its memory m is {memory} KiB; {MEMORY_KIB_MIN} to {MEMORY_KIB_MAX} are accepted"
        ));
    }
    let work = memory.saturating_mul(passes);
    if !(WORK_KIB_MIN..=WORK_KIB_MAX).contains(&work) {
        return Err(format!(
            "its memory m times its iterations t is {work} KiB; {WORK_KIB_MIN} to {WORK_KIB_MAX} are accepted"
        ));
    }
    if lanes > LANES_MAX {
        return Err(format!(
            "its lanes p are {lanes}; at most {LANES_MAX} are accepted"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::unknown_name_hash;

    #[track_caller]
    fn check(params: &str, expected: &str) {
        let phc = format!(
            "$argon2id$v=19${params}$c29tZXNhbHRzb21lc2FsdA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
        );
        match StoredSecret::from_phc(&phc) {
            Ok(_) => assert_eq!(expected, "", "{params}"),
            Err(said) => assert!(
                !expected.is_empty() && said.contains(expected),
                "{params}: {said}"
            ),
        }
    }

    #[test]
    fn common_argon2id_parameters_are_accepted_and_extreme_ones_rejected() {
        for usual in [
            "m=19456,t=2,p=1",
            "m=65536,t=4,p=1",
            "m=65536,t=3,p=4",
            "m=7168,t=5,p=1",
            "m=47104,t=1,p=1",
        ] {
            check(usual, "");
        }
        check("m=4194304,t=2,p=1", "memory m is 4194304");
        check("m=4294967295,t=4294967295,p=1", "memory m is");
        check("m=65536,t=5,p=1", "times its iterations");
        check("m=19456,t=4294967295,p=1", "times its iterations");
        check("m=8,t=1,p=1", "memory m is 8 ");
        check("m=7168,t=1,p=1", "times its iterations");
        check("m=65536,t=2,p=17", "lanes p are 17");
        check("m=19456,t=2", "m, t and p");
        check("m=19456,t=2,p=1,keyid=AAAA", "m, t and p");
    }

    #[test]
    fn incomplete_and_foreign_password_hashes_are_rejected() {
        let whole = unknown_name_hash();
        assert!(StoredSecret::from_phc(whole).is_ok());
        let long = "A".repeat(300);
        for wrong in [
            "",
            "secret",
            "$2y$10$abcdefghijklmnopqrstuv",
            &whole.replace("argon2id", "argon2i"),
            &whole.replace("v=19", "v=16"),
            &whole.replace("$v=19", ""),
            &whole[..whole.rfind('$').unwrap()],
            &format!("{}$AAAAAAAAAAAAAAA", &whole[..whole.rfind('$').unwrap()]),
            &format!("{whole}{long}"),
        ] {
            assert!(StoredSecret::from_phc(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_keyed_hash_must_have_the_exact_size() {
        let keyed = |text: &str| StoredSecret::Keyed(text.to_owned()).check().is_ok();
        assert!(keyed(&"A".repeat(43)));
        assert!(!keyed("AAAA") && !keyed("not base64!"));
    }
}
