//! Configuration: as written in file, environment and flags; as used, complete and immutable, in [`Config`]. Between the two
//! stands one conversion which tells every mistake at once, before a port is bound.

mod reader;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use adapter::{OPERATIONS, StatusPolicy, Way};
use adapter_jwt::Algorithm;
use adapter_soap::FaultStatus;
use forward::allowlist::{Networks, parse_network};
use forward::client::Roots;
use forward::{CacheConfig, UpstreamAuth, UpstreamConfig};
use ipnet::IpNet;
use reader::Reader;
use secrecy::SecretString;
use url::Url;

pub use reader::{Mistake, Sources};

use crate::client_addr::ForwardedHeader;

/// Everything that is configured, with nothing left to interpret.
pub struct Config {
    /// The folder of store, keys and demo access.
    pub data: PathBuf,
    /// Where the ways in listen.
    pub listen: SocketAddr,
    /// Where the operators' side listens.
    pub admin_listen: SocketAddr,
    /// What callers reach the gateway by; the bound address when absent.
    pub public_url: Option<Url>,
    /// Peers whose forwarded header is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// The one header that they use.
    pub forwarded_header: ForwardedHeader,
    /// Networks that may reach the ways in at all.
    pub networks: Networks,
    /// Browser origins that may call; none means that CORS is off.
    pub cors_origins: Vec<String>,
    /// Bounds on requests and connections.
    pub limits: Limits,
    /// The upstream; the embedded sandbox when absent.
    pub upstream: Option<UpstreamConfig>,
    /// Bounds of the upstream client, which hold for the sandbox too.
    pub upstream_limits: UpstreamLimits,
    /// The ways in.
    pub ways: Ways,
    /// The cache of reads.
    pub cache: CacheConfig,
    /// Tokens.
    pub jwt: Jwt,
    /// The log.
    pub log: Log,
    /// Accesses for an empty store.
    pub accesses: Vec<SeedAccess>,
}

/// Bounds on requests and connections.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Largest body of a JSON way, in bytes.
    pub body_bytes: usize,
    /// Largest SOAP envelope, in bytes.
    pub soap_bytes: usize,
    /// Longest wait for the first byte of a connection and for a whole head.
    pub header_timeout: Duration,
    /// Longest rest of a kept connection.
    pub idle_timeout: Duration,
    /// Longest life of a request, its body included.
    pub request_timeout: Duration,
    /// Most connections at once.
    pub connections: usize,
    /// Most connections at once from one peer address.
    pub connections_per_address: usize,
    /// Calls a minute from one address, counted before authentication.
    pub per_address_per_minute: NonZeroU32,
}

/// Bounds of the upstream client.
#[derive(Clone, Debug)]
pub struct UpstreamLimits {
    /// Longest wait for a connection.
    pub connect_timeout: Duration,
    /// Longest wait for an answer.
    pub timeout: Duration,
    /// Largest answer, in bytes.
    pub response_bytes: usize,
    /// Whose certificates are trusted.
    pub roots: Roots,
}

/// The ways in.
#[derive(Clone, Copy, Debug)]
pub struct Ways {
    /// Wire status of the page's codes by HTTP parameters.
    pub http: StatusPolicy,
    /// Likewise by Basic.
    pub basic: StatusPolicy,
    /// Likewise by JWT.
    pub jwt: StatusPolicy,
    /// Wire status of SOAP faults.
    pub soap: FaultStatus,
    /// Which of [`Way::ALL`] are switched on.
    pub enabled: [bool; 4],
}

/// Tokens.
pub struct Jwt {
    /// How long a token of ours lives, in seconds.
    pub token_life_s: u32,
    /// What ours are signed with.
    pub algorithm: Algorithm,
    /// Issuers outside whose tokens are taken.
    pub issuers: Vec<IssuerConfig>,
}

/// One outside issuer.
#[derive(Clone, Debug)]
pub struct IssuerConfig {
    /// The claim `iss`, to the letter.
    pub issuer: String,
    /// Where its keys are.
    pub jwks: JwksSource,
    /// What its tokens have to be made out to; one of them is enough.
    pub audience: Vec<String>,
    /// What its tokens may be signed with.
    pub algorithms: Vec<Algorithm>,
    /// The claim that names the access.
    pub claim: String,
    /// How long fetched keys are taken for fresh.
    pub refresh: Duration,
}

/// Where an issuer's keys are.
#[derive(Clone, Debug)]
pub enum JwksSource {
    /// A document to fetch.
    Url(Url),
    /// A file to read.
    File(PathBuf),
}

/// The log.
#[derive(Clone, Debug)]
pub struct Log {
    /// An `EnvFilter` directive such as `info` or `chatgate=debug`.
    pub level: String,
    /// One JSON object a line, or text for a person.
    pub json: bool,
}

/// An access to put into an empty store.
pub struct SeedAccess {
    /// Its name.
    pub name: String,
    /// Its user name.
    pub user: String,
    /// Its chosen password.
    pub password: SecretString,
    /// Networks that it may call from.
    pub allow: Vec<IpNet>,
    /// Networks that it may not call from.
    pub deny: Vec<IpNet>,
    /// Ways in that it may use.
    pub ways: Vec<String>,
    /// Methods that it may call.
    pub methods: Vec<String>,
    /// Calls per minute, if bounded.
    pub per_minute: Option<NonZeroU32>,
}

impl Config {
    /// Converts what is written into what is used.
    ///
    /// # Errors
    /// Every mistake, in the order of the file.
    pub fn read(sources: &Sources) -> Result<Config, Vec<Mistake>> {
        let mut reader = Reader::new(sources);
        let config = Config::convert(&mut reader);
        match reader.finish() {
            (_, mistakes) if mistakes.is_empty() => Ok(config),
            (_, mistakes) => Err(mistakes),
        }
    }

    /// Every key that can be written in the file, in alphabetical order.
    #[must_use]
    pub fn keys(sources: &Sources) -> BTreeSet<String> {
        let mut reader = Reader::new(sources);
        Config::convert(&mut reader);
        reader.finish().0
    }

    fn convert(reader: &mut Reader<'_>) -> Config {
        let upstream_limits = upstream_limits(reader);
        Config {
            data: reader.value("server.data", "./data", reader::path),
            listen: reader.value("server.listen", "127.0.0.1:8080", reader::address),
            admin_listen: reader.value("server.admin_listen", "127.0.0.1:8081", reader::address),
            public_url: reader.optional("server.public_url", public_url),
            trusted_proxies: reader.list("server.trusted_proxies", &[], parse_network),
            forwarded_header: reader.value(
                "server.forwarded_header",
                "x-forwarded-for",
                ForwardedHeader::parse,
            ),
            networks: Networks::new(
                reader.list("server.allow", &["0.0.0.0/0", "::/0"], parse_network),
                reader.list("server.deny", &[], parse_network),
            ),
            cors_origins: reader.list("server.cors_origins", &[], origin),
            limits: limits(reader),
            upstream: upstream(reader, &upstream_limits),
            upstream_limits,
            ways: ways(reader),
            cache: CacheConfig {
                getchatchannels: reader.value("cache.getchatchannels", "60s", reader::duration),
                getchats: reader.value("cache.getchats", "2s", reader::duration),
                bytes: reader.value("cache.bytes", "32MiB", reader::bytes) as u64,
            },
            jwt: jwt(reader),
            log: Log {
                level: reader.value("log.level", "info", reader::text),
                json: reader.value("log.format", "json", |text| {
                    choice(text, &[("json", true), ("text", false)])
                }),
            },
            accesses: seeds(reader),
        }
    }
}

fn limits(reader: &mut Reader<'_>) -> Limits {
    let count = |text: &str| reader::count(text).map(|count| count.get() as usize);
    Limits {
        body_bytes: reader.value("limits.body_bytes", "1MiB", reader::bytes),
        soap_bytes: reader.value("limits.soap_bytes", "256KiB", reader::bytes),
        header_timeout: reader.value("limits.header_timeout", "10s", reader::timeout),
        idle_timeout: reader.value("limits.idle_timeout", "75s", reader::timeout),
        request_timeout: reader.value("limits.request_timeout", "30s", reader::timeout),
        connections: reader.value("limits.connections", "10000", count),
        connections_per_address: reader.value("limits.connections_per_address", "256", count),
        per_address_per_minute: reader.value("limits.per_address_per_minute", "600", reader::count),
    }
}

fn upstream_limits(reader: &mut Reader<'_>) -> UpstreamLimits {
    UpstreamLimits {
        connect_timeout: reader.value("upstream.connect_timeout", "3s", reader::timeout),
        timeout: reader.value("upstream.timeout", "15s", reader::timeout),
        response_bytes: reader.value("upstream.response_bytes", "4MiB", reader::bytes),
        roots: reader.value("upstream.roots", "bundled", |text| {
            Ok(match text {
                "bundled" => Roots::Bundled,
                "system" => Roots::System,
                text => match text.strip_prefix("file:") {
                    Some(path) => Roots::File(PathBuf::from(path)),
                    None => return Err(format!("{text} is none of bundled, system, file:PATH")),
                },
            })
        }),
    }
}

fn upstream(reader: &mut Reader<'_>, limits: &UpstreamLimits) -> Option<UpstreamConfig> {
    let url = reader.optional("upstream.url", upstream_url);
    let user = reader.optional("upstream.user", reader::text);
    let password = reader.secret("upstream.password");
    let auth = reader.value("upstream.auth", "form", |text| {
        choice(
            text,
            &[("form", UpstreamAuth::Form), ("basic", UpstreamAuth::Basic)],
        )
    });
    match (url, user, password) {
        (None, None, None) => None,
        (Some(url), Some(user), Some(password)) => Some(UpstreamConfig {
            url,
            user,
            password: password.into(),
            auth,
            connect_timeout: limits.connect_timeout,
            timeout: limits.timeout,
            response_bytes: limits.response_bytes,
            roots: limits.roots.clone(),
        }),
        (url, user, password) => {
            let given = [
                ("url", url.is_some()),
                ("user", user.is_some()),
                ("password", password.is_some()),
            ];
            for (name, _) in given.into_iter().filter(|(_, given)| !given) {
                if reader.has(&format!("upstream.{name}")) {
                    continue; // It is written but wrong, which has been told.
                }
                reader.wrong::<()>(
                    &format!("upstream.{name}"),
                    "an upstream needs url, user and password",
                );
            }
            None
        }
    }
}

fn ways(reader: &mut Reader<'_>) -> Ways {
    let policies = [
        ("compat", StatusPolicy::Compat),
        ("mapped", StatusPolicy::Mapped),
    ];
    let mut status = |way, default| {
        reader.value(&format!("ways.{way}.status"), default, |text| {
            choice(text, &policies)
        })
    };
    let (http, basic, jwt) = (
        status("http", "compat"),
        status("basic", "compat"),
        status("jwt", "mapped"),
    );
    let faults = [
        ("strict", FaultStatus::Strict),
        ("mapped", FaultStatus::Mapped),
    ];
    let soap = reader.value("ways.soap.fault_status", "strict", |text| {
        choice(text, &faults)
    });
    let enabled = Way::ALL.map(|way| {
        reader.value(
            &format!("ways.{}.enabled", way.name()),
            "true",
            reader::boolean,
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

fn jwt(reader: &mut Reader<'_>) -> Jwt {
    let token_life = reader.value("jwt.token_life", "3600s", |text| {
        let seconds = reader::timeout(text)?.as_secs();
        // A token outlives the change of what it was issued for; a day is the most that an operator may wait for.
        u32::try_from(seconds)
            .ok()
            .filter(|s| (1..=86_400).contains(s))
            .ok_or_else(|| format!("{text} is not from 1s to 1d"))
    });
    let own = |text: &str| match text.parse() {
        Ok(algorithm @ (Algorithm::EdDsa | Algorithm::Rs256)) => Ok(algorithm),
        _ => Err(format!("{text} is neither EdDSA nor RS256")),
    };
    let algorithm = reader.value("jwt.algorithm", "EdDSA", own);
    let prefixes = reader.tables("jwt.issuers");
    Jwt {
        token_life_s: token_life,
        algorithm,
        issuers: prefixes.iter().filter_map(|p| issuer(reader, p)).collect(),
    }
}

fn issuer(reader: &mut Reader<'_>, prefix: &str) -> Option<IssuerConfig> {
    let key = |name: &str| format!("{prefix}.{name}");
    let name = required(reader, &key("issuer"), reader::text);
    let jwks = required(reader, &key("jwks"), jwks_source);
    let audience = reader.list(&key("audience"), &[], reader::text);
    if audience.is_empty() {
        reader.wrong::<()>(&key("audience"), "name at least one audience");
    }
    let algorithms = reader.list(&key("algorithms"), &["EdDSA", "RS256", "ES256"], |text| {
        text.parse()
            .map_err(|_| format!("{text} is no algorithm that is taken here"))
    });
    Some(IssuerConfig {
        claim: reader.value(&key("claim"), "sub", reader::text),
        refresh: reader.value(&key("refresh"), "5m", reader::timeout),
        issuer: name?,
        jwks: jwks?,
        audience,
        algorithms,
    })
}

fn seeds(reader: &mut Reader<'_>) -> Vec<SeedAccess> {
    reader
        .tables("accesses")
        .iter()
        .filter_map(|prefix| seed(reader, prefix))
        .collect()
}

fn seed(reader: &mut Reader<'_>, prefix: &str) -> Option<SeedAccess> {
    let key = |name: &str| format!("{prefix}.{name}");
    let way_names = Way::ALL.map(Way::name);
    let method_names = OPERATIONS.each_ref().map(|operation| operation.method);
    let one_of = |names: &[&str], text: &str| {
        if names.contains(&text) {
            Ok(text.to_owned())
        } else {
            Err(format!("{text} is none of {}", names.join(", ")))
        }
    };
    let name = required(reader, &key("name"), access_name);
    let user = required(reader, &key("user"), |text| {
        bounded(text, adapter::USER_BYTES_MAX)
    });
    let password = reader.secret(&key("password"));
    if !reader.has(&key("password")) || password.as_ref().is_some_and(String::is_empty) {
        reader.wrong::<()>(&key("password"), "an access needs a password");
    }
    let allow: Vec<Vec<IpNet>> = reader.list(&key("allow"), &[], access_network);
    Some(SeedAccess {
        allow: allow.into_iter().flatten().collect(),
        deny: reader.list(&key("deny"), &[], parse_network),
        ways: reader.list(&key("ways"), &way_names, |text| one_of(&way_names, text)),
        methods: reader.list(&key("methods"), &method_names, |text| {
            one_of(&method_names, text)
        }),
        per_minute: reader.optional(&key("per_minute"), reader::count),
        name: name?,
        user: user?,
        password: password?.into(),
    })
}

fn required<T>(
    reader: &mut Reader<'_>,
    key: &str,
    parse: impl Fn(&str) -> Result<T, String>,
) -> Option<T> {
    if reader.has(key) {
        reader.optional(key, parse)
    } else {
        reader.wrong(key, "it is needed")
    }
}

fn choice<T: Copy>(text: &str, choices: &[(&str, T)]) -> Result<T, String> {
    choices
        .iter()
        .find(|(name, _)| *name == text)
        .map(|(_, value)| *value)
        .ok_or_else(|| {
            let names: Vec<_> = choices.iter().map(|(name, _)| *name).collect();
            format!("{text} is none of {}", names.join(", "))
        })
}

/// A network, or `any`: that everybody may call is something to be written out.
fn access_network(text: &str) -> Result<Vec<IpNet>, String> {
    let everybody = || {
        ["0.0.0.0/0", "::/0"]
            .iter()
            .filter_map(|net| net.parse().ok())
            .collect()
    };
    if text == "any" {
        return Ok(everybody());
    }
    match parse_network(text)? {
        network if network.prefix_len() == 0 => Err(format!(
            "{text} is everybody; write \"any\" if that is meant"
        )),
        network => Ok(vec![network]),
    }
}

/// A name that can stand in a label, a path and a log: letters, digits, `.`, `_` and `-`, at most 64.
fn access_name(text: &str) -> Result<String, String> {
    let fits = text.len() <= 64
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
    if fits {
        Ok(text.to_owned())
    } else {
        Err(format!(
            "{text} is no name; use up to 64 letters, digits, . _ -"
        ))
    }
}

fn bounded(text: &str, bytes_max: usize) -> Result<String, String> {
    if text.len() <= bytes_max {
        Ok(text.to_owned())
    } else {
        Err(format!("it is longer than {bytes_max} bytes"))
    }
}

fn http_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("{text} is no URL: {error}"))?;
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return Err(format!("{text} is no http or https URL"));
    }
    Ok(url)
}

/// The upstream's endpoint. Credentials in it would go to logs and proxies.
fn upstream_url(text: &str) -> Result<Url, String> {
    let url = http_url(text)?;
    if !url.username().is_empty()
        || url.password().is_some()
        || url.query().is_some()
        || url.fragment().is_some()
    {
        return Err("write the endpoint alone, without credentials, query or fragment".to_owned());
    }
    Ok(url)
}

fn public_url(text: &str) -> Result<Url, String> {
    let url = upstream_url(text)?;
    if url.path() == "/" {
        Ok(url)
    } else {
        Err(format!("{text} has a path; the ways in stand at the root"))
    }
}

fn origin(text: &str) -> Result<String, String> {
    let url = http_url(text)?;
    let origin = url.origin().ascii_serialization();
    if origin == text {
        Ok(origin)
    } else {
        Err(format!("{text} is no origin; write {origin}"))
    }
}

fn jwks_source(text: &str) -> Result<JwksSource, String> {
    if text.starts_with("http://") || text.starts_with("https://") {
        http_url(text).map(JwksSource::Url)
    } else {
        Ok(JwksSource::File(PathBuf::from(
            text.strip_prefix("file:").unwrap_or(text),
        )))
    }
}
