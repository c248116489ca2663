//! Checks of imported accesses. They have the same bounds as accesses that operators write, and all mistakes are reported together.

use std::collections::HashSet;
use std::ops::RangeInclusive;

use adapter::{PLATFORMS, USER_BYTES_MAX};
use ipnet::IpNet;
use store::{Access, ListedWord, SECRETS_MAX, check_name};

use crate::access::bounds::{NETWORKS_MAX, TEXT_BYTES_MAX};
use crate::access::draft::{bounded, channels, listed, methods, ways};

/// Maximum length of a client id, in bytes; our own client ids have 20.
pub(crate) const CLIENT_ID_BYTES_MAX: usize = 256;

/// The versions that every JSON parser can represent exactly.
pub(crate) const VERSIONS: RangeInclusive<i64> = 0..=9_007_199_254_740_991;

/// The times that RFC 3339 can represent, in seconds since 1970, UTC: from the year 0 to almost the end of 9999.
pub(crate) const SECONDS: RangeInclusive<i64> = -62_167_219_200..=253_402_207_200;

/// Returns the mistakes in the accesses of an import, by field. Each field has the name of its access as a prefix.
pub(crate) fn mistakes(accesses: &[Access]) -> Vec<(String, String)> {
    let mut names = HashSet::new();
    let wrong = accesses.iter().flat_map(|access| {
        // If two accesses have the same name, it is unclear which one is meant.
        let is_new = names.insert(&*access.name);
        let again = (!is_new).then(|| {
            let text = "another access in the body has this name".to_owned();
            (format!("{}.name", access.name), text)
        });
        again.into_iter().chain(mistakes_of(access))
    });
    wrong.collect()
}

fn mistakes_of(access: &Access) -> Vec<(String, String)> {
    let names = |names: &[ListedWord], known: &[&str]| listed(names, known).map(|_| ());
    let platforms = access.platforms.as_deref().unwrap_or_default();
    let checks = [
        ("name", check_name(&access.name)),
        ("version", version(access.version)),
        ("user", bounded(&access.user, 1, USER_BYTES_MAX)),
        (
            "client_id",
            bounded(&access.client_id, 1, CLIENT_ID_BYTES_MAX),
        ),
        ("owner", bounded(&access.owner, 0, TEXT_BYTES_MAX)),
        ("note", bounded(&access.note, 0, TEXT_BYTES_MAX)),
        ("secrets", secrets(access)),
        ("not_before", time(access.not_before)),
        ("expires", time(access.expires)),
        ("token_generation", version(access.token_generation)),
        ("tokens_since", time(access.tokens_since)),
        ("allow", networks(&access.allow)),
        ("deny", networks(&access.deny)),
        ("ways", names(&access.ways, &ways())),
        ("methods", names(&access.methods, &methods())),
        ("platforms", names(platforms, &PLATFORMS)),
        (
            "channels",
            channels(access.channels.clone().unwrap_or_default()).map(|_| ()),
        ),
        ("cache", access.cache.check()),
    ];
    let wrong = checks
        .into_iter()
        .filter_map(|(field, check)| Some((format!("{}.{field}", access.name), check.err()?)));
    wrong.collect()
}

fn secrets(access: &Access) -> Result<(), String> {
    if access.secrets.len() > SECRETS_MAX {
        return Err(format!("at most {SECRETS_MAX} secrets"));
    }
    access
        .secrets
        .iter()
        .try_for_each(|secret| time(Some(secret.created)))?;
    access.hashes().try_for_each(store::StoredSecret::check)
}

fn version(version: i64) -> Result<(), String> {
    if VERSIONS.contains(&version) {
        Ok(())
    } else {
        Err(format!("{version} is not a version"))
    }
}

fn time(seconds: Option<i64>) -> Result<(), String> {
    match seconds {
        Some(seconds) if !SECONDS.contains(&seconds) => Err(format!(
            "{seconds} is not a time between the years 0 and 9999"
        )),
        _ => Ok(()),
    }
}

fn networks(networks: &[IpNet]) -> Result<(), String> {
    if networks.len() > NETWORKS_MAX {
        return Err(format!("at most {NETWORKS_MAX} networks"));
    }
    match networks.iter().find(|net| **net != net.trunc()) {
        Some(net) => Err(format!("{net} has host bits set")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    #[test]
    fn import_rejects_a_duplicate_access_name() {
        let all = ["a", "b", "a"].map(|name| Access::new(name, name, name));
        assert_eq!(mistakes(&all[..2]), []);
        let wrong = mistakes(&all);
        let fields: Vec<_> = wrong.iter().map(|(field, _)| &**field).collect();
        assert_eq!(fields, ["a.name"]);
    }

    #[test]
    fn import_accepts_only_times_that_can_be_formatted() {
        let written = |seconds| Timestamp::from_second(seconds).map(|time| time.to_string());
        assert_eq!(written(*SECONDS.start()).unwrap(), "0000-01-01T00:00:00Z");
        assert_eq!(written(*SECONDS.end()).unwrap(), "9999-12-30T22:00:00Z");
        for beyond in [*SECONDS.start() - 1, *SECONDS.end() + 1, i64::MIN] {
            assert!(time(Some(beyond)).is_err());
        }
    }
}
