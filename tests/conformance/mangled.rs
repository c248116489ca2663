//! Tokens with a broken form or signature, and tokens of the gateway itself that were turned into others.

use serde_json::{Value, json};

use super::forge::{By, Mint, b64, changed, macked};
use super::forgeries::Forgery;

/// Returns tokens that are broken before any of their content is read, and tokens that state something twice or not at all.
pub(super) fn structures(mint: &Mint) -> Vec<Forgery> {
    let header = Mint::header(By::Ed).to_string();
    let claims = mint.claims().to_string();
    let all = [
        forms(mint, &header, &claims),
        contents(mint, &header, &claims),
        sizes(mint, &header, &claims),
    ];
    let all = all.into_iter().flatten();
    all.map(|(what, token)| (what.to_owned(), token)).collect()
}

fn forms(mint: &Mint, header: &str, claims: &str) -> Vec<(&'static str, String)> {
    let good = mint.sign(By::Ed, header, claims);
    let [h, c, s] = [0, 1, 2].map(|n| good.split('.').nth(n).unwrap());
    let encoded =
        |header: &str, claims: &str| mint.sign_encoded(By::Ed, &format!("{header}.{claims}"));
    let json_form = json!({ "payload": c, "protected": h, "signature": s }).to_string();
    vec![
        ("one part", h.to_owned()),
        ("two parts", format!("{h}.{c}")),
        ("four parts", format!("{good}.{s}")),
        ("five parts, as a JWE has", format!("{h}.{c}.{s}.{c}.{s}")),
        ("four dots and nothing", "....".to_owned()),
        ("two dots and nothing", "..".to_owned()),
        ("a dot in front", format!(".{good}")),
        ("a dot behind", format!("{good}.")),
        ("no header", format!(".{c}.{s}")),
        ("no claims", encoded(h, "")),
        ("the JSON form", json_form),
        ("no token", "x".to_owned()),
        ("the word null", "null".to_owned()),
        ("padding", format!("{good}==")),
        ("padded claims", encoded(h, &format!("{c}="))),
        ("a blank inside", good.replacen('.', ". ", 1)),
        ("a tab behind", format!("{good}\tx")),
        ("two tokens", format!("{good} {good}")),
        ("two tokens and a comma", format!("{good},{good}")),
        ("the scheme twice", format!("Bearer {good}")),
        ("quotes around it", format!("\"{good}\"")),
        ("letters beyond ASCII", format!("{h}.{c}é.{s}")),
    ]
}

/// Returns a JSON object with one more member at the front.
fn inside(object: &str, member: &str) -> String {
    object.replacen('{', &format!("{{{member},"), 1)
}

fn contents(mint: &Mint, header: &str, claims: &str) -> Vec<(&'static str, String)> {
    let good = mint.sign(By::Ed, header, claims);
    let signed = |header: &str, claims: &str| mint.sign(By::Ed, header, claims);
    vec![
        ("a header that is no JSON", signed("alg=EdDSA", claims)),
        ("a header in a list", signed(&format!("[{header}]"), claims)),
        (
            "a header with a mark",
            signed(&format!("\u{feff}{header}"), claims),
        ),
        (
            "a header and more",
            signed(&format!("{header}{{}}"), claims),
        ),
        ("claims in a list", signed(header, &format!("[{claims}]"))),
        ("claims as text", signed(header, &json!(claims).to_string())),
        ("claims and more", signed(header, &format!("{claims} x"))),
        ("claims that are a token", signed(header, &good)),
        (
            "claims that are no UTF-8",
            mint.sign(By::Ed, header, b"{\"iss\":\"\xff\"}"),
        ),
        (
            "alg twice",
            signed(&inside(header, "\"alg\":\"none\""), claims),
        ),
        (
            "alg twice, one escaped",
            signed(&inside(header, "\"\\u0061lg\":\"none\""), claims),
        ),
        ("exp twice", signed(header, &inside(claims, "\"exp\":1"))),
        (
            "sub twice",
            signed(header, &inside(claims, "\"sub\":\"other\"")),
        ),
        (
            "aud twice, one escaped",
            signed(header, &inside(claims, "\"\\u0061ud\":\"x\"")),
        ),
        (
            "a member twice far inside",
            signed(header, &inside(claims, "\"x\":[{\"a\":1,\"a\":2}]")),
        ),
    ]
}

fn sizes(mint: &Mint, header: &str, claims: &str) -> Vec<(&'static str, String)> {
    let signed = |header: &str, claims: &str| mint.sign(By::Ed, header, claims);
    let deep = format!("{}1{}", "[".repeat(1500), "]".repeat(1500));
    let far = |name: &str, text: &str| {
        let found = format!("\"{name}\":{}", mint.claims()[name]);
        assert!(claims.contains(&found));
        claims.replace(&found, &format!("\"{name}\":{text}"))
    };
    vec![
        ("exp 1e400", signed(header, &far("exp", "1e400"))),
        ("exp -1e400", signed(header, &far("exp", "-1e400"))),
        ("exp NaN", signed(header, &far("exp", "NaN"))),
        ("exp Infinity", signed(header, &far("exp", "Infinity"))),
        (
            "exp with a sign",
            signed(header, &far("exp", "+9999999999")),
        ),
        (
            "exp in hexadecimal",
            signed(header, &far("exp", "0xffffffff")),
        ),
        ("iat 1e400", signed(header, &far("iat", "1e400"))),
        (
            "nesting without an end",
            signed(header, &inside(claims, &format!("\"x\":{deep}"))),
        ),
        (
            "8 KiB and one byte",
            mint.claims_with(&json!({ "pad": "x".repeat(6200) })),
        ),
        (
            "9 KiB",
            mint.claims_with(&json!({ "pad": "x".repeat(7000) })),
        ),
        (
            "40 KiB",
            mint.claims_with(&json!({ "pad": "x".repeat(30_000) })),
        ),
        ("60,000 letters", "a".repeat(60_000)),
        ("30,000 dots", ".".repeat(30_000)),
    ]
}

pub(super) fn signatures(mint: &Mint) -> Vec<Forgery> {
    let good = mint.claims_with(&json!({}));
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let other = mint.claims_with(&json!({ "scope": "getchats" }));
    let with = |signature: &str| format!("{signed}.{signature}");
    let flipped = if signature.starts_with('A') { "B" } else { "A" };
    let cases = vec![
        (
            "a bit turned",
            with(&format!("{flipped}{}", &signature[1..])),
        ),
        ("cut by a byte", with(&b64([1; 63]))),
        ("cut by a letter", with(&signature[1..])),
        ("zeros", with(&b64([0; 64]))),
        ("ones", with(&b64([0xff; 64]))),
        ("longer", with(&format!("{signature}AAAA"))),
        // The last letter holds two bits of the signature and four unused bits.
        (
            "bits that mean nothing",
            with(&format!(
                "{}{}",
                &signature[..85],
                if signature.ends_with('A') { "B" } else { "_" }
            )),
        ),
        ("of another token", with(other.rsplit_once('.').unwrap().1)),
        ("twice", with(&format!("{signature}{signature}"))),
        ("of a stranger", mint.sign_encoded(By::Stranger, signed)),
        ("of the other key", mint.sign_encoded(By::Rsa, signed)),
        // RFC 8032: with a key of small order, the neutral element as R and zero as S pass a broken check.
        (
            "of small order",
            with(&b64([[1_u8; 1].as_slice(), &[0; 63]].concat())),
        ),
    ];
    cases
        .into_iter()
        .map(|(what, token)| (format!("signature {what}"), token))
        .collect()
}

/// Returns tokens of the gateway itself that were changed, and tokens that claim to be the gateway's.
pub(super) fn own_ones(mint: &Mint, own: &str) -> Vec<Forgery> {
    let [header, claims, signature] = [0, 1, 2].map(|n| own.split('.').nth(n).unwrap());
    let read = |part: &str| {
        use base64::Engine;
        let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD
            .decode(part)
            .unwrap();
        serde_json::from_slice::<Value>(&bytes).unwrap()
    };
    let (own_header, own_claims) = (read(header), read(claims));
    let more = b64(changed(
        own_claims.clone(),
        &json!({ "exp": mint.now + 100_000 }),
    ));
    let none = b64(json!({ "alg": "none", "typ": "at+jwt" }).to_string());
    let cases = vec![
        ("with a longer life", format!("{header}.{more}.{signature}")),
        ("without its signature", format!("{header}.{claims}.")),
        ("with alg none", format!("{none}.{claims}.")),
        (
            "signed by the other issuer",
            mint.sign_encoded(
                By::Ed,
                &format!("{}.{claims}", b64(Mint::header(By::Ed).to_string())),
            ),
        ),
        (
            "signed under its own key id",
            mint.sign_encoded(By::Ed, &format!("{header}.{claims}")),
        ),
        (
            "under an HMAC with its key id",
            macked(
                "HS256",
                own_header["kid"].as_str().unwrap().as_bytes(),
                &own_header,
                &own_claims,
            ),
        ),
        (
            "in the other issuer's name",
            mint.sign(
                By::Stranger,
                own_header.to_string(),
                mint.claims().to_string(),
            ),
        ),
    ];
    cases
        .into_iter()
        .map(|(what, token)| (format!("an own token {what}"), token))
        .collect()
}
