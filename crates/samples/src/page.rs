//! What a template sees: everything that came from outside is an expression of the language already.

use adapter::{Effect, Operation, Way};

use crate::{Caller, Language, secret};

/// Most characters of a value in one literal. By number one takes up to twelve bytes, and Delphi ends a line at 1,023;
/// SQL*Plus at 2,499.
const PIECE_CHARACTERS_MAX: usize = 80;

/// One parameter of the call.
pub(crate) struct Field {
    /// A name of the operation table: letters and digits.
    pub(crate) name: &'static str,
    /// Its value as an expression.
    pub(crate) value: String,
    /// The same in pieces, for languages that bound a literal or a line. Each is an expression.
    pub(crate) pieces: Vec<String>,
}

/// One call. Names, the method and the way are words of ours; all else is an expression of the language.
pub(crate) struct Page {
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
    pub(crate) fields: Vec<Field>,
}

impl Page {
    pub(crate) fn new(
        language: &Language,
        way: Way,
        operation: &Operation,
        (caller, values): (&Caller<'_>, &[(&'static str, String)]),
    ) -> Page {
        let quote = language.quote;
        let url = caller.url.trim_end_matches('/');
        let at = |path: &str| quote(&format!("{url}{path}"));
        let field = |(name, value): &(&'static str, String)| Field {
            name,
            value: quote(value),
            pieces: pieces(value).iter().map(|piece| quote(piece)).collect(),
        };
        Page {
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
            secret: secret(way),
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
