//! The call that a template shows: everything from outside is an expression of the language already.

use adapter::{Effect, Operation, Way};

/// Most characters of a value in one literal. By number one takes up to twelve bytes, and Delphi ends a line at 1,023;
/// SQL*Plus at 2,499.
const PIECE_CHARACTERS_MAX: usize = 80;

/// The caller that the program is for.
#[derive(Clone, Copy, Debug)]
pub struct SampleCaller<'a> {
    /// The address of the ways in without a path, such as `https://chat.example.com`.
    pub url: &'a str,
    /// The user name of the access.
    pub user: &'a str,
    /// Its client id, for tokens.
    pub client_id: &'a str,
}

/// One parameter of the call.
pub(crate) struct SampleField {
    /// A name of the operation table: letters and digits.
    pub(crate) name: &'static str,
    /// Its value as an expression.
    pub(crate) value: String,
    /// The same in pieces, for languages that bound a literal or a line. Each is an expression.
    pub(crate) pieces: Vec<String>,
}

/// One call. Names, the method and the way are words of ours; all else is an expression of the language.
pub(crate) struct SampleCall {
    pub(crate) method: &'static str,
    pub(crate) way: &'static str,
    pub(crate) http: bool,
    pub(crate) basic: bool,
    pub(crate) jwt: bool,
    pub(crate) soap: bool,
    /// A send: it carries an idempotency key.
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

/// A text in pieces, none of them empty. Characters of more than one unit stay whole.
fn pieces(text: &str) -> Vec<String> {
    let characters: Vec<_> = text.chars().collect();
    let pieces = characters.chunks(PIECE_CHARACTERS_MAX);
    pieces.map(|piece| piece.iter().collect()).collect()
}

/// The environment variable that holds the secret: a password, or that of a client by tokens.
pub(crate) fn secret_variable(way: Way) -> &'static str {
    match way {
        Way::Http | Way::Basic | Way::Soap => "CHATGATE_PASSWORD",
        Way::Jwt => "CHATGATE_CLIENT_SECRET",
    }
}
