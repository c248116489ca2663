//! Accesses by a text that people look for.

use crate::Access;

/// A text to look for, in capitals or not. It takes the texts that it looks through into one piece of memory: of 100,000 accesses
/// these are half a million.
pub struct AccessSearch {
    /// In small letters.
    sought: String,
    /// The text that is looked through, in small letters.
    looked_through: String,
}

impl AccessSearch {
    /// Looks for this text. An empty one is found in every access.
    #[must_use]
    pub fn new(text: &str) -> AccessSearch {
        AccessSearch {
            sought: text.to_lowercase(),
            looked_through: String::new(),
        }
    }

    /// Whether the text is found in the name, the user name, the owner, the note or the client id of this access.
    pub fn finds(&mut self, access: &Access) -> bool {
        let texts = [
            &access.name,
            &access.user,
            &access.owner,
            &access.note,
            &access.client_id,
        ];
        self.sought.is_empty() || texts.into_iter().any(|text| self.is_in(text))
    }

    fn is_in(&mut self, text: &str) -> bool {
        if !text.is_ascii() {
            return text.to_lowercase().contains(&self.sought);
        }
        self.looked_through.clear();
        self.looked_through.push_str(text);
        self.looked_through.make_ascii_lowercase();
        self.looked_through.contains(&self.sought)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_found_in_each_field_in_capitals_or_not() {
        let mut access = Access::new("Desk-1", "anna", "cga_Xy");
        access.owner = "Fräulein ÖZIL".to_owned();
        access.note = "orders".to_owned();
        let finds = |text: &str| AccessSearch::new(text).finds(&access);
        for found in [
            "", "desk-1", "SK-", "Anna", "CGA_xY", "fRÄUL", "özil", "S", "orders",
        ] {
            assert!(finds(found), "{found}");
        }
        // No text goes on in the next one.
        for other in ["1anna", "desk-12", "ozil", "ä ", "orderss"] {
            assert!(!finds(other), "{other}");
        }
    }
}
