//! The gateways of the matrix, and one call of each kind to them.

use adapter::{OPERATIONS, Operation, Way};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use reqwest::Method;
use serde_json::json;

use crate::harness::{
    Answer, ClosedPort, Gateway, Issuer, Sandbox, UPSTREAM_ENVIRONMENT, client_from, envelope,
    upstream,
};

/// A secret whose check takes microseconds, because hundreds of cells need one.
pub(super) const SECRET: &str = "cgs_matrix-matrix-matrix-matrix-matrix-matrix-m";

/// The accesses of the matrix, each correct except for one property.
const ACCESSES: &str = r#"
[[accesses]]
name = "right"
user = "right"
password = "env:SECRET"
allow = ["127.0.0.0/8"]
[[accesses]]
name = "elsewhere"
user = "elsewhere"
password = "env:SECRET"
allow = ["192.0.2.0/24"]
[[accesses]]
name = "suspended"
user = "suspended"
password = "env:SECRET"
active = false
allow = ["127.0.0.0/8"]
[[accesses]]
name = "idle"
user = "idle"
password = "env:SECRET"
allow = ["127.0.0.0/8"]
methods = []
[[accesses]]
name = "wayless"
user = "wayless"
password = "env:SECRET"
allow = ["127.0.0.0/8"]
ways = []
[[accesses]]
name = "slow"
user = "slow"
password = "env:SECRET"
allow = ["127.0.0.0/8"]
per_day = 1
"#;

const LIMITS: &str = r#"
[server]
deny = ["127.0.0.66"]
[limits]
per_address_per_minute = 1000000
guesses_per_name = 1000000
guesses_per_address = 1000000
body_bytes = "8KiB"
soap_bytes = "8KiB"
[cache]
getchatchannels = 0
getchats = 0
"#;

/// The faults of one cell's call; by default there are none.
#[derive(Clone, Default)]
pub(super) struct Cell {
    pub(super) access: Option<&'static str>,
    pub(super) secret: Option<&'static str>,
    pub(super) token_life_s: Option<i64>,
    pub(super) bearer: Option<&'static str>,
    pub(super) without: Vec<&'static str>,
    pub(super) with: Vec<(&'static str, &'static str)>,
    pub(super) method: Option<Method>,
    pub(super) content_type: Option<&'static str>,
    pub(super) body: Option<String>,
    pub(super) from: Option<[u8; 4]>,
    pub(super) fault: Option<serde_json::Value>,
    pub(super) dead_upstream: bool,
    pub(super) after_a_guess: bool,
}

pub(super) struct Stage {
    gateway: Gateway,
    orphan: Gateway,
    _closed: ClosedPort,
    /// A gateway that checks one wrong secret per address, after one has been presented.
    guarded: Gateway,
    sandbox: Sandbox,
    issuer: Issuer,
}

impl Stage {
    pub(super) fn set() -> Stage {
        let (sandbox, issuer) = (Sandbox::start(), Issuer::new());
        let environment = [UPSTREAM_ENVIRONMENT, ("SECRET", SECRET)];
        let rest = format!(
            "timeout = \"1s\"\nattempts = 1\n{LIMITS}{}{ACCESSES}",
            issuer.as_configuration()
        );
        let closed = ClosedPort::new();
        Stage {
            gateway: Gateway::configured(&format!("{}{rest}", sandbox.as_upstream()), &environment),
            orphan: Gateway::configured(
                &format!("{}{rest}", upstream(closed.address)),
                &environment,
            ),
            _closed: closed,
            guarded: Gateway::configured("[limits]\nguesses_per_address = 1\n", &[]),
            sandbox,
            issuer,
        }
    }

    pub(super) async fn play(&self, way: Way, operation: &Operation, cell: &Cell) -> Answer {
        if let Some(fault) = &cell.fault {
            self.sandbox.faults(json!([fault])).await;
        }
        let gateway = match cell {
            cell if cell.dead_upstream => &self.orphan,
            cell if cell.after_a_guess => &self.guarded,
            _ => &self.gateway,
        };
        let answer = Answer::of(self.request(gateway, way, operation, cell)).await;
        if cell.fault.is_some() {
            self.sandbox.faults(json!([])).await;
            // No breaker may open, because each cell tests the failure of one call.
            for _ in 0..2 {
                let well = self.request(gateway, Way::Http, &OPERATIONS[0], &Cell::default());
                assert_eq!(Answer::of(well).await.status, 200);
            }
        }
        answer
    }

    fn request(
        &self,
        gateway: &Gateway,
        way: Way,
        operation: &Operation,
        cell: &Cell,
    ) -> reqwest::RequestBuilder {
        let address = cell.from.unwrap_or([127, 0, 0, 1]).into();
        let method = cell.method.clone().unwrap_or(Method::POST);
        let request = client_from(address)
            .request(method, gateway.url(way.path()))
            .header("X-Request-ID", "r1");
        let mut pairs = pairs(operation, cell);
        let (user, secret) = (
            cell.access.unwrap_or("right"),
            cell.secret.unwrap_or(SECRET),
        );
        let given = |name, value: &str| {
            if cell.without.contains(&name) {
                String::new()
            } else {
                value.to_owned()
            }
        };
        let (user, secret) = (given("user", user), given("password", secret));
        let basic = format!(
            "Basic {}",
            BASE64_STANDARD.encode(format!("{user}:{secret}"))
        );
        let request = match way {
            Way::Basic => request.header("Authorization", basic),
            // Without a call element, the body has no place for credentials.
            Way::Soap if cell.without.contains(&"method") => request.header("Authorization", basic),
            Way::Http | Way::Soap => {
                pairs.extend([("user", user), ("password", secret)]);
                request
            }
            Way::Jwt if cell.without.contains(&"token") => request,
            Way::Jwt => {
                let name = cell.access.unwrap_or("right");
                let token = self.issuer.token(name, cell.token_life_s.unwrap_or(300));
                request.header(
                    "Authorization",
                    format!("Bearer {}", cell.bearer.unwrap_or(&token)),
                )
            }
        };
        let (content_type, body) = match way {
            Way::Soap => ("text/xml; charset=utf-8", soap(cell, &pairs)),
            Way::Http | Way::Basic | Way::Jwt => {
                let form = url::form_urlencoded::Serializer::new(String::new())
                    .extend_pairs(&pairs)
                    .finish();
                ("application/x-www-form-urlencoded", form)
            }
        };
        request
            .header("Content-Type", cell.content_type.unwrap_or(content_type))
            .body(cell.body.clone().unwrap_or(body))
    }
}

fn pairs(operation: &Operation, cell: &Cell) -> Vec<(&'static str, String)> {
    let mut pairs = vec![("class", "chat"), ("method", "")];
    pairs.extend(operation.parameters.iter().map(|parameter| {
        let value = match parameter.name {
            "platform" => "telegram",
            "platformid" => "200",
            "destination" => "700100",
            "type" => "image",
            "fileurl" => "https://files.example.com/a.png",
            "thumburl" => "https://files.example.com/t.png",
            "cursor" => "now",
            "wait" => "0",
            "limit" => "5",
            "types" => "message.received",
            _ => "Hello",
        };
        (parameter.name, value)
    }));
    let changed = |(name, value): (&'static str, &str)| {
        let value = if name == "method" {
            operation.method
        } else {
            value
        };
        let instead = cell
            .with
            .iter()
            .find(|(n, _)| *n == name)
            .map(|(_, value)| *value);
        (name, instead.unwrap_or(value).to_owned())
    };
    let extra = cell
        .with
        .iter()
        .filter(|(name, _)| !pairs.iter().any(|(n, _)| n == name))
        .copied()
        .collect::<Vec<_>>();
    pairs
        .into_iter()
        .filter(|(name, _)| !cell.without.contains(name))
        .chain(extra)
        .map(changed)
        .collect()
}

fn soap(cell: &Cell, pairs: &[(&str, String)]) -> String {
    let method = pairs
        .iter()
        .find(|(name, _)| *name == "method")
        .map(|(_, value)| value.as_str());
    let is_child = |name: &str| !["class", "method"].contains(&name);
    let children: Vec<_> = pairs
        .iter()
        .filter(|(name, _)| is_child(name))
        .map(|(n, v)| (*n, v.as_str()))
        .collect();
    match method {
        Some(method) if cell.with.iter().any(|(name, _)| *name == "class") => {
            envelope(method, &children).replace("urn:chatgate:chat:v1", "urn:another")
        }
        Some(method) => envelope(method, &children),
        None => "<s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\"><s:Body/></s:Envelope>".to_owned(),
    }
}
