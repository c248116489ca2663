//! Who a visitor is: a name that the first visit makes up and a cookie keeps. It is the destination of the visitor's chat.
//!
//! It is no secret: the page shows it, so that a call can be made out to it. It can't be chosen either, and a page of
//! another site neither reads it nor has it sent.

use http::header::{self, HeaderMap, HeaderValue};
use uuid::Uuid;

const COOKIE: &str = "sandbox_visitor";

/// The platform calls visitors this.
const PREFIX: &str = "visitor-";

/// Digits after it, 62 bits of chance.
const DIGITS: usize = 16;

/// How long a browser keeps the cookie: 30 days.
const KEPT_S: u32 = 30 * 24 * 60 * 60;

/// The name of a visitor, always one of ours.
#[derive(Clone)]
pub(crate) struct Visitor(String);

impl Visitor {
    /// Somebody new.
    pub(crate) fn new() -> Visitor {
        let chance = Uuid::now_v7().simple().to_string();
        Visitor(format!("{PREFIX}{}", &chance[chance.len() - DIGITS..]))
    }

    /// Who the cookie names, unless it names nobody that we could have made up.
    pub(crate) fn of(headers: &HeaderMap) -> Option<Visitor> {
        let cookies = headers.get_all(header::COOKIE).into_iter();
        let texts = cookies.filter_map(|cookies| cookies.to_str().ok());
        let pairs = texts.flat_map(|text| text.split(';'));
        let mut named = pairs.filter_map(|pair| pair.trim().split_once('='));
        let (_, name) = named.find(|(name, _)| *name == COOKIE)?;
        let digits = name.strip_prefix(PREFIX)?;
        let is_ours = digits.len() == DIGITS
            && digits
                .bytes()
                .all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        is_ours.then(|| Visitor(name.to_owned()))
    }

    pub(crate) fn name(&self) -> &str {
        &self.0
    }

    /// The header that has the browser keep it.
    pub(crate) fn cookie(&self) -> HeaderValue {
        let text = format!(
            "{COOKIE}={}; Path=/chat/; Max-Age={KEPT_S}; HttpOnly; SameSite=Strict",
            self.0
        );
        HeaderValue::try_from(text).expect("a name of ours is letters, digits and a hyphen")
    }
}
