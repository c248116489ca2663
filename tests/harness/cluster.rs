//! A PostgreSQL server for a single test: the test can kill and restart it, fill its disk, make it read-only, let a standby follow
//! it and fail over to that standby.

use std::fs::{File, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::link::Link;
use super::postgres::{NOBODY, command, copy, give_away, is_root, programs, psql, template};
use super::wait::{PATIENCE, until};

/// Ends with the server, and ends the server when no process holds its standard input any more. A signal to the tests does not
/// reach it, and it holds none of the tests' files.
const SERVE: &str = r#"
    trap '' TERM INT HUP
    exec 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9<&0
    "$1/postgres" -D "$0/data" -c max_connections=200 -k "$0" </dev/null 9<&- &
    server=$!
    { cat <&9 >/dev/null; kill -QUIT $server; } &
    wait $server
"#;

/// The name of the server's database.
const DATABASE: &str = "chatgate";

/// The server's port, which only appears in the name of its socket.
const PORT: u16 = 5432;

/// A server, running or stopped.
pub struct Cluster {
    programs: PathBuf,
    folder: Option<TempDir>,
    path: PathBuf,
    process: Option<Child>,
    is_mounted: bool,
    port: u16,
}

impl Cluster {
    /// Starts a server with an empty database. Returns `None` if PostgreSQL is missing.
    pub async fn start() -> Option<Cluster> {
        let cluster = Cluster::new()?;
        Some(cluster.with_data().await)
    }

    /// Does the same on a separate disk of this size. Returns `None` if the system does not permit mounts.
    pub async fn on_disk(size: &str) -> Option<Cluster> {
        let mut cluster = Cluster::new()?;
        let mounted = Command::new("mount")
            .args([
                "-t",
                "tmpfs",
                "-o",
                &format!("size={size}"),
                "chatgate-tests",
            ])
            .arg(&cluster.path)
            .stderr(Stdio::null())
            .status();
        cluster.is_mounted = mounted.is_ok_and(|status| status.success());
        if !cluster.is_mounted {
            return None;
        }
        Some(cluster.with_data().await)
    }

    /// Restarts the server so that it also listens on a port, with TLS and the certificate in its data folder. Returns the port.
    pub async fn over_tls(&mut self) -> u16 {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        for (parameter, value) in [
            ("ssl", "on"),
            ("listen_addresses", "127.0.0.1"),
            ("port", &port.to_string()),
        ] {
            self.sql(&format!("ALTER SYSTEM SET {parameter} = '{value}'"));
        }
        self.kill();
        self.port = port;
        self.run().await;
        port
    }

    fn new() -> Option<Cluster> {
        let programs = programs()?;
        let folder = TempDir::new().unwrap();
        Some(Cluster {
            programs,
            path: folder.path().to_owned(),
            folder: Some(folder),
            process: None,
            is_mounted: false,
            port: PORT,
        })
    }

    async fn with_data(mut self) -> Cluster {
        copy(&template(&self.programs), &self.data());
        let mut settings = File::options()
            .append(true)
            .open(self.data().join("postgresql.conf"))
            .unwrap();
        settings.write_all(b"listen_addresses = ''\n").unwrap();
        give_away(&self.path);
        self.run().await;
        self.sql_in("postgres", &format!("CREATE DATABASE {DATABASE}"));
        self
    }

    /// Starts a standby that follows this server and has the same data.
    pub async fn standby(&self) -> Cluster {
        let mut standby = Cluster::new().unwrap();
        give_away(&standby.path);
        standby.follow(self).await;
        standby
    }

    /// Starts such a standby that follows over a link.
    pub async fn standby_over(&self, link: &Link) -> Cluster {
        let mut standby = Cluster::new().unwrap();
        give_away(&standby.path);
        standby.copy_of(self);
        let (host, port) = (link.address.ip(), link.address.port());
        let follows = format!("primary_conninfo = 'host={host} port={port} user=chatgate'\n");
        let settings = standby.data().join("postgresql.auto.conf");
        let settings = File::options().append(true).open(settings);
        settings.unwrap().write_all(follows.as_bytes()).unwrap();
        standby.run().await;
        standby
    }

    /// Discards this server's data and makes it a standby of another server.
    pub async fn follow(&mut self, primary: &Cluster) {
        let _ = std::fs::remove_dir_all(self.data());
        self.copy_of(primary);
        self.run().await;
    }

    fn copy_of(&self, primary: &Cluster) {
        let mut copy = command(&self.programs, "pg_basebackup");
        copy.args([
            "-U",
            "chatgate",
            "-R",
            "-X",
            "stream",
            "-c",
            "fast",
            "--no-sync",
            "-h",
        ]);
        let copied = copy.arg(&primary.path).arg("-D").arg(self.data()).status();
        assert!(copied.unwrap().success());
    }

    /// Starts or restarts the server and waits until it answers.
    pub async fn run(&mut self) {
        self.launch();
        self.answers().await;
    }

    fn launch(&mut self) {
        let mut server = command(Path::new("/bin"), "sh");
        server
            .args(["-c", SERVE])
            .arg(&self.path)
            .arg(&self.programs);
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.path.join("log"));
        let process = server.stdin(Stdio::piped()).stdout(Stdio::null());
        self.process = Some(process.stderr(log.unwrap()).spawn().unwrap());
    }

    /// Waits until the server answers. Remains of a killed server may have to end first; the server is then started again.
    pub async fn answers(&mut self) {
        until("PostgreSQL answers", async || {
            let mut asks = command(&self.programs, "pg_isready");
            asks.args(["-q", "-p", &self.port.to_string(), "-h"])
                .arg(&self.path);
            let is_there = asks.status().unwrap().success();
            if !is_there && self.has_ended() {
                self.launch();
            }
            is_there
        })
        .await;
    }

    /// Returns whether the server has ended.
    pub fn has_ended(&mut self) -> bool {
        let process = self.process.as_mut();
        process.is_none_or(|process| process.try_wait().unwrap().is_some())
    }

    /// Returns the id of the server's first process while there is one.
    fn id(&self) -> Option<String> {
        let file = std::fs::read_to_string(self.data().join("postmaster.pid")).ok()?;
        file.lines().next().map(str::to_owned)
    }

    /// Kills all processes of the server.
    pub fn kill(&mut self) {
        let running = self.id().filter(|_| !self.has_ended());
        let Some(id) = running else { return };
        let children = format!("/proc/{id}/task/{id}/children");
        let children = std::fs::read_to_string(children).unwrap_or_default();
        // The first process first, because it would start others.
        let kill = format!("kill -KILL {id} {children} 2>/dev/null");
        let _ = Command::new("sh").args(["-c", &kill]).status();
        if let Some(mut process) = self.process.take() {
            drop(process.stdin.take());
            process.wait().unwrap();
        }
    }

    /// Promotes a standby to primary.
    pub fn promote(&self) {
        let mut promote = command(&self.programs, "pg_ctl");
        let seconds = PATIENCE.as_secs().to_string();
        promote.args(["promote", "-w", "-s", "-t", &seconds, "-D"]);
        assert!(promote.arg(self.data()).status().unwrap().success());
    }

    /// Sets a parameter of the running server.
    pub fn set(&self, parameter: &str, value: &str) {
        // Neither statement may run in a transaction with others.
        self.sql(&format!("ALTER SYSTEM SET {parameter} = '{value}'"));
        self.sql("SELECT pg_reload_conf()");
    }

    /// Executes SQL in the server's database with psql and returns the output.
    pub fn sql(&self, sql: &str) -> String {
        self.sql_in(DATABASE, sql)
    }

    fn sql_in(&self, database: &str, sql: &str) -> String {
        let mut psql = psql(&self.programs, database, sql);
        // This session can write, whatever the server's default for new transactions is.
        psql.env("PGOPTIONS", "-c default_transaction_read_only=off");
        psql.args(["-p", &self.port.to_string(), "-h"]);
        let output = psql.arg(&self.path).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn data(&self) -> PathBuf {
        self.path.join("data")
    }

    /// Returns the socket on which the server listens.
    pub fn socket(&self) -> PathBuf {
        self.path.join(".s.PGSQL.5432")
    }

    /// Returns the URL of the server's database.
    pub fn url(&self) -> String {
        self.url_at(PORT)
    }

    /// Returns the URL with another port, where a proxy listens.
    pub fn url_at(&self, port: u16) -> String {
        format!("postgres://chatgate@{}:{port}/{DATABASE}", self.host())
    }

    /// Returns the URL of this server's database if it can be written, otherwise that of the other server.
    pub fn url_or(&self, other: &Cluster) -> String {
        format!(
            "postgres://chatgate@{},{}/{DATABASE}",
            self.host(),
            other.host()
        )
    }

    fn host(&self) -> String {
        self.path.to_str().unwrap().replace('/', "%2F")
    }

    /// Writes a file into the server's folder that only its user may read, and returns the path.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path.join(name);
        std::fs::write(&path, text).unwrap();
        if is_root() {
            std::os::unix::fs::chown(&path, Some(NOBODY), Some(NOBODY)).unwrap();
        }
        std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        path
    }

    /// Returns a command that runs as the user of the servers.
    pub fn program(path: &Path) -> Command {
        command(
            path.parent().unwrap(),
            path.file_name().unwrap().to_str().unwrap(),
        )
    }

    /// Fills the server's disk.
    pub fn fill(&self) {
        let mut file = File::create(self.path.join("filling")).unwrap();
        for size in [64 * 1024, 4096, 1] {
            let piece = vec![0; size];
            while file.write_all(&piece).is_ok() {}
        }
    }

    /// Frees the disk again.
    pub fn free(&self) {
        std::fs::remove_file(self.path.join("filling")).unwrap();
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.kill();
        if self.is_mounted && is_root() {
            let _ = Command::new("umount").arg("-l").arg(&self.path).status();
        }
        drop(self.folder.take());
    }
}
