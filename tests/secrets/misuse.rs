//! Calls that present a secret in the wrong place, in an unreadable form, or with a method that does not exist; and some correct
//! ones.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use reqwest::{Method, RequestBuilder};

use super::percent;
use crate::harness::{Gateway, client, envelope, escaped};

/// Returns requests that present this secret of this user in every way at the callers' side.
pub(super) fn requests(gateway: &Gateway, (user, secret): (&str, &str)) -> Vec<RequestBuilder> {
    let url = |path: &str| gateway.url(path);
    [
        places(&url, (user, secret)),
        headers(&url, (user, secret)),
        bodies(&url, (user, secret)),
        envelopes(&url, (user, secret)),
        tokens(&url, (user, secret)),
    ]
    .into_iter()
    .flatten()
    .collect()
}

type Url<'a> = &'a dyn Fn(&str) -> String;

const CALL: &str = "class=chat&method=getchatchannels";

/// Returns requests with the secret in the path, the query and the form.
fn places(url: Url<'_>, (user, secret): (&str, &str)) -> Vec<RequestBuilder> {
    let coded = percent(secret);
    let credentials = format!("user={user}&password={coded}");
    let query = |path: &str, query: &str| url(&format!("{path}?{query}"));
    let mut all = vec![
        client().get(url(&format!("/api/http/{coded}"))),
        client().get(url(&format!("/{coded}?{credentials}"))),
        client().get(query("/api/basic/", &format!("{CALL}&{credentials}"))),
        client().get(query("/api/jwt/", &format!("{CALL}&access_token={coded}"))),
        client().get(query("/api/soap/", &format!("wsdl&{credentials}"))),
        client().get(query("/oauth/token", &format!("client_secret={coded}"))),
        // Swapped, doubled, next to each other, as a name, and with a forbidden character.
        client().get(query(
            "/api/http/",
            &format!("{CALL}&user={coded}&password={user}"),
        )),
        client().get(query(
            "/api/http/",
            &format!("{CALL}&{credentials}&{credentials}"),
        )),
        client().get(query(
            "/api/http/",
            &format!("{CALL}&{credentials}&{coded}=1"),
        )),
        client().get(query("/api/http/", &format!("{CALL}&{credentials}%01"))),
        client().get(query(
            "/api/http/",
            &format!("{credentials}&class={coded}&method=x"),
        )),
        client().get(query(
            "/api/http/",
            &format!("{credentials}&class=chat&method={coded}"),
        )),
        client().get(query(
            "/api/http/",
            &format!("{credentials}&class=chat&method=sendmessage&platform={coded}"),
        )),
        client()
            .post(query("/api/http/", &credentials))
            .body(format!("{CALL}&{credentials}")),
        client()
            .post(url("/api/soap/"))
            .body(format!("{CALL}&{credentials}")),
    ];
    let methods = [Method::PUT, Method::DELETE, Method::HEAD, Method::OPTIONS];
    all.extend(methods.into_iter().flat_map(|method| {
        let whole = format!("{CALL}&{credentials}");
        [
            "/api/http/",
            "/api/basic/",
            "/api/jwt/",
            "/api/soap/",
            "/oauth/token",
        ]
        .map(|path| {
            let request = client().request(method.clone(), query(path, &whole));
            request.body(whole.clone())
        })
    }));
    all
}

/// Returns requests with the secret in headers, with the right scheme and with others.
fn headers(url: Url<'_>, (user, secret): (&str, &str)) -> Vec<RequestBuilder> {
    let pair = BASE64_STANDARD.encode(format!("{user}:{secret}"));
    let swapped = BASE64_STANDARD.encode(format!("{secret}:{user}"));
    let alone = BASE64_STANDARD.encode(secret);
    let values = [
        format!("Basic {pair}"),
        format!("Basic {swapped}"),
        format!("Basic {alone}"),
        format!("Basic {pair}!"),
        format!("Basic {secret}"),
        format!("Bearer {secret}"),
        format!("Bearer {pair}"),
        format!("Digest username=\"{user}\", response=\"{secret}\""),
        secret.to_owned(),
    ];
    let paths = [
        "/api/http/",
        "/api/basic/",
        "/api/jwt/",
        "/api/soap/",
        "/oauth/token",
    ];
    let mut all = Vec::new();
    for path in paths {
        for value in &values {
            let request = client().post(url(path)).body(CALL);
            all.push(request.header("Authorization", value));
        }
        for name in [
            "Cookie",
            "Proxy-Authorization",
            "X-Api-Key",
            "X-Forwarded-For",
            "Forwarded",
        ] {
            all.push(client().post(url(path)).body(CALL).header(name, secret));
        }
        let twice = client().post(url(path)).body(CALL);
        all.push(twice.basic_auth(user, Some(secret)).bearer_auth(secret));
    }
    all
}

/// Returns requests with bodies of every type: correct, broken, and too large.
fn bodies(url: Url<'_>, (user, secret): (&str, &str)) -> Vec<RequestBuilder> {
    let json = serde_json::json!({"class": "chat", "method": "getchatchannels", "user": user, "password": secret});
    let json = json.to_string();
    let form = format!("{CALL}&user={user}&password={}", percent(secret));
    let part = |name: &str, value: &str| {
        format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    };
    let parts = [
        ("class", "chat"),
        ("method", "getchatchannels"),
        ("user", user),
        ("password", secret),
    ];
    let parts: String = parts
        .into_iter()
        .map(|(name, value)| part(name, value))
        .collect();
    let bodies = [
        ("application/json", json.clone()),
        ("application/json", json[..json.len() - 1].to_owned()),
        (
            "application/json",
            json.replacen('{', &format!("{{\"password\":\"{secret}\","), 1),
        ),
        (
            "application/json",
            format!("{{\"password\":[\"{secret}\"]}}"),
        ),
        ("application/json", format!("\"{secret}\"")),
        ("application/x-www-form-urlencoded", form.clone()),
        ("application/x-www-form-urlencoded", format!("{form}%zz")),
        (
            "multipart/form-data; boundary=b",
            format!("{parts}--b--\r\n"),
        ),
        ("multipart/form-data; boundary=b", parts.clone()),
        ("multipart/form-data", parts),
        ("text/csv", form.clone()),
        (
            "application/x-www-form-urlencoded",
            format!("{form}&{}", "x".repeat(2 * 1024 * 1024)),
        ),
    ];
    let paths = ["/api/http/", "/api/basic/", "/api/jwt/", "/oauth/token"];
    let all = paths.iter().flat_map(|path| {
        bodies.iter().map(|(kind, body)| {
            let request = client().post(url(path)).header("Content-Type", *kind);
            request.body(body.clone())
        })
    });
    all.collect()
}

/// Returns requests with envelopes: the secret in elements, in a UsernameToken, twice, and in a broken envelope.
fn envelopes(url: Url<'_>, (user, secret): (&str, &str)) -> Vec<RequestBuilder> {
    let wsse = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd";
    let kinds =
        "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-username-token-profile-1.0";
    let elements = [("user", user), ("password", secret)];
    let whole = envelope("getchatchannels", &elements);
    let bare = envelope("getchatchannels", &[]);
    let secured = |kind: &str, xml: &str| {
        let token = format!(
            "<w:UsernameToken><w:Username>{user}</w:Username><w:Password Type='{kinds}#{kind}'>{}</w:Password></w:UsernameToken>",
            escaped(secret)
        );
        let block = format!(
            "<s:Header><w:Security xmlns:w='{wsse}'>{token}</w:Security></s:Header><s:Body>"
        );
        xml.replacen("<s:Body>", &block, 1)
    };
    let text = escaped(secret);
    let all = [
        whole.clone(),
        secured("PasswordText", &bare),
        secured("PasswordDigest", &bare),
        secured("PasswordText", &whole),
        whole.replace("</s:Envelope>", ""),
        whole.replace("</password>", "</password><password>x</password>"),
        whole.replace("<password>", &format!("<password a='{text}'>")),
        format!("<!DOCTYPE x [<!ENTITY e '{text}'>]>{whole}"),
        format!("<?canary {text}?>{whole}"),
        whole.replace("getchatchannels", "nosuchmethod"),
        whole.replace(
            "http://schemas.xmlsoap.org/soap/envelope/",
            &format!("urn:{}", percent(secret)),
        ),
        text.clone(),
        format!("<{}/>", percent(secret).replace('%', "-")),
    ];
    let mut requests: Vec<_> = all
        .into_iter()
        .map(|xml| {
            client()
                .post(url("/api/soap/"))
                .header("Content-Type", "text/xml")
                .body(xml)
        })
        .collect();
    let beside = client()
        .post(url("/api/soap/"))
        .header("Content-Type", "text/xml");
    requests.push(beside.basic_auth(user, Some(secret)).body(whole));
    requests
}

/// Returns token requests with right and wrong client credentials.
fn tokens(url: Url<'_>, (user, secret): (&str, &str)) -> Vec<RequestBuilder> {
    let coded = percent(secret);
    let ask = |form: String| {
        let kind = "application/x-www-form-urlencoded";
        client()
            .post(url("/oauth/token"))
            .header("Content-Type", kind)
            .body(form)
    };
    let credentials = format!("client_id={user}&client_secret={coded}");
    vec![
        ask(format!(
            "grant_type=password&username={user}&password={coded}"
        )),
        ask(format!("grant_type=client_credentials&{credentials}")),
        ask(format!(
            "grant_type=client_credentials&{credentials}&{credentials}"
        )),
        ask(format!("grant_type={coded}&{credentials}")),
        ask(format!(
            "grant_type=client_credentials&{credentials}&scope={coded}"
        )),
        ask("grant_type=client_credentials".to_owned()).basic_auth(user, Some(secret)),
        ask(format!("grant_type=client_credentials&{credentials}")).basic_auth(user, Some(secret)),
        ask(format!(
            "grant_type=client_credentials&client_assertion={coded}"
        )),
    ]
}
