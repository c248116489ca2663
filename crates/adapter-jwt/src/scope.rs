//! The scope of a token: a list of methods, or everything that its access may do.

use std::fmt;

use adapter::Operation;

/// The word for everything that the access may do.
pub(crate) const EVERYTHING: &str = adapter::CLASS;

/// A limit that a token puts on its access. It never extends what the access may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// The allowed methods; `None` means everything.
    methods: Option<Vec<&'static str>>,
}

impl Scope {
    /// Returns the scope of everything that the access may do.
    #[must_use]
    pub fn all() -> Scope {
        Scope { methods: None }
    }

    /// Returns the scope that allows nothing.
    #[must_use]
    pub fn nothing() -> Scope {
        Scope {
            methods: Some(Vec::new()),
        }
    }

    /// Parses words separated by spaces. Returns `None` if there is no word or an unknown one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Scope> {
        let known = |word| word == EVERYTHING || Operation::named(word).is_some();
        (words(text).next().is_some() && words(text).all(known)).then(|| Scope::of_known(text))
    }

    /// Reads the scope of an outside issuer. Words for other services are skipped, and a scope without any known word allows
    /// nothing.
    pub(crate) fn of_known(text: &str) -> Scope {
        Scope::of_words(words(text))
    }

    /// Reads the scope of an outside issuer from separate words.
    pub(crate) fn of_words<'a>(words: impl Iterator<Item = &'a str>) -> Scope {
        let mut methods = Vec::new();
        for word in words {
            if word == EVERYTHING {
                return Scope::all();
            }
            if let Some(operation) = Operation::named(word)
                && !methods.contains(&operation.method)
            {
                methods.push(operation.method);
            }
        }
        Scope {
            methods: Some(methods),
        }
    }

    /// Returns whether the scope allows calls of this method.
    #[must_use]
    pub fn allows(&self, method: &str) -> bool {
        self.methods
            .as_ref()
            .is_none_or(|methods| methods.contains(&method))
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.methods {
            None => f.write_str(EVERYTHING),
            Some(methods) => f.write_str(&methods.join(" ")),
        }
    }
}

/// Splits at spaces. RFC 6749 §3.3 has one space between words; additional spaces are harmless.
pub(crate) fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(' ').filter(|word| !word.is_empty())
}
