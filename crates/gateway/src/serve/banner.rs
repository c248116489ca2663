//! Prints the start-up banner: the addresses of the gateway, and on the first start one working call for each way in.

use std::fmt::Write as _;
use std::io::IsTerminal;
use std::net::SocketAddr;

use adapter::Way;
use server::tls::{TlsFiles, scheme};
use settings::shell_quoted;

use crate::config::Config;
use crate::serve::bootstrap::DemoCredentials;
use crate::serve::data_folder::DataFolder;

/// The content of the banner.
pub(crate) struct Banner<'a> {
    pub(crate) config: &'a Config,
    /// The public and the admin address.
    pub(crate) addresses: (SocketAddr, SocketAddr),
    pub(crate) sandbox: Option<String>,
    pub(crate) demo: Option<&'a DemoCredentials>,
}

/// Prints the banner on standard output from the log's thread, so that an output that nobody reads does not stop the gateway.
pub(crate) fn print(banner: &Banner<'_>) {
    // A banner that goes to a file or a log contains no secrets.
    let shows_secrets = std::io::stdout().is_terminal();
    telemetry::print(&text(banner, shows_secrets));
}

fn text(banner: &Banner<'_>, shows_secrets: bool) -> String {
    let (public, admin) = banner.addresses;
    let mut text = String::new();
    let mut line = |words: &str| {
        text.push_str(words);
        text.push('\n');
    };
    let (tls, admin_tls) = (&banner.config.tls, &banner.config.admin_tls);
    let (scheme, admin_scheme) = (scheme(tls.as_ref()), scheme(admin_tls.as_ref()));
    line(&format!("Chatgate listens on {scheme}://{public}"));
    line(&format!("Operators' side     {admin_scheme}://{admin}"));
    match &banner.sandbox {
        Some(url) => {
            line(&format!("Upstream            {url} (the embedded sandbox)"));
            line(&format!(
                "Web chat            {url}/chat/, operators at {url}/operator/"
            ));
        }
        None => line("Upstream            as configured"),
    }
    if banner.config.docs {
        line(&format!(
            "Documentation       {scheme}://{}{}",
            reachable(public),
            crate::paths::DOCS.path
        ));
    }
    if let Some(demo) = banner.demo {
        text.push_str(&first_calls(banner, demo, shows_secrets));
    }
    text
}

/// Returns one call for each way in, and a call that reads the messages back.
fn first_calls(banner: &Banner<'_>, demo: &DemoCredentials, shows_secrets: bool) -> String {
    let (public, admin) = banner.addresses;
    let file = demo_file(banner.config);
    let (secrets, password) = if shows_secrets {
        let secrets = "its secrets are shown only this time and stored in demo.json";
        (secrets.to_owned(), demo.password.clone())
    } else {
        let secrets = format!("these commands read its secrets from {file}");
        let password = format!("\"$(sed -n '{PASSWORD_MEMBER}' {file})\"");
        (secrets, password)
    };
    let mut lines = vec![
        format!("\nThe demo access works only from this machine; {secrets}."),
        "These commands send a message by each way in, and the last one reads them back:"
            .to_owned(),
    ];
    let tls = banner.config.tls.as_ref();
    let (scheme, trusted) = (scheme(tls), trusting(banner.config.tls.as_slice()));
    let curl = format!("curl -sS{trusted} {scheme}://{}", reachable(public));
    let token = token_command(banner, admin);
    let enabled = banner.config.ways.enabled;
    for way in Way::ALL.into_iter().filter(|way| enabled[*way as usize]) {
        let call = example(way, &curl, (&demo.user, &password), &token);
        lines.push(format!("\n{call}"));
    }
    if enabled[Way::Http as usize] {
        let call = "-d class=chat -d method=getmessages -d platform=whatsapp -d platformid=100 -d destination=34600000000";
        let credentials = format!("-d user={} -d password={password}", demo.user);
        lines.push(format!("\n{curl}/api/http/ {credentials} {call}"));
    }
    lines.push(String::new());
    lines.join("\n") + "\n"
}

/// The `sed` script that prints only the password from the file of the demo access.
const PASSWORD_MEMBER: &str = r#"s/.*"password": "\([^"]*\)".*/\1/p"#;

/// Returns the absolute path of the demo access's file, quoted for a shell.
fn demo_file(config: &Config) -> String {
    let file = DataFolder::new(&config.data).demo();
    shell_quoted(&std::path::absolute(&file).unwrap_or(file))
}

/// Returns one call for one way in. `curl` is the command up to the path, and the password is quoted for a shell.
fn example(way: Way, curl: &str, (user, password): (&str, &str), token: &str) -> String {
    let path = way.path();
    let call = format!(
        "-d class=chat -d method=sendmessage -d platform=whatsapp -d platformid=100 -d destination=34600000000 \
         --data-urlencode 'message=Hello by {}'",
        way.name()
    );
    match way {
        Way::Http => format!("{curl}{path} -d user={user} -d password={password} {call}"),
        Way::Basic => format!("{curl}{path} -u {user}:{password} {call}"),
        Way::Jwt => format!("{curl}{path} -H \"Authorization: Bearer $({token})\" {call}"),
        Way::Soap => {
            // The password ends the quoted text and starts it again, so that the shell still runs a command in it.
            let password = format!("'{password}'");
            let mut envelope = String::from(
                "<s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\"><s:Body>\
                 <sendmessage xmlns=\"urn:chatgate:chat:v1\">",
            );
            let children = [
                ("user", user),
                ("password", &password),
                ("platform", "whatsapp"),
                ("platformid", "100"),
                ("destination", "34600000000"),
                ("message", "Hello by soap"),
            ];
            for (name, value) in children {
                let _ = write!(envelope, "<{name}>{value}</{name}>");
            }
            envelope.push_str("</sendmessage></s:Body></s:Envelope>");
            format!("{curl}{path} -H 'Content-Type: text/xml; charset=utf-8' -d '{envelope}'")
        }
    }
}

/// Returns the command with which this binary prints a token of this gateway. The command works in any folder.
fn token_command(banner: &Banner<'_>, admin: SocketAddr) -> String {
    let binary = std::env::current_exe().unwrap_or_else(|_| "chatgate".into());
    let data =
        std::path::absolute(&banner.config.data).unwrap_or_else(|_| banner.config.data.clone());
    let (tls, admin_tls) = (&banner.config.tls, &banner.config.admin_tls);
    let mut files: Vec<_> = tls.iter().chain(admin_tls).cloned().collect();
    files.dedup_by(|one, other| one.cert == other.cert);
    let admin = match admin_tls {
        None => reachable(admin).to_string(),
        Some(_) => format!("https://{}", reachable(admin)),
    };
    // The gateway does not know the certificate of the client.
    let shown = match admin_tls.as_ref().and_then(|tls| tls.client_ca.as_ref()) {
        None => "",
        Some(_) => " --cert client.pem",
    };
    format!(
        "{} token --data {} --admin {admin}{}{shown}",
        shell_quoted(&binary),
        shell_quoted(&data),
        trusting(&files),
    )
}

/// Returns the options that make a client trust these certificates, which may be self-signed.
fn trusting(files: &[TlsFiles]) -> String {
    let option = |files: &TlsFiles| {
        let path = std::path::absolute(&files.cert).unwrap_or_else(|_| files.cert.clone());
        format!(" --cacert {}", shell_quoted(&path))
    };
    files.iter().map(option).collect()
}

/// Returns an address that a client on this machine can connect to.
pub(crate) fn reachable(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => {
            SocketAddr::from(([127, 0, 0, 1], v4.port()))
        }
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => {
            SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, v6.port()))
        }
        address => address,
    }
}
