//! Tokens that must be refused, each with its one fault. Everything else about them is right; most are signed by a key that counts.

use serde_json::{Value, json};

use super::forge::{AUDIENCE, By, GONE, ISSUER, Mint, b64, changed, macked};
use super::mangled;

/// The fault and the token.
pub(super) type Forgery = (String, String);

/// Returns every forgery. `bait` is an address to which nothing must ever connect; `own` is a good token of the gateway itself.
pub(super) fn all(mint: &Mint, bait: &str, own: &str) -> Vec<Forgery> {
    let mut all = Vec::new();
    all.extend(algorithms(mint));
    all.extend(macs(mint));
    all.extend(keys(mint, bait));
    all.extend(headers(mint));
    all.extend(claims(mint));
    all.extend(mangled::structures(mint));
    all.extend(mangled::signatures(mint));
    all.extend(mangled::own_ones(mint, own));
    all
}

/// Returns tokens that have expired and have another fault as well. No answer may reveal that one of them was once good.
pub(super) fn expired_and_wrong(mint: &Mint) -> Vec<Forgery> {
    let over = json!({ "exp": mint.now - 3600 });
    let claims = changed(mint.claims(), &over);
    let header =
        |changes: &Value| mint.sign(By::Ed, changed(Mint::header(By::Ed), changes), &claims);
    let with = |name: &str, value: Value| {
        mint.claims_with(&json!({ "exp": mint.now - 3600, name: value }))
    };
    let tokens = vec![
        (
            "signed by a stranger",
            mint.sign(By::Stranger, Mint::header(By::Ed).to_string(), &claims),
        ),
        ("of another algorithm", header(&json!({ "alg": "RS256" }))),
        ("of an unknown key", header(&json!({ "kid": "x" }))),
        ("critical", header(&json!({ "crit": ["exp"] }))),
        ("of another type", header(&json!({ "typ": "JWE" }))),
        ("for somebody else", with("aud", json!("x"))),
        ("not yet begun", with("nbf", json!(mint.now + 3600))),
        ("without a subject", with("sub", json!(GONE))),
        (
            "from an unknown issuer",
            with("iss", json!("https://x.example")),
        ),
    ];
    tokens
        .into_iter()
        .map(|(what, token)| (format!("over, and {what}"), token))
        .collect()
}

fn algorithms(mint: &Mint) -> Vec<Forgery> {
    let mut all = Vec::new();
    for alg in [
        "none",
        "None",
        "NONE",
        "nOnE",
        "",
        " none",
        "none ",
        "none\u{0}",
        "null",
    ] {
        let header = changed(Mint::header(By::Ed), &json!({ "alg": alg }));
        let bare = format!("{}.{}", b64(&header), b64(mint.claims().to_string()));
        all.push((format!("alg {alg:?} and no signature"), format!("{bare}.")));
        all.push((
            format!("alg {alg:?} and a signature"),
            mint.sign_encoded(By::Ed, &bare),
        ));
        all.push((format!("alg {alg:?} in two parts"), bare));
    }
    let others = [
        json!(GONE),
        json!(null),
        json!(0),
        json!(["EdDSA"]),
        json!({ "a": "EdDSA" }),
        json!("eddsa"),
        json!("EdDSA "),
        json!("Ed448"),
        json!("RS256"),
        json!("RS512"),
        json!("PS256"),
        json!("ES256"),
        json!("ES256K"),
        json!("dir"),
    ];
    for alg in others {
        all.push((
            format!("alg {alg} over Ed25519"),
            mint.header_with(By::Ed, &json!({ "alg": alg })),
        ));
    }
    for alg in [
        "EdDSA", "RS384", "RS512", "PS256", "PS512", "ES256", "RSA1_5", "rs256",
    ] {
        all.push((
            format!("alg {alg} over RSA"),
            mint.header_with(By::Rsa, &json!({ "alg": alg })),
        ));
    }
    all
}

fn macs(mint: &Mint) -> Vec<Forgery> {
    let mut all = Vec::new();
    for (form, secret) in mint.public_forms().iter().enumerate() {
        for alg in ["HS256", "HS384", "HS512"] {
            for by in [By::Rsa, By::Ed] {
                let token = macked(alg, secret, &Mint::header(by), &mint.claims());
                all.push((format!("{alg} under the public key in form {form}"), token));
            }
        }
    }
    all
}

fn keys(mint: &Mint, bait: &str) -> Vec<Forgery> {
    let mut all = Vec::new();
    let file = mint.jwks.display().to_string();
    let kids = [
        json!("../../dev/null"),
        json!("/dev/null"),
        json!(file),
        json!(format!("file://{file}")),
        json!("' OR '1'='1"),
        json!("ed' UNION SELECT 'x"),
        json!(format!("{bait}/kid")),
        json!(""),
        json!("ED"),
        json!("ed "),
        json!("ed\u{0}"),
        json!("rsa"),
        json!("$(id)"),
        json!(1),
        json!(["ed"]),
        json!({ "ed": 1 }),
        json!(true),
        json!(null),
    ];
    for kid in kids {
        all.push((
            format!("kid {kid}"),
            mint.header_with(By::Ed, &json!({ "kid": kid })),
        ));
    }
    let stranger = mint.stranger_jwk();
    let carried = [
        ("jku", json!(format!("{bait}/jwks.json"))),
        ("x5u", json!(format!("{bait}/cert.pem"))),
        ("jwk", stranger.clone()),
        ("x5c", json!(["AAAA"])),
        ("x5t", json!("AAAA")),
        ("iss", json!(bait)),
    ];
    for (name, value) in &carried {
        for kid in [json!("ed"), json!(GONE), json!("stranger")] {
            let header = changed(Mint::header(By::Ed), &json!({ *name: value, "kid": kid }));
            let token = mint.sign(By::Stranger, header, mint.claims().to_string());
            all.push((format!("{name} of a stranger, kid {kid}"), token));
        }
    }
    let every: Value = carried
        .iter()
        .map(|(name, value)| ((*name).to_owned(), value.clone()))
        .collect();
    let header = changed(Mint::header(By::Ed), &every);
    all.push((
        "every key of a stranger".to_owned(),
        mint.sign(By::Stranger, header, mint.claims().to_string()),
    ));
    all
}

fn headers(mint: &Mint) -> Vec<Forgery> {
    let changes = [
        json!({ "crit": ["exp"], "exp": 1 }),
        json!({ "crit": [] }),
        json!({ "crit": "exp" }),
        json!({ "crit": ["b64"], "b64": false }),
        json!({ "crit": null }),
        json!({ "b64": false }),
        json!({ "b64": true }),
        json!({ "zip": "DEF" }),
        json!({ "enc": "A128GCM" }),
        json!({ "typ": "at+jws" }),
        json!({ "typ": "logout+jwt" }),
        json!({ "typ": "JWE" }),
        json!({ "typ": "dpop+jwt" }),
        json!({ "typ": "" }),
        json!({ "typ": 1 }),
        json!({ "typ": ["JWT"] }),
        json!({ "typ": null }),
        json!({ "typ": "at+jwt " }),
        json!({ "cty": "JWT" }),
        json!({ "cty": "jwt" }),
        json!({ "cty": "application/jwt" }),
        json!({ "cty": 1 }),
    ];
    let changed = changes.iter().map(|changes| {
        (
            format!("header {changes}"),
            mint.header_with(By::Ed, changes),
        )
    });
    changed.collect()
}

fn claims(mint: &Mint) -> Vec<Forgery> {
    let all = times(mint).into_iter().chain(names());
    all.map(|changes| (format!("claims {changes}"), mint.claims_with(&changes)))
        .collect()
}

/// Returns faulty claims about the token's lifetime.
fn times(mint: &Mint) -> Vec<Value> {
    let soon = mint.now + 3600;
    let mut all: Vec<Value> = Vec::new();
    for value in [
        json!(GONE),
        json!(null),
        json!(soon.to_string()),
        json!(format!("{soon}.0")),
        json!("never"),
        json!(""),
        json!(true),
        json!([soon]),
        json!({ "exp": soon }),
        json!(-1),
        json!(-1e300),
    ] {
        all.push(json!({ "exp": value }));
    }
    for name in ["nbf", "iat"] {
        for value in [
            json!(soon),
            json!(mint.now + 120),
            json!(1e300),
            json!(mint.now.to_string()),
            json!(""),
            json!(null),
            json!([0]),
            json!(false),
            json!(-5),
        ] {
            all.push(json!({ name: value }));
        }
    }
    all
}

/// Returns faulty claims about subject, audience and scope.
fn names() -> Vec<Value> {
    let mut all: Vec<Value> = Vec::new();
    for value in [
        json!(GONE),
        json!(null),
        json!("x"),
        json!(""),
        json!([]),
        json!(["x"]),
        json!([AUDIENCE, 5]),
        json!([[AUDIENCE]]),
        json!(7),
        json!({ AUDIENCE: 1 }),
        json!(AUDIENCE.to_uppercase()),
        json!(format!("{AUDIENCE}/")),
        json!(format!("{AUDIENCE},x")),
        json!(format!("{AUDIENCE} x")),
    ] {
        all.push(json!({ "aud": value }));
    }
    for value in [
        json!(GONE),
        json!(null),
        json!(""),
        json!("https://x.example"),
        json!(format!("{ISSUER}/")),
        json!([ISSUER]),
        json!(1),
        json!(ISSUER.to_uppercase()),
        json!(format!("{ISSUER}\u{0}")),
    ] {
        all.push(json!({ "iss": value }));
    }
    for value in [
        json!(GONE),
        json!(null),
        json!(""),
        json!(1),
        json!(["demo"]),
        json!({ "demo": 1 }),
        json!("nobody"),
        json!("DEMO"),
        json!("demo "),
        json!("demo\u{0}"),
        json!("../demo"),
    ] {
        all.push(json!({ "sub": value }));
    }
    for value in [
        json!(1),
        json!(["chat", 1]),
        json!(null),
        json!({ "chat": true }),
    ] {
        all.push(json!({ "scope": value }));
    }
    all
}
