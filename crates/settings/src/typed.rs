//! Reads settings of common kinds, with one call each.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use crate::parse;
use crate::reader::Reader;
use crate::schema::ValueKind;

impl Reader<'_> {
    /// Reads a text.
    pub fn text<T>(
        &mut self,
        key: &str,
        default: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> T {
        self.value(key, default, ValueKind::Text, parse)
    }

    /// Reads a text that may be absent.
    pub fn optional_text<T>(
        &mut self,
        key: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        self.optional(key, ValueKind::Text, parse)
    }

    /// Reads a list of texts.
    pub fn texts<T>(
        &mut self,
        key: &str,
        default: &[&str],
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Vec<T> {
        self.list(key, default, ValueKind::Text, parse)
    }

    /// Reads a setting that is one of a few words.
    pub fn choice<T: Copy>(&mut self, key: &str, default: &str, choices: &[(&str, T)]) -> T {
        let names: Vec<_> = choices.iter().map(|(name, _)| *name).collect();
        let kind = ValueKind::words(&names);
        self.value(key, default, kind, |text| choice(text, choices))
    }

    /// Reads a list of words out of a few; the default is all of them.
    pub fn words(&mut self, key: &str, names: &[&'static str]) -> Vec<String> {
        let named: Vec<_> = names.iter().map(|name| (*name, *name)).collect();
        let kind = ValueKind::words(names);
        let list = self.list(key, names, kind, |text| choice(text, &named));
        list.into_iter().map(str::to_owned).collect()
    }

    /// Reads a socket address.
    pub fn address(&mut self, key: &str, default: &str) -> SocketAddr {
        self.text(key, default, parse::address)
    }

    /// Reads a setting that is true or false.
    pub fn boolean(&mut self, key: &str, default: &str) -> bool {
        self.value(key, default, ValueKind::Boolean, parse::boolean)
    }

    /// Reads a setting that is true, false or absent.
    pub fn optional_boolean(&mut self, key: &str) -> Option<bool> {
        self.optional(key, ValueKind::Boolean, parse::boolean)
    }

    /// Reads a whole number of at least one.
    pub fn count(&mut self, key: &str, default: &str) -> NonZeroU32 {
        self.value(key, default, ValueKind::Count(1), parse::count)
    }

    /// Reads a time, which may be zero.
    pub fn duration(&mut self, key: &str, default: &str) -> Duration {
        self.value(key, default, ValueKind::Time, parse::duration)
    }

    /// Reads a time that is not zero.
    pub fn timeout(&mut self, key: &str, default: &str) -> Duration {
        self.value(key, default, ValueKind::Time, parse::timeout)
    }

    /// Reads a number of bytes between one and a maximum.
    pub fn size_up_to(&mut self, key: &str, default: &str, most: usize) -> usize {
        self.value(key, default, ValueKind::Bytes, |text| {
            parse::size_up_to(text, most)
        })
    }

    /// Records an error for each name that an earlier table of the same list has too.
    pub fn reject_duplicates<'n>(
        &mut self,
        list: &str,
        field: &str,
        names: impl Iterator<Item = &'n String>,
    ) {
        let mut seen = BTreeSet::new();
        for (index, name) in names.enumerate() {
            if !seen.insert(name) {
                let key = format!("{list}.{index}.{field}");
                self.reject(&key, &format!("another entry already has the value {name}"));
            }
        }
    }
}

fn choice<T: Copy>(text: &str, choices: &[(&str, T)]) -> Result<T, String> {
    let chosen = choices.iter().find(|(name, _)| *name == text);
    chosen.map(|(_, value)| *value).ok_or_else(|| {
        let names: Vec<_> = choices.iter().map(|(name, _)| *name).collect();
        format!("{text} is not one of {}", names.join(", "))
    })
}
