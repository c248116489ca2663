//! The rule for names of accesses and keys, from whatever source a name comes: configuration, admin API, import.

/// Maximum length of a name, in characters, because names appear in labels, paths and logs.
const NAME_CHARACTERS_MAX: usize = 64;

/// The rule of [`check_name`] as a pattern.
pub const NAME_PATTERN: &str = "^[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}$";

/// Checks whether this text can be the name of an access or a key: 1 to 64 letters, digits, `.`, `_` and `-`. The first character
/// must not be a dot, because a path segment that consists of dots means another path.
///
/// # Errors
/// The rule, for the person who chose the name.
pub fn check_name(name: &str) -> Result<(), String> {
    let fits = (1..=NAME_CHARACTERS_MAX).contains(&name.len())
        && !name.starts_with('.')
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
    if fits {
        Ok(())
    } else {
        Err("use 1 to 64 letters, digits, . _ - and no dot first".to_owned())
    }
}

/// Checks whether this text can be a user name: it has no colon, because Basic Authentication ends the user name at the first colon
/// (RFC 7617, 2) and would take the calls for guesses at another access.
///
/// # Errors
/// The rule, for the person who chose the user name.
pub fn check_user(user: &str) -> Result<(), String> {
    if user.contains(':') {
        Err("leave out the colon: Basic Authentication ends the user name at it".to_owned())
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_word_without_a_leading_dot() {
        for name in ["a", "A-1_b.c", "-", "a.", &"x".repeat(64)] {
            assert!(check_name(name).is_ok(), "{name}");
        }
        for name in ["", ".", ".a", "..", "a b", "é", "a/b", &"x".repeat(65)] {
            assert!(check_name(name).is_err(), "{name}");
        }
    }
}
