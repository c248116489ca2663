//! The scope of a token: some methods, or everything that its access may do.

use std::fmt;

use adapter::Operation;

/// The word that stands for everything the access may.
pub(crate) const EVERYTHING: &str = adapter::CLASS;

/// A limit that a token puts on its access; it never widens what the access may.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// `None` is everything.
    methods: Option<Vec<&'static str>>,
}

impl Scope {
    /// Everything that the access may.
    #[must_use]
    pub fn all() -> Scope {
        Scope { methods: None }
    }

    /// Nothing at all.
    #[must_use]
    pub fn nothing() -> Scope {
        Scope {
            methods: Some(Vec::new()),
        }
    }

    /// Reads words with spaces between them; `None` when there is no word or one that is not ours.
    #[must_use]
    pub fn parse(text: &str) -> Option<Scope> {
        let known = |word| word == EVERYTHING || Operation::named(word).is_some();
        (words(text).next().is_some() && words(text).all(known)).then(|| Scope::of_known(text))
    }

    /// Reads the scope of an outside issuer: words for other services are skipped, and a scope without any of ours allows nothing.
    pub(crate) fn of_known(text: &str) -> Scope {
        Scope::of_words(words(text))
    }

    /// The same for words that stand apart already.
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

    /// Whether it allows calls of this method.
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

/// RFC 6749 §3.3: one space between words; more are harmless.
pub(crate) fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(' ').filter(|word| !word.is_empty())
}
