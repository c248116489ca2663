//! Gateways over PostgreSQL. With `CHATGATE_STORE=postgres` each gateway of the tests has its own database, and gets the upstream
//! and the demo access that a gateway over a file creates for itself.

use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::json;
use tempfile::TempDir;

use super::command::run_on;
use super::gateway::{DEMO, Gateway, Sandbox, UPSTREAM_PASSWORD, UPSTREAM_USER};
use super::postgres::SERVER;

/// The key of the first operator.
pub(crate) const ADMIN_KEY: &str = "cgk_the-first-operator-of-all-replicas-of-a-test";

/// 32 bytes in base64.
pub(crate) const SEAL: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

/// Configuration for a new database, which a gateway over a file would create by itself.
const DEMO_ACCESS: &str = "\n[[accesses]]\nname = \"demo\"\nuser = \"demo\"\npassword = \"env:TEST_DEMO\"\nallow = [\"127.0.0.0/8\", \"::1/128\"]\n";
const DEMO_PASSWORD: &str = "cgs_the-demo-access-of-a-gateway-over-postgresql";

/// Number of gateways with their own addresses in one part of the loopback network.
const GATEWAYS_OF_A_PART: u32 = 250;

/// The setting of the kind of store.
const KIND: &str = "CHATGATE__STORE__KIND";

/// Returns whether gateways use PostgreSQL unless a test says otherwise.
pub fn is_postgres() -> bool {
    std::env::var_os("CHATGATE_STORE").is_some_and(|store| store == "postgres")
}

/// Returns whether a test needs a store in a file while the run uses PostgreSQL. Prints that with the reason; it does not count as
/// skipped for lack of something.
pub(crate) fn is_of_files(why: &str) -> bool {
    if is_postgres() {
        let thread = std::thread::current();
        let name = thread.name().unwrap_or("a test");
        let _ = writeln!(std::io::stderr(), "skipped: {name}: over PostgreSQL {why}");
    }
    is_postgres()
}

/// Returns whether this environment sets the kind of store.
pub(super) fn is_named(environment: &[(&str, &str)]) -> bool {
    environment.iter().any(|(name, _)| *name == KIND)
}

/// Returns the environment of a replica over this database.
pub(super) fn environment_of(database: &str) -> Vec<(String, String)> {
    let settings = [
        (KIND, "postgres"),
        ("CHATGATE__STORE__URL", "env:TEST_DATABASE"),
        ("CHATGATE__STORE__SEAL", "env:TEST_SEAL"),
        ("CHATGATE__ADMIN__KEY", "env:TEST_ADMIN_KEY"),
        ("TEST_DATABASE", database),
        ("TEST_SEAL", SEAL),
        ("TEST_ADMIN_KEY", ADMIN_KEY),
    ];
    let owned = settings.map(|(name, value)| (name.to_owned(), value.to_owned()));
    owned.into()
}

/// Writes the first operator's key where the tests look for it.
pub(super) fn write_admin_key(folder: &Path) {
    std::fs::create_dir_all(folder.join("data")).unwrap();
    std::fs::write(folder.join("data/admin.key"), ADMIN_KEY).unwrap();
}

/// The parts of a gateway over PostgreSQL that are outside its folder.
pub(super) struct SharedStore {
    /// The address of the ways in. It is known before the start, because the public URL contains it, and the same after a restart.
    pub(super) listen: String,
    environment: Vec<(String, String)>,
    /// The gateway's configuration.
    pub(super) toml: String,
    sandbox: Option<Sandbox>,
    has_demo: bool,
}

impl SharedStore {
    /// Prepares a store for a gateway over this folder with this configuration. The gateway may have been started before.
    pub(super) fn of(folder: &TempDir, toml: &str, environment: &[(&str, &str)]) -> SharedStore {
        write_admin_key(folder.path());
        let (database, listen) = place(folder.path());
        let mut own = environment_of(&database);
        let mut set = |name: &str, value: &str| own.push((name.to_owned(), value.to_owned()));
        if !toml.contains("public_url") {
            set("CHATGATE__SERVER__PUBLIC_URL", &format!("http://{listen}"));
        }
        let is_upstream = |(name, _): &(&str, &str)| name.starts_with("CHATGATE__UPSTREAM__");
        let has_upstream = toml.contains("[upstream]") || environment.iter().any(is_upstream);
        let sandbox = (!has_upstream).then(Sandbox::start);
        if let Some(sandbox) = &sandbox {
            let url = format!("http://{}/api/http/", sandbox.address);
            set("CHATGATE__UPSTREAM__URL", &url);
            set("CHATGATE__UPSTREAM__USER", UPSTREAM_USER);
            set("CHATGATE__UPSTREAM__PASSWORD", "env:UPSTREAM_PASSWORD");
            set("UPSTREAM_PASSWORD", UPSTREAM_PASSWORD);
        }
        let is_new = !folder.path().join("data/demo.json").exists();
        let has_demo = is_new && !toml.contains("[[accesses]]");
        let toml = format!("{toml}{}", if has_demo { DEMO_ACCESS } else { "" });
        set("TEST_DEMO", DEMO_PASSWORD);
        SharedStore {
            listen,
            toml,
            environment: own,
            sandbox,
            has_demo,
        }
    }

    /// Returns the whole environment of a process over this store.
    pub(super) fn environment<'e>(
        &'e self,
        configured: &[(&'e str, &'e str)],
    ) -> Vec<(&'e str, &'e str)> {
        let own = self
            .environment
            .iter()
            .map(|(name, value)| (&**name, &**value));
        // The gateway makes no demo access by itself.
        let configured = configured
            .iter()
            .copied()
            .filter(|setting| *setting != DEMO);
        configured.chain(own).collect()
    }

    /// Gives the gateway its upstream, and writes the credentials of a new demo access where a gateway over a file writes them.
    pub(super) fn complete(self, gateway: &mut Gateway) {
        gateway.sandbox = self.sandbox;
        if !self.has_demo {
            return;
        }
        let made = run_on(gateway, &["access", "show", "demo", "--json"]);
        made.succeeded();
        let demo = json!({
            "user": "demo", "password": DEMO_PASSWORD,
            "client_id": made.json()["client_id"], "client_secret": DEMO_PASSWORD,
        });
        std::fs::write(gateway.data().join("demo.json"), demo.to_string()).unwrap();
    }
}

/// Returns the folder's database and its gateway's address, which are created at the first start.
fn place(folder: &Path) -> (String, String) {
    let file = folder.join("place");
    if let Ok(known) = std::fs::read_to_string(&file) {
        let (database, listen) = known.split_once('\n').unwrap();
        return (database.to_owned(), listen.to_owned());
    }
    let server = SERVER
        .as_ref()
        .expect("CHATGATE_STORE=postgres needs PostgreSQL");
    let (database, listen) = (server.new_database(), new_listen());
    std::fs::write(file, format!("{database}\n{listen}")).unwrap();
    (database, listen)
}

/// Returns an address that no other gateway has, neither in these tests nor in another run. The next port is free as well.
pub(crate) fn new_listen() -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let (process, part) = (std::process::id(), number / GATEWAYS_OF_A_PART);
    let (of_process, port) = (64 + process % 128, 20_000 + process / 128 % 10_000);
    format!(
        "127.{of_process}.{part}.{}:{port}",
        1 + number % GATEWAYS_OF_A_PART
    )
}
