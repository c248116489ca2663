//! Reads the settings of tokens: our own, and those of outside issuers.

use std::path::{Path, PathBuf};
use std::time::Duration;

use adapter_jwt::{AccessNames, Algorithm, Scope, ScopeRule};
use settings::{Reader, ValueKind, parse};
use url::Url;

use super::parse_chatgate::http_url;

/// Maximum lifetime of our tokens, in seconds. A token stays valid after a change of its access, and an operator should not have to
/// wait longer than a day for it to expire.
pub const TOKEN_LIFE_MAX_S: u32 = 86_400;

/// The settings of tokens.
pub struct JwtConfig {
    /// The lifetime of our own tokens, in seconds.
    pub token_life_s: u32,
    /// The algorithm that signs our own tokens.
    pub algorithm: Algorithm,
    /// Outside issuers whose tokens are accepted.
    pub issuers: Vec<IssuerConfig>,
}

/// One outside issuer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuerConfig {
    /// The exact value of the claim `iss`.
    pub issuer: String,
    /// The source of its keys.
    pub jwks: JwksSource,
    /// Accepted audiences. A token has to name at least one of them.
    pub audience: Vec<String>,
    /// The algorithms that may sign its tokens.
    pub algorithms: Vec<Algorithm>,
    /// The claim that names the access.
    pub claim: String,
    /// The accesses that its tokens may name.
    pub accesses: AccessNames,
    /// The rule by which its tokens grant scopes.
    pub scopes: ScopeRule,
    /// How long fetched keys stay fresh.
    pub refresh: Duration,
}

/// The source of an issuer's keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JwksSource {
    /// A document to fetch.
    Url(Url),
    /// A file to read.
    File(PathBuf),
}

/// Reads the section. `own_name` is the gateway's own name as an issuer, if it is known.
pub(super) fn jwt(reader: &mut Reader<'_>, own_name: Option<&str>) -> JwtConfig {
    let token_life = reader.value("jwt.token_life", "3600s", ValueKind::Time, |text| {
        let seconds = parse::timeout(text)?.as_secs();
        u32::try_from(seconds)
            .ok()
            .filter(|s| (1..=TOKEN_LIFE_MAX_S).contains(s))
            .ok_or_else(|| format!("{text} is not between 1s and 1d"))
    });
    let own = [Algorithm::EdDsa, Algorithm::Rs256].map(|algorithm| (algorithm.name(), algorithm));
    let algorithm = reader.choice("jwt.algorithm", "EdDSA", &own);
    let prefixes = reader.tables("jwt.issuers");
    let issuers: Vec<_> = prefixes
        .iter()
        .filter_map(|p| issuer(reader, p, own_name))
        .collect();
    let names = issuers.iter().map(|issuer| &issuer.issuer);
    reader.reject_duplicates("jwt.issuers", "issuer", names);
    JwtConfig {
        token_life_s: token_life,
        algorithm,
        issuers,
    }
}

fn issuer(reader: &mut Reader<'_>, prefix: &str, own_name: Option<&str>) -> Option<IssuerConfig> {
    let key = |name: &str| format!("{prefix}.{name}");
    let name = reader.required_text(&key("issuer"), parse::text);
    if name.is_some() && name.as_deref() == own_name {
        let text = "it is this gateway itself, which accepts its own tokens without this block";
        reader.reject(&key("issuer"), text);
    }
    let jwks = reader.required_text(&key("jwks"), jwks_source);
    let audience = reader.texts(&key("audience"), &[], parse::text);
    if audience.is_empty() {
        reader.reject(&key("audience"), "name at least one audience");
    }
    let algorithms = reader.texts(&key("algorithms"), &["EdDSA", "RS256", "ES256"], |text| {
        text.parse()
            .map_err(|_| format!("{text} is not an algorithm that is accepted here"))
    });
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
    let default_scope = reader.optional_text(&key("default_scope"), scope);
    let scopes = ScopeRule {
        claims: reader.texts(
            &key("scope_claims"),
            &["scope", "scp", "roles"],
            parse::text,
        ),
        default: default_scope.unwrap_or_else(Scope::nothing),
    };
    let patterns = reader.texts(&key("accesses"), &[], |text| {
        AccessNames::parse([text]).map(|_| text.to_owned())
    });
    let accesses = AccessNames::parse(patterns.iter().map(String::as_str));
    Some(IssuerConfig {
        accesses: accesses.unwrap_or_default(),
        scopes,
        claim: reader.text(&key("claim"), "sub", parse::text),
        refresh: reader.timeout(&key("refresh"), "5m"),
        issuer: name?,
        jwks: jwks?,
        audience,
        algorithms,
    })
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

/// Checks that a file of an issuer's keys exists and contains at least one usable key.
fn jwks_file(path: &Path, algorithms: &[Algorithm]) -> Result<(), String> {
    let in_file = |what: &str| format!("{}: {what}", path.display());
    let text = settings::read_trusted(path)?;
    let set = adapter_jwt::parse_jwks(&text, algorithms).map_err(|error| in_file(error.text()))?;
    if !set.keys.is_empty() {
        return Ok(());
    }
    let why = set
        .skipped
        .iter()
        .map(|odd| format!(" Key {}: {}", odd.place, odd.reason));
    let why: String = why.take(REJECTED_KEYS_LISTED_MAX).collect();
    Err(in_file(&format!(
        "none of its keys can be used with the allowed algorithms.{why}"
    )))
}

/// Maximum number of unusable keys that an error explains.
const REJECTED_KEYS_LISTED_MAX: usize = 8;
