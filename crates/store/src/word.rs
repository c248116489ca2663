//! Words of closed sets: ways in, methods and platforms. Each access has about a dozen of them.

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;

use adapter::{OPERATIONS, PLATFORMS, Way};
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

/// A word of a closed set. A word that this program knows takes no memory in addition to the list that contains it, whereas a text
/// would need a separate allocation: a million of them for 100,000 accesses. A word that only a newer program knows is stored
/// unchanged.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct ListedWord(Cow<'static, str>);

/// Returns the static text of this word, if this program knows the word.
fn known(text: &str) -> Option<&'static str> {
    let ways = Way::ALL.into_iter().map(Way::name);
    let methods = OPERATIONS.iter().map(|operation| operation.method);
    let mut words = ways.chain(methods).chain(PLATFORMS);
    words.find(|word| *word == text)
}

impl From<&str> for ListedWord {
    fn from(text: &str) -> ListedWord {
        ListedWord(known(text).map_or_else(|| Cow::Owned(text.to_owned()), Cow::Borrowed))
    }
}

impl Deref for ListedWord {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl PartialEq<str> for ListedWord {
    fn eq(&self, other: &str) -> bool {
        *self.0 == *other
    }
}

impl fmt::Debug for ListedWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<'de> Deserialize<'de> for ListedWord {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<ListedWord, D::Error> {
        deserializer.deserialize_str(ListedWordVisitor)
    }
}

struct ListedWordVisitor;

impl Visitor<'_> for ListedWordVisitor {
    type Value = ListedWord;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The message is the same as for any other text.
        f.write_str("a string")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<ListedWord, E> {
        Ok(ListedWord::from(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_words_are_borrowed_and_other_words_are_stored() {
        let read = |text: &str| serde_json::from_str::<Vec<ListedWord>>(text).unwrap();
        let text = r#"["soap","getchats","webchat","\u0073oap","later","s\u00f6ap"]"#;
        let words = read(text);
        let borrowed: Vec<bool> = words
            .iter()
            .map(|word| matches!(word.0, Cow::Borrowed(_)))
            .collect();
        assert_eq!(borrowed, [true, true, true, true, false, false]);
        assert_eq!(read(&serde_json::to_string(&words).unwrap()), words);
        assert!(words[4] == *"later" && words[0] == words[3]);
        let wrong = serde_json::from_str::<ListedWord>("7")
            .unwrap_err()
            .to_string();
        assert!(wrong.contains("a string"), "{wrong}");
    }
}
