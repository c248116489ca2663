//! Checks the server before a gateway starts to count there, and reports what is wrong and what is right.

use std::sync::Arc;

use redis::InfoDict;

use crate::connection::ValkeyConnection;
use crate::connector::{CONNECT_MAX, connect};
use crate::invalidation::InvalidationChannel;
use crate::keys::CountKeys;
use crate::options::ValkeyOptions;

/// The oldest major version that supports all commands used here.
const VERSION_MIN: u32 = 7;

/// The result of one check: its subject, and either a description of the state or of the problem.
pub type CountsFinding = (&'static str, Result<String, String>);

/// Checks everything that can be checked without counting. Checks that depend on a failed one are left out.
pub async fn inspect_counts(options: &ValkeyOptions) -> Vec<CountsFinding> {
    // These are not the keys of the deployment, which are in its store. The user's rights cover either both or none.
    let keys = CountKeys::new(b"a look");
    let wake = Arc::new(InvalidationChannel::new(keys.channel()));
    let connecting = tokio::time::timeout(CONNECT_MAX, connect(options, &keys, &wake)).await;
    let mut connection = match connecting {
        Ok(Ok(connection)) => connection,
        Ok(Err(error)) => return vec![("shared.url", Err(error.to_string()))],
        Err(_) => return vec![("shared.url", Err("no server answers in time".to_owned()))],
    };
    let answers = "a writable server answers, and the user has the necessary rights";
    let mut findings = vec![("shared.url", Ok(answers.to_owned()))];
    match &mut connection {
        ValkeyConnection::Cluster(_) => {}
        ValkeyConnection::Server(_) => match info(&mut connection).await {
            Some(info) => {
                findings.push(("version", version(&info)));
                findings.push(("maxmemory-policy", policy(&info)));
            }
            None => {
                let unseen = "unknown: the user may not run INFO";
                findings.push(("maxmemory-policy", Ok(unseen.to_owned())));
            }
        },
    }
    findings
}

/// Returns the server's INFO, or `None` if this user may not read it.
async fn info(connection: &mut ValkeyConnection) -> Option<InfoDict> {
    redis::cmd("INFO").query_async(connection).await.ok()
}

fn version(info: &InfoDict) -> Result<String, String> {
    let of = |name: &str| info.get::<String>(name);
    let known = of("valkey_version").map(|version| format!("Valkey {version}"));
    let compatible = of("redis_version").unwrap_or_default();
    let shown = known.unwrap_or_else(|| format!("Redis {compatible}"));
    let major = compatible
        .split('.')
        .next()
        .and_then(|major| major.parse::<u32>().ok());
    match major {
        Some(major) if major >= VERSION_MIN => Ok(shown),
        _ => Err(format!(
            "{shown} is too old: Redis {VERSION_MIN} or Valkey is required"
        )),
    }
}

/// Checks the eviction policy. An evicted count would start full.
fn policy(info: &InfoDict) -> Result<String, String> {
    let policy = info.get::<String>("maxmemory_policy").unwrap_or_default();
    let is_bounded = info.get::<u64>("maxmemory").is_some_and(|bytes| bytes > 0);
    match policy.as_str() {
        "noeviction" | "volatile-ttl" => Ok(policy),
        _ if !is_bounded => Ok(format!(
            "{policy}, which has no effect because maxmemory is not set"
        )),
        _ => Err(format!(
            "{policy} evicts counts, and the limits of evicted counts start full: set noeviction or volatile-ttl"
        )),
    }
}
