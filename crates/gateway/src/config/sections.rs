//! The conversion, section by section.

use std::net::SocketAddr;
use std::num::NonZeroU32;

use adapter::{OPERATIONS, StatusPolicy, Way};
use adapter_jwt::{AccessNames, Algorithm, Scope, ScopeRule};
use adapter_soap::FaultStatus;
use client::Roots;
use forward::{
    Account, AnswerLimits, CacheConfig, ThrottleLimits, UpstreamAuth, UpstreamConfig,
    UpstreamLimits,
};
use ipnet::IpNet;
use store::{
    CachePolicy, JournalLevel, ReceiptRoom, Retention, parse_access_network, parse_network,
};

use super::exposure::check_sandbox;
use super::parse_chatgate::{
    access_name, bounded, jwks_file, jwks_source, log_level, roots_file, upstream_url,
};
use super::{IssuerConfig, JwksSource, Jwt, Limits, Log, SeedAccess, Ways};
use settings::{Reader, ValueKind, parse};

/// Most that a body may be allowed to have, in bytes: it is held in memory whole.
const BODY_BYTES_MOST: usize = 64 * 1024 * 1024;

/// Most that may be held of answers, in bytes: more than any machine has that this runs on.
const ANSWERS_BYTES_MOST: usize = 1 << 40;

/// Most attempts that one call may be allowed: each waits twice as long as the one before it.
const ATTEMPTS_MOST: u32 = 10;

/// Most that an envelope may be allowed to have, in bytes: the XML layer takes no more.
const SOAP_BYTES_MOST: usize = 256 * 1024;

/// Least that the journal may be given, in bytes: the store holds accesses and keys besides, which no clearing makes smaller.
const JOURNAL_BYTES_LEAST: usize = 1024 * 1024;

/// Least that receipts may be given, in bytes: one of a send that is under way counts with the longest answer that it may get.
const RECEIPT_BYTES_LEAST: usize = 128 * 1024;

pub(super) fn proxy_protocol(reader: &mut Reader<'_>, trusted_proxies: &[IpNet]) -> bool {
    let key = "server.proxy_protocol";
    let is_on = reader.boolean(key, "false");
    if is_on && trusted_proxies.is_empty() {
        reader.reject(key, "without server.trusted_proxies nobody could connect");
    }
    is_on
}

pub(super) fn limits(reader: &mut Reader<'_>) -> Limits {
    Limits {
        body_bytes: reader.room("limits.body_bytes", "1MiB", BODY_BYTES_MOST),
        soap_bytes: reader.room("limits.soap_bytes", "256KiB", SOAP_BYTES_MOST),
        header_timeout: reader.timeout("limits.header_timeout", "10s"),
        body_timeout: reader.timeout("limits.body_timeout", "10s"),
        write_timeout: reader.timeout("limits.write_timeout", "30s"),
        rate: reader.value("limits.rate", "1KiB", ValueKind::Bytes, |text| {
            let bytes = parse::room(text, BODY_BYTES_MOST)?;
            u32::try_from(bytes).map_err(|_| format!("{text} is too much"))
        }),
        idle_timeout: reader.timeout("limits.idle_timeout", "75s"),
        request_timeout: reader.timeout("limits.request_timeout", "30s"),
        drain_timeout: reader.timeout("limits.drain_timeout", "30s"),
        connections: reader.count("limits.connections", "10000").get() as usize,
        connections_per_address: reader.count("limits.connections_per_address", "256").get()
            as usize,
        answers: AnswerLimits {
            bytes: reader.room("limits.answers_bytes", "32MiB", ANSWERS_BYTES_MOST),
            bytes_per_access: reader.room(
                "limits.answers_bytes_per_access",
                "16MiB",
                ANSWERS_BYTES_MOST,
            ),
        },
        per_address_per_minute: reader.count("limits.per_address_per_minute", "600"),
        guesses: ThrottleLimits {
            per_name: reader.value(
                "limits.guesses_per_name",
                "60",
                ValueKind::Count(2),
                |text| {
                    // One for either side: a single guess can't be shared out.
                    parse::count_within(text, 2..=u32::MAX)
                },
            ),
            per_address: reader.count("limits.guesses_per_address", "300"),
        },
    }
}

pub(super) fn upstream_limits(reader: &mut Reader<'_>) -> UpstreamLimits {
    UpstreamLimits {
        attempts_max: reader.value("upstream.attempts", "3", ValueKind::Count(1), |text| {
            parse::count_within(text, 1..=ATTEMPTS_MOST).map(NonZeroU32::get)
        }),
        calls_max: reader.count("upstream.calls", "256").get() as usize,
        waiting_max: reader.count("upstream.waiting", "1024").get() as usize,
        wait_max: reader.timeout("upstream.wait", "5s"),
        connect_timeout: reader.timeout("upstream.connect_timeout", "3s"),
        timeout: reader.timeout("upstream.timeout", "15s"),
        response_bytes: reader.room("upstream.response_bytes", "4MiB", BODY_BYTES_MOST),
        roots: reader.value("upstream.roots", "bundled", ValueKind::Text, |text| {
            Ok(match text {
                "bundled" => Roots::Bundled,
                "system" => Roots::System,
                text => match text.strip_prefix("file:") {
                    Some(path) => roots_file(path)?,
                    None => return Err(format!("{text} is none of bundled, system, file:PATH")),
                },
            })
        }),
    }
}

pub(super) fn upstream(
    reader: &mut Reader<'_>,
    limits: &UpstreamLimits,
    listen: SocketAddr,
) -> Option<UpstreamConfig> {
    check_sandbox(reader, listen);
    let url = reader.optional("upstream.url", ValueKind::Text, upstream_url);
    let fallback_urls = reader.list("upstream.fallback_urls", &[], ValueKind::Text, upstream_url);
    let orders = [("order", false), ("spread", true)];
    let spread = reader.choice("upstream.balance", "order", &orders);
    let (user, password) = account(reader, ["upstream.user", "upstream.password"]);
    let next_names = ["upstream.next_user", "upstream.next_password"];
    let (next_user, next_password) = account(reader, next_names);
    for (name, other) in [(0, 1), (1, 0)] {
        if reader.is_set(next_names[name]) && !reader.is_set(next_names[other]) {
            reader.reject(next_names[other], "an account needs user and password");
        }
    }
    let auths = [("form", UpstreamAuth::Form), ("basic", UpstreamAuth::Basic)];
    let auth = reader.choice("upstream.auth", "form", &auths);
    for (name, user) in [("upstream.user", &user), ("upstream.next_user", &next_user)] {
        if auth == UpstreamAuth::Basic && user.as_ref().is_some_and(|user| user.contains(':')) {
            reader.reject(name, "Basic can't carry a user name with a colon");
        }
    }
    let names = ["url", "user", "password"].map(|name| format!("upstream.{name}"));
    let absent: Vec<_> = names.iter().filter(|name| !reader.is_set(name)).collect();
    if absent.len() < names.len() {
        for name in absent {
            reader.reject(name, "an upstream needs url, user and password");
        }
    }
    Some(UpstreamConfig {
        url: url?,
        fallback_urls,
        round_robin: spread,
        account: Account {
            user: user?,
            password: password?.into(),
        },
        next_account: next_user
            .zip(next_password)
            .map(|(user, password)| Account {
                user,
                password: password.into(),
            }),
        auth,
        limits: limits.clone(),
    })
}

/// User name and password of an account, each if it is there.
fn account(reader: &mut Reader<'_>, names: [&str; 2]) -> (Option<String>, Option<String>) {
    let user = reader.optional(names[0], ValueKind::Text, |text| {
        bounded(text, adapter::USER_BYTES_MAX)
    });
    let password = reader.secret(names[1]);
    if password.as_ref().is_some_and(String::is_empty) {
        reader.reject(names[1], "it is empty");
    }
    (user, password)
}

pub(super) fn ways(reader: &mut Reader<'_>) -> Ways {
    let policies = [
        ("compat", StatusPolicy::Compat),
        ("mapped", StatusPolicy::Mapped),
    ];
    let mut status =
        |way, default| reader.choice(&format!("ways.{way}.status"), default, &policies);
    let (http, basic, jwt) = (
        status("http", "compat"),
        status("basic", "compat"),
        status("jwt", "mapped"),
    );
    let faults = [
        ("strict", FaultStatus::Strict),
        ("mapped", FaultStatus::Mapped),
    ];
    let soap = reader.choice("ways.soap.fault_status", "strict", &faults);
    let enabled =
        Way::ALL.map(|way| reader.boolean(&format!("ways.{}.enabled", way.name()), "true"));
    Ways {
        http,
        basic,
        jwt,
        soap,
        enabled,
    }
}

pub(super) fn cache(reader: &mut Reader<'_>) -> CacheConfig {
    CacheConfig {
        getchatchannels: reader.duration("cache.getchatchannels", "60s"),
        getchats: reader.duration("cache.getchats", "2s"),
        bytes: reader.value("cache.bytes", "32MiB", ValueKind::Bytes, parse::bytes) as u64,
    }
}

pub(super) fn log(reader: &mut Reader<'_>) -> Log {
    Log {
        level: reader.value("log.level", "info", ValueKind::Text, log_level),
        json: reader.choice("log.format", "json", &[("json", true), ("text", false)]),
    }
}

pub(super) fn retention(reader: &mut Reader<'_>) -> Retention {
    let rows = reader.timeout("journal.retention", "90d");
    let payloads = reader.duration("journal.payload_retention", "14d");
    let bytes = reader.value(
        "journal.bytes",
        "4GiB",
        ValueKind::Bytes,
        |text| match parse::bytes(text)? {
            size if size >= JOURNAL_BYTES_LEAST => Ok(size as u64),
            _ => Err(format!("{text} is less than {JOURNAL_BYTES_LEAST} bytes")),
        },
    );
    if payloads > rows {
        let why = "what was said can't be kept longer than journal.retention";
        reader.reject("journal.payload_retention", why);
    }
    Retention {
        rows,
        payloads,
        bytes,
    }
}

pub(super) fn receipt_room(reader: &mut Reader<'_>) -> ReceiptRoom {
    let mut room = |key, default| {
        reader.value(key, default, ValueKind::Bytes, |text| {
            match parse::bytes(text)? {
                size if size >= RECEIPT_BYTES_LEAST => {
                    Ok(i64::try_from(size).unwrap_or(i64::MAX / 2))
                }
                _ => Err(format!("{text} is less than {RECEIPT_BYTES_LEAST} bytes")),
            }
        })
    };
    let per_access = room("receipts.bytes_per_access", "128MiB");
    let all = room("receipts.bytes", "1GiB");
    if per_access > all {
        let why = "one access can't have more room than receipts.bytes";
        reader.reject("receipts.bytes_per_access", why);
    }
    ReceiptRoom { per_access, all }
}

pub(super) fn jwt(reader: &mut Reader<'_>) -> Jwt {
    let token_life = reader.value("jwt.token_life", "3600s", ValueKind::Time, |text| {
        let seconds = parse::timeout(text)?.as_secs();
        // A token outlives the change of what it was issued for; a day is the most that an operator may wait for.
        u32::try_from(seconds)
            .ok()
            .filter(|s| (1..=86_400).contains(s))
            .ok_or_else(|| format!("{text} is not from 1s to 1d"))
    });
    let own = [Algorithm::EdDsa, Algorithm::Rs256].map(|algorithm| (algorithm.name(), algorithm));
    let algorithm = reader.choice("jwt.algorithm", "EdDSA", &own);
    let prefixes = reader.tables("jwt.issuers");
    let issuers: Vec<_> = prefixes.iter().filter_map(|p| issuer(reader, p)).collect();
    let names = issuers.iter().map(|issuer| &issuer.issuer);
    reader.reject_duplicates("jwt.issuers", "issuer", names);
    Jwt {
        token_life_s: token_life,
        algorithm,
        issuers,
    }
}

fn issuer(reader: &mut Reader<'_>, prefix: &str) -> Option<IssuerConfig> {
    let key = |name: &str| format!("{prefix}.{name}");
    let name = reader.required(&key("issuer"), ValueKind::Text, parse::text);
    let jwks = reader.required(&key("jwks"), ValueKind::Text, jwks_source);
    let audience = reader.list(&key("audience"), &[], ValueKind::Text, parse::text);
    if audience.is_empty() {
        reader.reject(&key("audience"), "name at least one audience");
    }
    let algorithms = reader.list(
        &key("algorithms"),
        &["EdDSA", "RS256", "ES256"],
        ValueKind::Text,
        |text| {
            text.parse()
                .map_err(|_| format!("{text} is no algorithm that is taken here"))
        },
    );
    if algorithms.is_empty() {
        reader.reject(&key("algorithms"), "name at least one algorithm");
    }
    if let Some(JwksSource::File(path)) = &jwks
        && let Err(error) = jwks_file(path, &algorithms)
    {
        reader.reject(&key("jwks"), &error);
    }
    let scope = |text: &str| {
        Scope::parse(text).ok_or_else(|| format!("{text:?} is neither chat nor names of methods"))
    };
    let default_scope = reader.optional(&key("default_scope"), ValueKind::Text, scope);
    let scopes = ScopeRule {
        claims: reader.list(
            &key("scope_claims"),
            &["scope", "scp", "roles"],
            ValueKind::Text,
            parse::text,
        ),
        default: default_scope.unwrap_or_else(Scope::nothing),
    };
    let patterns = reader.list(&key("accesses"), &[], ValueKind::Text, |text| {
        AccessNames::parse([text]).map(|_| text.to_owned())
    });
    let accesses = AccessNames::parse(patterns.iter().map(String::as_str));
    Some(IssuerConfig {
        accesses: accesses.unwrap_or_default(),
        scopes,
        claim: reader.value(&key("claim"), "sub", ValueKind::Text, parse::text),
        refresh: reader.timeout(&key("refresh"), "5m"),
        issuer: name?,
        jwks: jwks?,
        audience,
        algorithms,
    })
}

pub(super) fn seeds(reader: &mut Reader<'_>) -> Vec<SeedAccess> {
    let prefixes = reader.tables("accesses");
    let seeds: Vec<_> = prefixes
        .iter()
        .filter_map(|prefix| seed(reader, prefix))
        .collect();
    reader.reject_duplicates("accesses", "name", seeds.iter().map(|seed| &seed.name));
    reader.reject_duplicates("accesses", "user", seeds.iter().map(|seed| &seed.user));
    seeds
}

fn seed(reader: &mut Reader<'_>, prefix: &str) -> Option<SeedAccess> {
    let key = |name: &str| format!("{prefix}.{name}");
    let way_names = Way::ALL.map(Way::name);
    let method_names = OPERATIONS.each_ref().map(|operation| operation.method);
    let name = reader.required(&key("name"), ValueKind::Text, access_name);
    let user = reader.required(&key("user"), ValueKind::Text, |text| {
        bounded(text, adapter::USER_BYTES_MAX)
    });
    let password = reader.secret(&key("password"));
    if !reader.is_set(&key("password")) || password.as_ref().is_some_and(String::is_empty) {
        reader.reject(&key("password"), "an access needs a password");
    }
    let allow: Vec<Vec<IpNet>> =
        reader.list(&key("allow"), &[], ValueKind::Text, parse_access_network);
    let journal_levels = JournalLevel::ALL.map(|level| (level.name(), level));
    let cache = CachePolicy {
        enabled: reader.boolean(&key("cache"), "true"),
        ..CachePolicy::default()
    };
    Some(SeedAccess {
        allow: allow.into_iter().flatten().collect(),
        active: reader.boolean(&key("active"), "true"),
        deny: reader.list(&key("deny"), &[], ValueKind::Text, parse_network),
        ways: reader.words(&key("ways"), &way_names),
        methods: reader.words(&key("methods"), &method_names),
        per_minute: reader.optional(&key("per_minute"), ValueKind::Count(1), parse::count),
        per_day: reader.optional(&key("per_day"), ValueKind::Count(1), parse::count),
        journal: reader.choice(&key("journal"), "metadata", &journal_levels),
        cache,
        name: name?,
        user: user?,
        password: password?.into(),
    })
}
