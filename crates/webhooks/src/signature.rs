//! The signature of a delivery according to Standard Webhooks 1.0.0, and the life of the secrets that sign.

use aws_lc_rs::{hmac, rand};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret, SecretString};
use store::WebhookSecret;

/// The prefix of a secret, by which people and scanners can recognize a leaked secret.
const PREFIX: &str = "whsec_";

/// Number of random bytes in a secret, which is the size of the hash.
const SECRET_BYTES: usize = 32;

/// Makes a secret in the format that the libraries of receivers accept.
///
/// # Errors
/// Returns an error if the system has no random bytes.
pub(crate) fn new_secret(now: i64) -> Result<WebhookSecret, String> {
    let mut bytes = [0; SECRET_BYTES];
    rand::fill(&mut bytes).map_err(|_| "the system returns no random bytes".to_owned())?;
    Ok(WebhookSecret {
        text: SecretString::from(format!("{PREFIX}{}", STANDARD.encode(bytes))),
        created: now,
        until: None,
    })
}

/// Returns the secrets after a rotation: the new one, which signs first, and the newest previous one, which also signs for
/// `grace_s`. `now` and `grace_s` are in seconds.
pub(crate) fn rotated(
    secrets: &[WebhookSecret],
    new: WebhookSecret,
    now: i64,
    grace_s: i64,
) -> Vec<WebhookSecret> {
    let before = secrets.first().filter(|_| grace_s > 0);
    let before = before.map(|secret| WebhookSecret {
        until: Some(now + grace_s),
        ..secret.clone()
    });
    [new].into_iter().chain(before).collect()
}

/// Returns the secrets that sign at this time, newest first; `now` is in seconds since 1970, UTC.
pub(crate) fn live(secrets: &[WebhookSecret], now: i64) -> impl Iterator<Item = &WebhookSecret> {
    let is_live = move |secret: &&WebhookSecret| secret.until.is_none_or(|until| now < until);
    secrets.iter().filter(is_live)
}

/// Returns the value of `webhook-signature`: one signature for each secret. `timestamp` is the value of `webhook-timestamp`.
pub(crate) fn sign<'s>(
    secrets: impl Iterator<Item = &'s WebhookSecret>,
    (id, timestamp): (&str, i64),
    body: &[u8],
) -> String {
    let signatures = secrets.filter_map(|secret| {
        let text = secret.text.expose_secret();
        let key = STANDARD.decode(text.strip_prefix(PREFIX)?).ok()?;
        let mut signing = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, &key));
        signing.update(format!("{id}.{timestamp}.").as_bytes());
        signing.update(body);
        Some(format!("v1,{}", STANDARD.encode(signing.sign())))
    });
    signatures.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str, until: Option<i64>) -> WebhookSecret {
        WebhookSecret {
            text: text.to_owned().into(),
            created: 0,
            until,
        }
    }

    /// The test vector of the published libraries.
    #[test]
    fn a_signature_matches_the_published_test_vector() {
        let secrets = [secret("whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD", None)];
        let body = br#"{"email":"test@example.com","username":"test_user"}"#;
        let of = ("msg_27UH4WbU6Z5A5EzD8u03UvzRbpk", 1_649_367_553);
        let expected = "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=";
        assert_eq!(sign(secrets.iter(), of, body), expected);
        let two = [&secrets[0], &secrets[0]];
        assert_eq!(
            sign(two.into_iter(), of, body),
            format!("{expected} {expected}")
        );
    }

    #[test]
    fn a_rotated_secret_signs_for_a_limited_time_with_the_new_one() {
        let old = [secret("b", None), secret("a", Some(50))];
        let names = |secrets: &[WebhookSecret], now| {
            let texts = live(secrets, now).map(|secret| secret.text.expose_secret().to_owned());
            texts.collect::<Vec<_>>()
        };
        assert_eq!(names(&old, 49), ["b", "a"]);
        assert_eq!(names(&old, 50), ["b"]);
        let rotated_now = rotated(&old, secret("c", None), 100, 20);
        assert_eq!(names(&rotated_now, 119), ["c", "b"]);
        assert_eq!(names(&rotated_now, 120), ["c"]);
        assert_eq!(names(&rotated(&old, secret("c", None), 100, 0), 100), ["c"]);
    }

    #[test]
    fn new_secrets_are_unique_and_have_the_published_form() {
        let (one, other) = (new_secret(1).unwrap(), new_secret(1).unwrap());
        let text = one.text.expose_secret();
        assert_eq!(text.len(), PREFIX.len() + 44);
        assert!(text.starts_with(PREFIX) && one != other);
    }
}
