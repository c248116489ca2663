//! Callers: HTTP clients with any source address of the loopback network, their requests and their answers.

use std::fmt::Write as _;
use std::net::IpAddr;

use serde_json::Value;

/// Returns a client without redirects, proxies or other automatic behavior.
pub fn client() -> reqwest::Client {
    client_from(IpAddr::from([127, 0, 0, 1]))
}

/// Returns such a client with this source address.
pub fn client_from(address: IpAddr) -> reqwest::Client {
    reqwest::Client::builder()
        .no_proxy()
        .tls_certs_only([])
        .redirect(reqwest::redirect::Policy::none())
        .local_address(address)
        .build()
        .unwrap()
}

/// An answer as a test compares it.
pub struct Answer {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub body: String,
}

impl Answer {
    pub async fn of(request: reqwest::RequestBuilder) -> Answer {
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Answer {
            status,
            headers,
            body: response.text().await.unwrap(),
        }
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {}", self.body))
    }
}

/// Returns the id under which the caller knows a request, from a row or a log line.
pub fn callers_id(row: &Value) -> Option<&str> {
    let ids = [&row["caller_request_id"], &row["request_id"]];
    ids.into_iter()
        .filter_map(Value::as_str)
        .find(|id| !id.is_empty())
}

/// Returns whether a text, such as the metrics, has this line.
pub fn has_line(text: &str, line: &str) -> bool {
    text.lines().any(|found| found == line)
}

/// Returns a SOAP 1.1 envelope around one call.
pub fn envelope(method: &str, parameters: &[(&str, &str)]) -> String {
    let mut children = String::new();
    for (name, value) in parameters {
        write!(children, "<{name}>{}</{name}>", escaped(value)).unwrap();
    }
    format!(
        "<s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\"><s:Body>\
         <{method} xmlns=\"urn:chatgate:chat:v1\">{children}</{method}></s:Body></s:Envelope>"
    )
}

/// Escapes text for XML. CR becomes a reference, because a parser turns a bare CR into LF.
pub fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('\r', "&#13;")
}
