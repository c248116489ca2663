//! What accesses and keys may be called, wherever the name comes from: configuration, admin API, import.

/// Longest name, in characters: it stands in labels, paths and logs.
const NAME_CHARACTERS_MAX: usize = 64;

/// The rule of [`check_name`] as a pattern.
pub const NAME_PATTERN: &str = "^[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}$";

/// Whether this can be the name of an access or a key: 1 to 64 letters, digits, `.`, `_` and `-`. No dot comes first, since a
/// path of dots alone means another path.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_word_without_a_dot_first() {
        for name in ["a", "A-1_b.c", "-", "a.", &"x".repeat(64)] {
            assert!(check_name(name).is_ok(), "{name}");
        }
        for name in ["", ".", ".a", "..", "a b", "é", "a/b", &"x".repeat(65)] {
            assert!(check_name(name).is_err(), "{name}");
        }
    }
}
