//! Properties that hold for any input.

use adapter::Wire;
use http::HeaderMap;
use proptest::prelude::*;
use serde_json::json;

use super::forge::*;
use crate::*;

proptest! {
    #[test]
    fn any_text_is_judged_without_a_panic(text in "\\PC{0,200}") {
        prop_assert!(verify(&text, &own_ring(&[ed()]), NOW).is_err());
        prop_assert!(verify_jws(&text, "EdDSA", &text).is_err());
        prop_assert!(parse_jwks(&text, &Algorithm::ALL).is_err());
        let _ = Scope::parse(&text);
    }

    #[test]
    fn one_changed_byte_spoils_a_token(at in 0_usize..400, byte in any::<char>()) {
        let token = own_with(json!({}));
        let at = at % token.len();
        prop_assume!(!token[at..].starts_with(byte));
        let changed = format!("{}{byte}{}", &token[..at], &token[at + 1..]);
        let is_invalid = matches!(
            verify(&changed, &own_ring(&[ed()]), NOW),
            Err(TokenFault::Invalid(_))
        );
        prop_assert!(is_invalid);
    }

    #[test]
    fn any_form_is_read_without_a_panic(query in "\\PC{0,50}", body in any::<Vec<u8>>()) {
        let headers = HeaderMap::new();
        let wire = Wire { query: &query, headers: &headers, body: &body.into() };
        if let Err(error) = read_token_request(&wire) {
            prop_assert!((400..500).contains(&error.status));
        }
    }
}
