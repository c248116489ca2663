//! Settings of the kinds that occur often, in one call each.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use crate::parse;
use crate::reader::Reader;
use crate::schema::ValueKind;

impl Reader<'_> {
    /// A text.
    pub fn text<T>(
        &mut self,
        key: &str,
        default: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> T {
        self.value(key, default, ValueKind::Text, parse)
    }

    /// A text that may be absent.
    pub fn optional_text<T>(
        &mut self,
        key: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        self.optional(key, ValueKind::Text, parse)
    }

    /// A list of texts.
    pub fn texts<T>(
        &mut self,
        key: &str,
        default: &[&str],
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Vec<T> {
        self.list(key, default, ValueKind::Text, parse)
    }

    /// A setting that is one of a few words.
    pub fn choice<T: Copy>(&mut self, key: &str, default: &str, choices: &[(&str, T)]) -> T {
        let names: Vec<_> = choices.iter().map(|(name, _)| *name).collect();
        let kind = ValueKind::words(&names);
        self.value(key, default, kind, |text| choice(text, choices))
    }

    /// A list of some of a few words; all of them by default.
    pub fn words(&mut self, key: &str, names: &[&'static str]) -> Vec<String> {
        let named: Vec<_> = names.iter().map(|name| (*name, *name)).collect();
        let kind = ValueKind::words(names);
        let list = self.list(key, names, kind, |text| choice(text, &named));
        list.into_iter().map(str::to_owned).collect()
    }

    /// A socket address.
    pub fn address(&mut self, key: &str, default: &str) -> SocketAddr {
        self.text(key, default, parse::address)
    }

    /// A setting that is true or false.
    pub fn boolean(&mut self, key: &str, default: &str) -> bool {
        self.value(key, default, ValueKind::Boolean, parse::boolean)
    }

    /// A setting that is true, false or absent.
    pub fn optional_boolean(&mut self, key: &str) -> Option<bool> {
        self.optional(key, ValueKind::Boolean, parse::boolean)
    }

    /// A whole number of at least one.
    pub fn count(&mut self, key: &str, default: &str) -> NonZeroU32 {
        self.value(key, default, ValueKind::Count(1), parse::count)
    }

    /// A time, which may be zero.
    pub fn duration(&mut self, key: &str, default: &str) -> Duration {
        self.value(key, default, ValueKind::Time, parse::duration)
    }

    /// A time that is not zero.
    pub fn timeout(&mut self, key: &str, default: &str) -> Duration {
        self.value(key, default, ValueKind::Time, parse::timeout)
    }

    /// A number of bytes from one up to a bound.
    pub fn room(&mut self, key: &str, default: &str, most: usize) -> usize {
        self.value(key, default, ValueKind::Bytes, |text| {
            parse::room(text, most)
        })
    }

    /// Records an error for each name that an earlier table of the same list has.
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
                self.reject(&key, &format!("{name} is there already"));
            }
        }
    }
}

fn choice<T: Copy>(text: &str, choices: &[(&str, T)]) -> Result<T, String> {
    let chosen = choices.iter().find(|(name, _)| *name == text);
    chosen.map(|(_, value)| *value).ok_or_else(|| {
        let names: Vec<_> = choices.iter().map(|(name, _)| *name).collect();
        format!("{text} is none of {}", names.join(", "))
    })
}
