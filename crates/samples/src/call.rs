//! The call that a template renders. All values from outside are already expressions of the language.

use adapter::{Effect, Operation, Way};

/// Maximum number of characters of a value in one literal. An escaped character takes up to twelve bytes, and Delphi limits a line
/// to 1,023 characters, SQL*Plus to 2,499.
const PIECE_CHARACTERS_MAX: usize = 80;

/// The caller that the program is for.
#[derive(Clone, Copy, Debug)]
pub struct SampleCaller<'a> {
    /// The address of the ways in without a path, such as `https://chat.example.com`.
    pub url: &'a str,
    /// The user name of the access.
    pub user: &'a str,
    /// The client id of the access, for tokens.
    pub client_id: &'a str,
}

/// A parameter of the call.
pub(crate) struct SampleField {
    /// The name in the operation table, which consists of letters and digits.
    pub(crate) name: &'static str,
    /// The value as an expression of the language.
    pub(crate) value: String,
    /// The value in pieces, for languages that limit the length of a literal or of a line. Each piece is an expression.
    pub(crate) pieces: Vec<String>,
}

/// A call. Names, the method and the way in are fixed words of ours; all other values are expressions of the language.
pub(crate) struct SampleCall {
    pub(crate) method: &'static str,
    pub(crate) way: &'static str,
    pub(crate) http: bool,
    pub(crate) basic: bool,
    pub(crate) jwt: bool,
    pub(crate) soap: bool,
    /// True for a send, which carries an idempotency key.
    pub(crate) send: bool,
    pub(crate) url: String,
    pub(crate) token_url: String,
    pub(crate) wsdl: String,
    pub(crate) user: String,
    pub(crate) client_id: String,
    /// The environment variable with the secret.
    pub(crate) secret: &'static str,
    pub(crate) fields: Vec<SampleField>,
}

impl SampleCall {
    pub(crate) fn new(
        quote: fn(&str) -> String,
        way: Way,
        operation: &Operation,
        (caller, values): (&SampleCaller<'_>, &[(&'static str, String)]),
    ) -> SampleCall {
        let url = caller.url.trim_end_matches('/');
        let at = |path: &str| quote(&format!("{url}{path}"));
        let field = |(name, value): &(&'static str, String)| SampleField {
            name,
            value: quote(value),
            pieces: pieces(value).iter().map(|piece| quote(piece)).collect(),
        };
        SampleCall {
            method: operation.method,
            way: way.name(),
            http: way == Way::Http,
            basic: way == Way::Basic,
            jwt: way == Way::Jwt,
            soap: way == Way::Soap,
            send: operation.effect == Effect::Send,
            url: at(way.path()),
            token_url: at("/oauth/token"),
            wsdl: at("/api/soap/?wsdl"),
            user: quote(caller.user),
            client_id: quote(caller.client_id),
            secret: secret_variable(way),
            fields: values.iter().map(field).collect(),
        }
    }
}

/// Splits a text into non-empty pieces. A character of more than one unit is never split.
fn pieces(text: &str) -> Vec<String> {
    let characters: Vec<_> = text.chars().collect();
    let pieces = characters.chunks(PIECE_CHARACTERS_MAX);
    pieces.map(|piece| piece.iter().collect()).collect()
}

/// Returns the environment variable that contains the secret: a password, or the client secret if the way in uses tokens.
pub(crate) fn secret_variable(way: Way) -> &'static str {
    match way {
        Way::Http | Way::Basic | Way::Soap => "CHATGATE_PASSWORD",
        Way::Jwt => "CHATGATE_CLIENT_SECRET",
    }
}
