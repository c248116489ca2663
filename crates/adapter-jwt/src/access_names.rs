//! The accesses that an issuer may name. An issuer that is trusted for the calls of its partners is not trusted for all accesses.

/// A list of access names. Each entry is a full name, or a prefix followed by `*`. The empty list contains no name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccessNames(Vec<Pattern>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Pattern {
    Whole(String),
    Beginning(String),
}

/// Maximum length of an access name, in bytes. A longer prefix in a pattern could not match.
const NAME_BYTES_MAX: usize = 64;

impl AccessNames {
    /// Returns the list that contains every name (a single `*`).
    #[must_use]
    pub fn all() -> AccessNames {
        AccessNames(vec![Pattern::Beginning(String::new())])
    }

    /// Parses a list of patterns.
    ///
    /// # Errors
    /// The first invalid pattern, with the valid forms.
    pub fn parse<'a>(patterns: impl IntoIterator<Item = &'a str>) -> Result<AccessNames, String> {
        patterns
            .into_iter()
            .map(pattern)
            .collect::<Result<_, _>>()
            .map(AccessNames)
    }

    /// Returns whether the list contains this name. The comparison is case-sensitive.
    #[must_use]
    pub fn holds(&self, name: &str) -> bool {
        self.0.iter().any(|pattern| match pattern {
            Pattern::Whole(whole) => name == whole,
            Pattern::Beginning(beginning) => name.starts_with(beginning.as_str()),
        })
    }

    /// Returns whether the list contains no name.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn pattern(text: &str) -> Result<Pattern, String> {
    let (name, is_whole) = match text.strip_suffix('*') {
        Some(beginning) => (beginning, false),
        None => (text, true),
    };
    let is_name = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    if name.len() > NAME_BYTES_MAX || !name.bytes().all(is_name) || (is_whole && name.is_empty()) {
        return Err(format!(
            "{text:?} is not the name of an access; write a name, a prefix such as partner-*, or * for all"
        ));
    }
    let name = name.to_owned();
    Ok(if is_whole {
        Pattern::Whole(name)
    } else {
        Pattern::Beginning(name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(patterns: &[&str], name: &str, expected: bool) {
        let names = AccessNames::parse(patterns.iter().copied()).unwrap();
        assert_eq!(names.holds(name), expected, "{patterns:?} {name}");
    }

    #[test]
    fn patterns_match_whole_access_names_or_prefixes() {
        check(&[], "shop", false);
        check(&["shop"], "shop", true);
        check(&["shop"], "shop2", false);
        check(&["shop"], "Shop", false);
        check(&["partner-*", "shop"], "partner-a", true);
        check(&["partner-*"], "partner-", true);
        check(&["partner-*"], "partner", false);
        check(&["partner-*"], "x-partner-a", false);
        check(&["*"], "anything", true);
        assert!(AccessNames::all().holds("anything") && !AccessNames::default().holds("shop"));
    }

    #[test]
    fn invalid_access_name_patterns_are_rejected() {
        for wrong in ["", "a*b", "**", "a b", "*a", "shöp", &"a".repeat(65)] {
            let error = AccessNames::parse([wrong]).unwrap_err();
            assert!(error.contains("partner-*"), "{error}");
        }
    }
}
