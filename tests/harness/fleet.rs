//! Several gateways over one database, in front of one sandbox.

use std::sync::Arc;

use tempfile::TempDir;

use super::gateway::{Gateway, Sandbox, UPSTREAM_ENVIRONMENT};
use super::postgres::SERVER;

/// The key of the first operator, the same for all.
const ADMIN_KEY: &str = "cgk_the-first-operator-of-all-replicas-of-a-test";

/// 32 bytes in base64.
const SEAL: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

/// Replicas that share a store.
pub struct Fleet {
    pub gateways: Vec<Gateway>,
    _sandbox: Sandbox,
    database: String,
    toml: String,
}

impl Fleet {
    /// So many replicas over a new database; nothing where PostgreSQL is missing.
    pub fn of(count: usize, toml: &str) -> Option<Fleet> {
        let database = SERVER.as_ref()?.new_database();
        let sandbox = Sandbox::start();
        let shared = "[store]\nkind = \"postgres\"\nurl = \"env:TEST_DATABASE\"\nseal = \"env:TEST_SEAL\"\n\
             [admin]\nkey = \"env:TEST_ADMIN_KEY\"\n[server]\npublic_url = \"http://chat.test\"\n";
        let toml = format!("{shared}{}{toml}", sandbox.as_upstream());
        let mut fleet = Fleet {
            gateways: Vec::new(),
            _sandbox: sandbox,
            database,
            toml,
        };
        for number in 0..count {
            let gateway = fleet.replica(&format!("replica-{number}"));
            fleet.gateways.push(gateway);
        }
        Some(fleet)
    }

    /// Starts a further replica.
    pub fn replica(&self, name: &str) -> Gateway {
        let folder = Arc::new(TempDir::new().unwrap());
        // Where the tests' operator looks for the key.
        std::fs::create_dir(folder.path().join("data")).unwrap();
        std::fs::write(folder.path().join("data/admin.key"), ADMIN_KEY).unwrap();
        let environment = [
            UPSTREAM_ENVIRONMENT,
            ("TEST_DATABASE", &self.database),
            ("TEST_SEAL", SEAL),
            ("TEST_ADMIN_KEY", ADMIN_KEY),
            ("CHATGATE__REPLICAS__NAME", name),
        ];
        Gateway::over(folder, &self.toml, &environment)
    }
}
