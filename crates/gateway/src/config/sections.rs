//! The conversion, section by section.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::num::NonZeroU32;

use adapter::{OPERATIONS, StatusPolicy, Way};
use adapter_jwt::{AccessNames, Algorithm, Scope, ScopeRule};
use adapter_soap::FaultStatus;
use client::Roots;
use forward::{
    Account, AnswerLimits, CacheConfig, GuessLimits, UpstreamAuth, UpstreamConfig, UpstreamLimits,
};
use ipnet::IpNet;
use store::{
    CachePolicy, JournalLevel, ReceiptRoom, Retention, parse_access_network, parse_network,
};

use super::exposure::check_sandbox;
use super::reader::Reader;
use super::schema::Kind;
use super::shapes;
use super::values::{
    access_name, bounded, jwks_file, jwks_source, log_level, roots_file, upstream_url,
};
use super::{IssuerConfig, JwksSource, Jwt, Limits, Log, SeedAccess, Ways};

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
    let is_on = reader.value(key, "false", Kind::Boolean, shapes::boolean);
    if is_on && trusted_proxies.is_empty() {
        reader.wrong::<()>(key, "without server.trusted_proxies nobody could connect");
    }
    is_on
}

pub(super) fn limits(reader: &mut Reader<'_>) -> Limits {
    let answers = |text: &str| shapes::room(text, ANSWERS_BYTES_MOST);
    let count = |text: &str| shapes::count(text).map(|count| count.get() as usize);
    Limits {
        body_bytes: reader.value("limits.body_bytes", "1MiB", Kind::Bytes, |text| {
            shapes::room(text, BODY_BYTES_MOST)
        }),
        soap_bytes: reader.value("limits.soap_bytes", "256KiB", Kind::Bytes, |text| {
            shapes::room(text, SOAP_BYTES_MOST)
        }),
        header_timeout: reader.value("limits.header_timeout", "10s", Kind::Time, shapes::timeout),
        body_timeout: reader.value("limits.body_timeout", "10s", Kind::Time, shapes::timeout),
        write_timeout: reader.value("limits.write_timeout", "30s", Kind::Time, shapes::timeout),
        rate: reader.value("limits.rate", "1KiB", Kind::Bytes, |text| {
            let bytes = shapes::room(text, BODY_BYTES_MOST)?;
            u32::try_from(bytes).map_err(|_| format!("{text} is too much"))
        }),
        idle_timeout: reader.value("limits.idle_timeout", "75s", Kind::Time, shapes::timeout),
        request_timeout: reader.value("limits.request_timeout", "30s", Kind::Time, shapes::timeout),
        drain_timeout: reader.value("limits.drain_timeout", "30s", Kind::Time, shapes::timeout),
        connections: reader.value("limits.connections", "10000", Kind::Count(1), count),
        connections_per_address: reader.value(
            "limits.connections_per_address",
            "256",
            Kind::Count(1),
            count,
        ),
        answers: AnswerLimits {
            bytes: reader.value("limits.answers_bytes", "32MiB", Kind::Bytes, answers),
            bytes_per_access: reader.value(
                "limits.answers_bytes_per_access",
                "16MiB",
                Kind::Bytes,
                answers,
            ),
        },
        per_address_per_minute: reader.value(
            "limits.per_address_per_minute",
            "600",
            Kind::Count(1),
            shapes::count,
        ),
        guesses: GuessLimits {
            per_name: reader.value("limits.guesses_per_name", "60", Kind::Count(2), |text| {
                // One for either side: a single guess can't be shared out.
                shapes::count(text)
                    .ok()
                    .filter(|count| count.get() >= 2)
                    .ok_or_else(|| format!("{text} is no whole number from 2 to {}", u32::MAX))
            }),
            per_address: reader.value(
                "limits.guesses_per_address",
                "300",
                Kind::Count(1),
                shapes::count,
            ),
        },
    }
}

pub(super) fn upstream_limits(reader: &mut Reader<'_>) -> UpstreamLimits {
    let count = |text: &str| shapes::count(text).map(|count| count.get() as usize);
    UpstreamLimits {
        attempts_max: reader.value("upstream.attempts", "3", Kind::Count(1), |text| {
            shapes::count(text)
                .ok()
                .filter(|count| count.get() <= ATTEMPTS_MOST)
                .map(NonZeroU32::get)
                .ok_or_else(|| format!("{text} is no whole number from 1 to {ATTEMPTS_MOST}"))
        }),
        calls_max: reader.value("upstream.calls", "256", Kind::Count(1), count),
        waiting_max: reader.value("upstream.waiting", "1024", Kind::Count(1), count),
        wait_max: reader.value("upstream.wait", "5s", Kind::Time, shapes::timeout),
        connect_timeout: reader.value(
            "upstream.connect_timeout",
            "3s",
            Kind::Time,
            shapes::timeout,
        ),
        timeout: reader.value("upstream.timeout", "15s", Kind::Time, shapes::timeout),
        response_bytes: reader.value("upstream.response_bytes", "4MiB", Kind::Bytes, |text| {
            shapes::room(text, BODY_BYTES_MOST)
        }),
        roots: reader.value("upstream.roots", "bundled", Kind::Text, |text| {
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
    let url = reader.optional("upstream.url", Kind::Text, upstream_url);
    let fallback_urls = reader.list("upstream.fallback_urls", &[], Kind::Text, upstream_url);
    let orders = [("order", false), ("spread", true)];
    let spread = reader.choice("upstream.balance", "order", &orders);
    let (user, password) = account(reader, ["upstream.user", "upstream.password"]);
    let next_names = ["upstream.next_user", "upstream.next_password"];
    let (next_user, next_password) = account(reader, next_names);
    for (name, other) in [(0, 1), (1, 0)] {
        if reader.has(next_names[name]) && !reader.has(next_names[other]) {
            reader.wrong::<()>(next_names[other], "an account needs user and password");
        }
    }
    let auths = [("form", UpstreamAuth::Form), ("basic", UpstreamAuth::Basic)];
    let auth = reader.choice("upstream.auth", "form", &auths);
    for (name, user) in [("upstream.user", &user), ("upstream.next_user", &next_user)] {
        if auth == UpstreamAuth::Basic && user.as_ref().is_some_and(|user| user.contains(':')) {
            reader.wrong::<()>(name, "Basic can't carry a user name with a colon");
        }
    }
    let names = ["url", "user", "password"].map(|name| format!("upstream.{name}"));
    let absent: Vec<_> = names.iter().filter(|name| !reader.has(name)).collect();
    if absent.len() < names.len() {
        for name in absent {
            reader.wrong::<()>(name, "an upstream needs url, user and password");
        }
    }
    Some(UpstreamConfig {
        url: url?,
        fallback_urls,
        spread,
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
    let user = reader.optional(names[0], Kind::Text, |text| {
        bounded(text, adapter::USER_BYTES_MAX)
    });
    let password = reader.secret(names[1]);
    if password.as_ref().is_some_and(String::is_empty) {
        reader.wrong::<()>(names[1], "it is empty");
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
    let enabled = Way::ALL.map(|way| {
        reader.value(
            &format!("ways.{}.enabled", way.name()),
            "true",
            Kind::Boolean,
            shapes::boolean,
        )
    });
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
        getchatchannels: reader.value("cache.getchatchannels", "60s", Kind::Time, shapes::duration),
        getchats: reader.value("cache.getchats", "2s", Kind::Time, shapes::duration),
        bytes: reader.value("cache.bytes", "32MiB", Kind::Bytes, shapes::bytes) as u64,
    }
}

pub(super) fn log(reader: &mut Reader<'_>) -> Log {
    Log {
        level: reader.value("log.level", "info", Kind::Text, log_level),
        json: reader.choice("log.format", "json", &[("json", true), ("text", false)]),
    }
}

pub(super) fn retention(reader: &mut Reader<'_>) -> Retention {
    let rows = reader.value("journal.retention", "90d", Kind::Time, shapes::timeout);
    let payloads = reader.value(
        "journal.payload_retention",
        "14d",
        Kind::Time,
        shapes::duration,
    );
    let bytes = reader.value(
        "journal.bytes",
        "4GiB",
        Kind::Bytes,
        |text| match shapes::bytes(text)? {
            size if size >= JOURNAL_BYTES_LEAST => Ok(size as u64),
            _ => Err(format!("{text} is less than {JOURNAL_BYTES_LEAST} bytes")),
        },
    );
    if payloads > rows {
        let why = "what was said can't be kept longer than journal.retention";
        reader.wrong::<()>("journal.payload_retention", why);
    }
    Retention {
        rows,
        payloads,
        bytes,
    }
}

pub(super) fn receipt_room(reader: &mut Reader<'_>) -> ReceiptRoom {
    let mut room = |key, default| {
        reader.value(key, default, Kind::Bytes, |text| {
            match shapes::bytes(text)? {
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
        reader.wrong::<()>("receipts.bytes_per_access", why);
    }
    ReceiptRoom { per_access, all }
}

pub(super) fn jwt(reader: &mut Reader<'_>) -> Jwt {
    let token_life = reader.value("jwt.token_life", "3600s", Kind::Time, |text| {
        let seconds = shapes::timeout(text)?.as_secs();
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
    refuse_twins(
        reader,
        "jwt.issuers",
        "issuer",
        issuers.iter().map(|issuer| &issuer.issuer),
    );
    Jwt {
        token_life_s: token_life,
        algorithm,
        issuers,
    }
}

/// Notes every name that two tables of one list share.
fn refuse_twins<'a>(
    reader: &mut Reader<'_>,
    list: &str,
    field: &str,
    names: impl Iterator<Item = &'a String>,
) {
    let mut seen = HashSet::new();
    for (index, name) in names.enumerate() {
        if !seen.insert(name) {
            let key = format!("{list}.{index}.{field}");
            reader.wrong::<()>(&key, &format!("{name} is there already"));
        }
    }
}

fn issuer(reader: &mut Reader<'_>, prefix: &str) -> Option<IssuerConfig> {
    let key = |name: &str| format!("{prefix}.{name}");
    let name = reader.required(&key("issuer"), Kind::Text, shapes::text);
    let jwks = reader.required(&key("jwks"), Kind::Text, jwks_source);
    let audience = reader.list(&key("audience"), &[], Kind::Text, shapes::text);
    if audience.is_empty() {
        reader.wrong::<()>(&key("audience"), "name at least one audience");
    }
    let algorithms = reader.list(
        &key("algorithms"),
        &["EdDSA", "RS256", "ES256"],
        Kind::Text,
        |text| {
            text.parse()
                .map_err(|_| format!("{text} is no algorithm that is taken here"))
        },
    );
    if algorithms.is_empty() {
        reader.wrong::<()>(&key("algorithms"), "name at least one algorithm");
    }
    if let Some(JwksSource::File(path)) = &jwks
        && let Err(error) = jwks_file(path, &algorithms)
    {
        reader.wrong::<()>(&key("jwks"), &error);
    }
    let scope = |text: &str| {
        Scope::parse(text).ok_or_else(|| format!("{text:?} is neither chat nor names of methods"))
    };
    let default_scope = reader.optional(&key("default_scope"), Kind::Text, scope);
    let scopes = ScopeRule {
        claims: reader.list(
            &key("scope_claims"),
            &["scope", "scp", "roles"],
            Kind::Text,
            shapes::text,
        ),
        default: default_scope.unwrap_or_else(Scope::nothing),
    };
    let patterns = reader.list(&key("accesses"), &[], Kind::Text, |text| {
        AccessNames::parse([text]).map(|_| text.to_owned())
    });
    let accesses = AccessNames::parse(patterns.iter().map(String::as_str));
    Some(IssuerConfig {
        accesses: accesses.unwrap_or_default(),
        scopes,
        claim: reader.value(&key("claim"), "sub", Kind::Text, shapes::text),
        refresh: reader.value(&key("refresh"), "5m", Kind::Time, shapes::timeout),
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
    refuse_twins(
        reader,
        "accesses",
        "name",
        seeds.iter().map(|seed| &seed.name),
    );
    refuse_twins(
        reader,
        "accesses",
        "user",
        seeds.iter().map(|seed| &seed.user),
    );
    seeds
}

fn seed(reader: &mut Reader<'_>, prefix: &str) -> Option<SeedAccess> {
    let key = |name: &str| format!("{prefix}.{name}");
    let way_names = Way::ALL.map(Way::name);
    let method_names = OPERATIONS.each_ref().map(|operation| operation.method);
    let name = reader.required(&key("name"), Kind::Text, access_name);
    let user = reader.required(&key("user"), Kind::Text, |text| {
        bounded(text, adapter::USER_BYTES_MAX)
    });
    let password = reader.secret(&key("password"));
    if !reader.has(&key("password")) || password.as_ref().is_some_and(String::is_empty) {
        reader.wrong::<()>(&key("password"), "an access needs a password");
    }
    let allow: Vec<Vec<IpNet>> = reader.list(&key("allow"), &[], Kind::Text, parse_access_network);
    let journal_levels = JournalLevel::ALL.map(|level| (level.name(), level));
    let cache = CachePolicy {
        enabled: reader.value(&key("cache"), "true", Kind::Boolean, shapes::boolean),
        ..CachePolicy::default()
    };
    Some(SeedAccess {
        allow: allow.into_iter().flatten().collect(),
        active: reader.value(&key("active"), "true", Kind::Boolean, shapes::boolean),
        deny: reader.list(&key("deny"), &[], Kind::Text, parse_network),
        ways: reader.words(&key("ways"), &way_names),
        methods: reader.words(&key("methods"), &method_names),
        per_minute: reader.optional(&key("per_minute"), Kind::Count(1), shapes::count),
        per_day: reader.optional(&key("per_day"), Kind::Count(1), shapes::count),
        journal: reader.choice(&key("journal"), "metadata", &journal_levels),
        cache,
        name: name?,
        user: user?,
        password: password?.into(),
    })
}
