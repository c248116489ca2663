//! A text search over accesses.

use crate::Access;

/// A search for a text, regardless of upper or lower case. One buffer is reused for all texts that the search reads, because
/// 100,000 accesses have half a million texts.
pub struct AccessSearch {
    /// The search text in lower case.
    sought: String,
    /// The buffer for the text that is being searched, in lower case.
    looked_through: String,
}

impl AccessSearch {
    /// Makes a search for this text. Every access contains the empty text.
    #[must_use]
    pub fn new(text: &str) -> AccessSearch {
        AccessSearch {
            sought: text.to_lowercase(),
            looked_through: String::new(),
        }
    }

    /// Returns whether the name, the user name, the owner, the note or the client id of this access contains the text.
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
    fn a_search_matches_every_field_regardless_of_case() {
        let mut access = Access::new("Desk-1", "anna", "cga_Xy");
        access.owner = "Fräulein ÖZIL".to_owned();
        access.note = "orders".to_owned();
        let finds = |text: &str| AccessSearch::new(text).finds(&access);
        for found in [
            "", "desk-1", "SK-", "Anna", "CGA_xY", "fRÄUL", "özil", "S", "orders",
        ] {
            assert!(finds(found), "{found}");
        }
        // A match never spans two texts.
        for other in ["1anna", "desk-12", "ozil", "ä ", "orderss"] {
            assert!(!finds(other), "{other}");
        }
    }
}
