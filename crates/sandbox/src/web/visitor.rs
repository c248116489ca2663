//! A visitor's name, which the first visit makes up and a cookie keeps. It is the destination of the visitor's chat.
//!
//! The name is not secret: the page shows it, so that a call can be addressed to it. Nobody can choose it, and a page of
//! another site neither reads it nor has it sent.

use http::header::{self, HeaderMap, HeaderValue};
use uuid::Uuid;

const COOKIE: &str = "sandbox_visitor";

/// The beginning of every name.
const PREFIX: &str = "visitor-";

/// Digits after it, 62 random bits.
const DIGITS: usize = 16;

/// How long a browser keeps the cookie: 30 days.
const KEPT_S: u32 = 30 * 24 * 60 * 60;

/// The name of a visitor, always one of ours.
#[derive(Clone)]
pub(crate) struct ChatVisitor(String);

impl ChatVisitor {
    /// A new name.
    pub(crate) fn new() -> ChatVisitor {
        let chance = Uuid::now_v7().simple().to_string();
        ChatVisitor(format!("{PREFIX}{}", &chance[chance.len() - DIGITS..]))
    }

    /// The name in the cookie, if it has the form of ours.
    pub(crate) fn of(headers: &HeaderMap) -> Option<ChatVisitor> {
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
        is_ours.then(|| ChatVisitor(name.to_owned()))
    }

    pub(crate) fn name(&self) -> &str {
        &self.0
    }

    /// The header by which the browser keeps the name.
    pub(crate) fn cookie(&self) -> HeaderValue {
        let text = format!(
            "{COOKIE}={}; Path=/chat/; Max-Age={KEPT_S}; HttpOnly; SameSite=Strict",
            self.0
        );
        HeaderValue::try_from(text).expect("a name of ours is letters, digits and a hyphen")
    }
}
