//! Reads `application/x-www-form-urlencoded` by the WHATWG rules: `&` separates pairs, the first `=` splits a pair, `+` is a space,
//! and a `%` without two hex digits stands for itself.

use std::borrow::Cow;

use memchr::{memchr_iter, memchr2};
use percent_encoding::percent_decode_str;

use crate::text::split_at_first;

/// One pair, which is decoded on request.
#[derive(Clone, Copy, Debug)]
pub struct FormPair<'a> {
    name: &'a str,
    value: &'a str,
    is_coded: bool,
}

/// Returns the pairs of a form or a query in their order, without the empty ones.
pub fn form_pairs(text: &str) -> impl Iterator<Item = FormPair<'_>> {
    // Hardly any form is encoded, and one scan over all pairs detects that.
    let is_coded = |text: &str| memchr2(b'+', b'%', text.as_bytes()).is_some();
    let may_be_coded = is_coded(text);
    let mut start = 0;
    let ends = memchr_iter(b'&', text.as_bytes()).chain([text.len()]);
    ends.filter_map(move |end| {
        let pair = &text[start..end];
        start = end + 1;
        let (name, value) = split_at_first(pair, b'=');
        (!pair.is_empty()).then(|| FormPair {
            name,
            value: value.unwrap_or_default(),
            is_coded: may_be_coded && is_coded(pair),
        })
    })
}

impl<'a> FormPair<'a> {
    /// Returns the name; `None` if it is not UTF-8.
    #[must_use]
    pub fn name(&self) -> Option<Cow<'a, str>> {
        self.decoded(self.name)
    }

    /// Returns the value; `None` if it is not UTF-8.
    #[must_use]
    pub fn value(&self) -> Option<Cow<'a, str>> {
        self.decoded(self.value)
    }

    fn decoded(&self, text: &'a str) -> Option<Cow<'a, str>> {
        if self.is_coded {
            form_decoded(text).map(Cow::Owned)
        } else {
            Some(Cow::Borrowed(text))
        }
    }
}

/// Decodes a name or a value; `None` if it is not UTF-8.
#[must_use]
pub fn form_decoded(text: &str) -> Option<String> {
    let spaced = text.replace('+', " ");
    String::from_utf8(percent_decode_str(&spaced).collect()).ok()
}
