//! `chatgate token`: gets a token from the token endpoint of a running gateway.

use adapter_jwt::TOKEN_PATH;
use client::call::{GatewayCall, call};
use gateway::DemoCredentials;
use url::Url;

use super::admin::{Admin, COMMAND_TIMEOUT, member};
use super::input::read_secret;
use super::output::print;
use crate::args::TokenArgs;

pub(crate) async fn run(args: TokenArgs) -> Result<(), String> {
    let (client_id, client_secret) = match args.client_id {
        Some(id) => (id, read_secret()?),
        None => {
            let demo = DemoCredentials::read(&args.admin.data);
            let demo = demo.map_err(|error| {
                format!("{error}; give the client id of an access with --client-id")
            })?;
            (demo.client_id, demo.client_secret)
        }
    };
    let admin = Admin::new(&args.admin, COMMAND_TIMEOUT)?;
    let status = admin.get("/admin/v1/status").await?;
    let base = member(&status, "public_url")?;
    let scope = if args.methods.is_empty() {
        "chat".to_owned()
    } else {
        args.methods.join(" ")
    };
    let form = [
        ("grant_type", "client_credentials"),
        ("client_id", &client_id),
        ("client_secret", &client_secret),
        ("scope", &scope),
    ];
    let endpoint = format!("{base}{TOKEN_PATH}");
    let request = GatewayCall {
        url: Url::parse(&endpoint).map_err(|error| format!("{endpoint}: {error}"))?,
        form: Some(&form),
        json: None,
        bearer: None,
        if_match: None,
    };
    let answer = call(admin.client(), request).await;
    let answer = answer.map_err(|error| format!("no token from {endpoint}: {error}"))?;
    let answer = serde_json::from_str(&answer.body)
        .map_err(|error| format!("the answer is not JSON: {error}"))?;
    print(format!("{}\n", member(&answer, "access_token")?))
}
