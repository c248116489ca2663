//! The position of an event in the log.

use std::fmt;
use std::str::FromStr;

use crate::journal::row::first_id_at;

/// Crockford's base32 in lower case: its characters sort as their values do, and it has no letters that look like digits.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// Number of characters of a position: 5 bits each.
const CHARACTERS: usize = 13;

/// The position of an event in the log: milliseconds since 1970 and a sequence number in the low bits. Readers use its text, 13
/// characters of base32, as a cursor; texts sort as positions do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(u64);

impl Position {
    /// A position before every event.
    pub const ZERO: Position = Position(0);

    /// Returns the first position of this time, in milliseconds since 1970, UTC.
    #[must_use]
    pub fn first_at(ms: i64) -> Position {
        Position::of(first_id_at(ms))
    }

    /// Returns the time of the position, in milliseconds since 1970, UTC.
    #[must_use]
    pub fn time_ms(self) -> i64 {
        crate::JournalRow::time_of(self.number())
    }

    /// Returns the next position.
    #[must_use]
    pub fn next(self) -> Position {
        Position(self.0.saturating_add(1))
    }

    /// Returns the position for this number in a table; negative numbers do not occur.
    #[must_use]
    pub fn of(number: i64) -> Position {
        Position(u64::try_from(number).unwrap_or(0))
    }

    /// Returns the position's number in a table.
    #[must_use]
    pub fn number(self) -> i64 {
        i64::try_from(self.0).unwrap_or(i64::MAX)
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for place in (0..CHARACTERS).rev() {
            let digit = (self.0 >> (5 * place)) & 31;
            write!(f, "{}", char::from(ALPHABET[digit as usize]))?;
        }
        Ok(())
    }
}

/// The error for a text that is not a cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadCursor;

impl fmt::Display for BadCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a cursor has 13 characters of 0-9 and a-z without i, l, o, u")
    }
}

impl std::error::Error for BadCursor {}

impl FromStr for Position {
    type Err = BadCursor;

    fn from_str(text: &str) -> Result<Position, BadCursor> {
        if text.len() != CHARACTERS {
            return Err(BadCursor);
        }
        let mut number: u128 = 0;
        for byte in text.bytes() {
            let digit = ALPHABET.iter().position(|known| *known == byte);
            number = number << 5 | digit.ok_or(BadCursor)? as u128;
        }
        let number = u64::try_from(number).map_err(|_| BadCursor)?;
        // Numbers in tables are not larger than this.
        i64::try_from(number).map_err(|_| BadCursor)?;
        Ok(Position(number))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_cursor_parses_to_its_position_and_sorts_like_it(a in 0..=i64::MAX, b in 0..=i64::MAX) {
            let (a, b) = (Position::of(a), Position::of(b));
            prop_assert_eq!(a.to_string().parse(), Ok(a));
            prop_assert_eq!(a.to_string().cmp(&b.to_string()), a.cmp(&b));
        }
    }

    #[test]
    fn invalid_cursors_are_rejected() {
        for text in [
            "",
            "now",
            "00000000000000",
            "000000000000u",
            "fzzzzzzzzzzzz",
            "zzzzzzzzzzzzz",
            "000000000000A",
        ] {
            assert_eq!(text.parse::<Position>(), Err(BadCursor), "{text}");
        }
        assert_eq!("0000000000000".parse(), Ok(Position::ZERO));
    }
}
