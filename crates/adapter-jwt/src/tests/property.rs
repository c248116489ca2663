//! Properties that hold for any input.

use adapter::Wire;
use http::HeaderMap;
use proptest::prelude::*;
use serde_json::json;

use super::forge::*;
use crate::*;

proptest! {
    #[test]
    fn arbitrary_text_as_token_or_jwks_is_rejected_without_a_panic(text in "\\PC{0,200}") {
        prop_assert!(verify(&text, &own_ring(&[ed()]), NOW).is_err());
        prop_assert!(verify_jws(&text, "EdDSA", &text).is_err());
        prop_assert!(parse_jwks(&text, &Algorithm::ALL).is_err());
        let _ = Scope::parse(&text);
    }

    #[test]
    fn a_token_with_one_changed_byte_is_rejected(at in 0_usize..400, byte in any::<char>()) {
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
    fn an_arbitrary_token_request_fails_only_with_a_4xx_status(query in "\\PC{0,50}", body in any::<Vec<u8>>()) {
        let headers = HeaderMap::new();
        let wire = Wire { query: &query, headers: &headers, body: &body.into() };
        if let Err(error) = read_token_request(&wire) {
            prop_assert!((400..500).contains(&error.status));
        }
    }
}
