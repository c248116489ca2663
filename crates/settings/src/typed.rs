//! Settings of the kinds that occur often, in one call each.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use crate::parse;
use crate::reader::Reader;
use crate::schema::ValueKind;

impl Reader<'_> {
    /// A socket address.
    pub fn address(&mut self, key: &str, default: &str) -> SocketAddr {
        self.value(key, default, ValueKind::Text, parse::address)
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
}
