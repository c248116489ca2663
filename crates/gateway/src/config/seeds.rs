//! Reads the accesses that the first start creates in an empty store.

use std::num::NonZeroU32;

use adapter::{OPERATIONS, Way};
use ipnet::IpNet;
use secrecy::SecretString;
use settings::{ConfigError, Reader, ValueKind, parse};
use store::{CachePolicy, JournalLevel, check_password, check_user, parse_network};

use super::exposure::access_networks;
use super::parse_chatgate::{access_name, bounded};

/// An access that the first start creates.
pub struct SeedAccess {
    /// Its name.
    pub name: String,
    /// Its user name.
    pub user: String,
    /// Its chosen password.
    pub password: SecretString,
    /// True if the access is switched on.
    pub active: bool,
    /// Networks from which it may call.
    pub allow: Vec<IpNet>,
    /// Networks from which it may not call.
    pub deny: Vec<IpNet>,
    /// Ways in that it may use.
    pub ways: Vec<String>,
    /// Methods that it may call.
    pub methods: Vec<String>,
    /// Maximum number of calls per minute, if limited.
    pub per_minute: Option<NonZeroU32>,
    /// Maximum number of calls per day, if limited.
    pub per_day: Option<NonZeroU32>,
    /// The level of detail that the journal stores of its calls.
    pub journal: JournalLevel,
    /// The reads that may be answered from the cache, and for how long.
    pub cache: CachePolicy,
}

/// Reads the accesses. After the first start of a store, when `has_started` is true, a password that can't be read is not an error,
/// because nothing needs it any more. Returns the errors of such passwords in addition to the accesses.
pub(super) fn seeds(
    reader: &mut Reader<'_>,
    has_started: bool,
) -> (Vec<SeedAccess>, Vec<ConfigError>) {
    let prefixes = reader.tables("accesses");
    let mut unread = Vec::new();
    let seeds: Vec<_> = prefixes
        .iter()
        .filter_map(|prefix| seed(reader, prefix, has_started.then_some(&mut unread)))
        .collect();
    reader.reject_duplicates("accesses", "name", seeds.iter().map(|seed| &seed.name));
    reader.reject_duplicates("accesses", "user", seeds.iter().map(|seed| &seed.user));
    (seeds, unread)
}

/// Reads an access. Adds the error of a password that can't be read to `unread` if there is such a list.
fn seed(
    reader: &mut Reader<'_>,
    prefix: &str,
    unread: Option<&mut Vec<ConfigError>>,
) -> Option<SeedAccess> {
    let key = |name: &str| format!("{prefix}.{name}");
    let way_names = Way::ALL.map(Way::name);
    let method_names = OPERATIONS.each_ref().map(|operation| operation.method);
    let name = reader.required_text(&key("name"), access_name);
    let user = reader.required_text(&key("user"), |text| {
        check_user(text)?;
        bounded(text, adapter::USER_BYTES_MAX)
    });
    let password = match unread {
        Some(unread) => reader.try_secret(&key("password")).unwrap_or_else(|error| {
            unread.push(error);
            None
        }),
        None => reader.secret(&key("password")),
    };
    if !reader.is_set(&key("password")) || password.as_ref().is_some_and(String::is_empty) {
        reader.reject(&key("password"), "an access needs a password");
    } else if let Some(Err(wrong)) = password.as_deref().map(check_password) {
        reader.reject(&key("password"), &wrong);
    }
    let allow = access_networks(reader, &key("allow"));
    let journal_levels = JournalLevel::ALL.map(|level| (level.name(), level));
    let cache = CachePolicy::switched(reader.boolean(&key("cache"), "true"));
    Some(SeedAccess {
        allow,
        active: reader.boolean(&key("active"), "true"),
        deny: reader.texts(&key("deny"), &[], parse_network),
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
