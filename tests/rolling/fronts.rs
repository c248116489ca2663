//! Load balancers with the actual files of `deploy/replicas`.

use std::process::Command;

use tempfile::TempDir;
use tokio::net::TcpStream;

use super::site::Site;
use crate::harness::{Process, repository, until};

/// A load balancer and its files.
pub(super) struct Front {
    _process: Process,
    folder: TempDir,
}

impl Front {
    /// Returns the log of calls and the log of failures.
    pub(super) fn logs(&self) -> [String; 2] {
        let read = |name: &str| std::fs::read_to_string(self.folder.path().join(name)).unwrap();
        ["access.log", "error.log"].map(read)
    }
}

/// Returns the variables in the files, with values as `deploy/replicas/run` sets them.
fn variables(site: &Site) -> Vec<(String, String)> {
    let mut variables = vec![
        ("LISTEN".to_owned(), site.front.ip().to_string()),
        ("PORT".to_owned(), site.front.port().to_string()),
        (
            "OPERATORS_PORT".to_owned(),
            (site.front.port() + 1).to_string(),
        ),
    ];
    for (name, gateway) in ["A", "B", "C"].iter().zip(&site.gateways) {
        for (what, value) in [
            ("HOST", gateway.public.ip().to_string()),
            ("PORT", gateway.public.port().to_string()),
            ("ADMIN_PORT", gateway.admin.port().to_string()),
        ] {
            variables.push((format!("{name}_{what}"), value));
        }
    }
    variables
}

async fn started(site: &Site, command: Command, folder: TempDir) -> Front {
    let variables = variables(site);
    let variables: Vec<_> = variables
        .iter()
        .map(|(name, value)| (&**name, &**value))
        .collect();
    let front = Front {
        _process: Process::of(command, &variables),
        folder,
    };
    until("it listens", async || {
        TcpStream::connect(site.front).await.is_ok()
    })
    .await;
    front
}

pub(super) async fn haproxy(site: &mut Site) -> Front {
    let mut command = Command::new("/usr/sbin/haproxy");
    let file = repository().join("deploy/replicas/haproxy.cfg");
    command.arg("-db").arg("-f").arg(file);
    started(site, command, TempDir::new().unwrap()).await
}

/// Starts nginx with the template's variables replaced, as nginx's image does.
pub(super) async fn nginx(site: &mut Site) -> Front {
    let folder = TempDir::new().unwrap();
    let template = repository().join("deploy/replicas/nginx.conf.template");
    let mut text = std::fs::read_to_string(template).unwrap();
    let log_folder = folder.path().display().to_string();
    let mut variables = variables(site);
    variables.push(("LOG_FOLDER".to_owned(), log_folder));
    for (name, value) in variables {
        text = text.replace(&format!("${{{name}}}"), &value);
    }
    std::fs::write(folder.path().join("replicas.conf"), text).unwrap();
    // Like the configuration of nginx's image, whose log format includes the query.
    let main = "user root;\ndaemon off;\nmaster_process off;\npid nginx.pid;\nerror_log error.log warn;\nevents {}\nhttp {\n    \
        log_format main '\"$request\"';\n    access_log access.log main;\n    include replicas.conf;\n}\n";
    std::fs::write(folder.path().join("nginx.conf"), main).unwrap();
    let mut command = Command::new("/usr/sbin/nginx");
    command
        .arg("-p")
        .arg(folder.path())
        .args(["-c", "nginx.conf", "-e", "stderr"]);
    started(site, command, folder).await
}
