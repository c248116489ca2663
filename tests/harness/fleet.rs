//! Several gateways over one database, in front of one upstream.

use std::net::SocketAddr;
use std::sync::Arc;

use tempfile::TempDir;

use super::command::{CommandOutput, run_in};
use super::gateway::{Gateway, Sandbox, UPSTREAM_ENVIRONMENT, upstream};
use super::postgres::SERVER;
use super::shared_store::{environment_of, write_admin_key};

/// Replicas that share a store.
pub struct Fleet {
    pub gateways: Vec<Gateway>,
    sandbox: Option<Sandbox>,
    database: String,
    toml: String,
    environment: Vec<(String, String)>,
    /// The library that shows programs another time, or `None` if all clocks are right.
    faketime_library: Option<String>,
}

/// How far the clocks of three replicas are ahead, by the last digit of their names.
const CLOCKS: [&str; 3] = ["+0s", "+600s", "-600s"];

/// Returns the library's path as Debian's package faketime installs it.
fn faketime_library() -> Option<String> {
    let folders = std::fs::read_dir("/usr/lib").ok()?;
    let libraries =
        folders.filter_map(|folder| Some(folder.ok()?.path().join("faketime/libfaketimeMT.so.1")));
    let mut libraries = libraries.filter(|library| library.exists());
    Some(libraries.next()?.to_str()?.to_owned())
}

impl Fleet {
    /// Starts this many replicas over a new database, in front of their own sandbox. Returns `None` if PostgreSQL is missing.
    pub fn of(count: usize, toml: &str) -> Option<Fleet> {
        let database = SERVER.as_ref()?.new_database();
        let sandbox = Sandbox::start();
        let toml = format!("{}{toml}", sandbox.as_upstream());
        Some(Fleet::start(database, Some(sandbox), (&toml, &[]), count))
    }

    /// Does the same in front of the test's own upstream, with an environment for the configuration's secrets.
    pub fn in_front_of(
        address: SocketAddr,
        count: usize,
        (toml, environment): (&str, &[(&str, &str)]),
    ) -> Option<Fleet> {
        let database = SERVER.as_ref()?.new_database();
        let toml = format!("{}{toml}", upstream(address));
        Some(Fleet::start(database, None, (&toml, environment), count))
    }

    /// Starts all replicas at the same time.
    fn start(
        database: String,
        sandbox: Option<Sandbox>,
        (toml, environment): (&str, &[(&str, &str)]),
        count: usize,
    ) -> Fleet {
        let owned = environment.iter().copied();
        let owned = owned.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let mut fleet = Fleet {
            gateways: Vec::new(),
            sandbox,
            environment: owned.chain(environment_of(&database)).collect(),
            database,
            toml: toml.to_owned(),
            faketime_library: None,
        };
        fleet.start_more(count);
        fleet
    }

    /// Starts replicas of which two in three have clocks that are ten minutes wrong. Returns `None` if faketime is missing.
    pub fn with_false_clocks(count: usize, toml: &str) -> Option<Fleet> {
        let mut fleet = Fleet::of(0, toml)?;
        fleet.falsify_clocks()?;
        fleet.start_more(count);
        Some(fleet)
    }

    /// Gives all replicas that start from now on wrong clocks. Returns `None` if faketime is missing.
    pub fn falsify_clocks(&mut self) -> Option<()> {
        self.faketime_library = Some(faketime_library()?);
        Some(())
    }

    /// Starts this many further replicas at the same time.
    pub fn start_more(&mut self, count: usize) {
        let one = &*self;
        let started: Vec<_> = std::thread::scope(|scope| {
            let start = |number| scope.spawn(move || one.replica(&format!("replica-{number}")));
            let starting: Vec<_> = (0..count).map(start).collect();
            let started = starting
                .into_iter()
                .map(|starting| starting.join().unwrap());
            started.collect()
        });
        self.gateways.extend(started);
    }

    /// Executes SQL in the database itself and returns psql's output.
    pub fn sql(&self, sql: &str) -> String {
        let (_, name) = self.database.rsplit_once('/').unwrap();
        SERVER.as_ref().unwrap().sql(name, sql)
    }

    /// Returns the replicas' own sandbox.
    pub fn sandbox(&self) -> &Sandbox {
        self.sandbox.as_ref().unwrap()
    }

    /// Starts a further replica.
    pub fn replica(&self, name: &str) -> Gateway {
        self.replica_with(name, "")
    }

    /// Starts a further replica with additional configuration.
    pub fn replica_with(&self, name: &str, more: &str) -> Gateway {
        let folder = Arc::new(TempDir::new().unwrap());
        write_admin_key(folder.path());
        let toml = format!("{}{more}", self.toml);
        Gateway::over(folder, &toml, &self.environment(name))
    }

    /// Runs a command with the replicas' configuration.
    pub fn run(&self, arguments: &[&str], environment: &[(&str, &str)]) -> CommandOutput {
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("chatgate.toml");
        std::fs::write(&file, &self.toml).unwrap();
        let config = ["--config", file.to_str().unwrap()];
        let own = self.environment("command");
        let environment = [&own[..], environment].concat();
        run_in(&[arguments, &config].concat(), &environment)
    }

    fn environment<'e>(&'e self, name: &'e str) -> Vec<(&'e str, &'e str)> {
        let own = [
            UPSTREAM_ENVIRONMENT,
            ("CHATGATE__SERVER__PUBLIC_URL", "http://chat.test"),
            ("CHATGATE__REPLICAS__NAME", name),
        ];
        let shared = self.environment.iter();
        let shared = shared.map(|(name, value)| (&**name, &**value));
        let number = name.bytes().last().map_or(0, |last| usize::from(last % 3));
        let faketime_library = self.faketime_library.iter().flat_map(|library| {
            // The monotonic clock, by which it waits, stays right.
            [
                ("LD_PRELOAD", &**library),
                ("FAKETIME", CLOCKS[number]),
                ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
            ]
        });
        shared.chain(own).chain(faketime_library).collect()
    }
}
