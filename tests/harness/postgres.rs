//! The tests' own PostgreSQL server: Debian's package, started once per process, with a database for each test. The end-to-end
//! tests and the tests of the store share this file.

use std::fs::Permissions;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{LazyLock, Mutex};
use std::time::{Duration, Instant};

/// Longest wait for the server, on a busy machine.
const START_MAX: Duration = Duration::from_secs(60);

/// The user that runs the server if the tests run as root, because PostgreSQL refuses to run as root.
pub(super) const NOBODY: u32 = 65_534;

/// Serves as long as a process holds its standard input, however the tests end, and leaves nothing behind. A signal to the tests
/// does not reach it. It holds none of the tests' files, because another process may wait for a lock on one.
const SERVE: &str = r#"
    trap '' TERM INT HUP
    exec 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-
    "$1/postgres" -D "$0/data" -c listen_addresses= -c max_connections=500 -k "$0" </dev/null &
    cat >/dev/null
    kill -QUIT $!
    wait
    rm -rf "$0"
"#;

/// A server in its own folder. It ends with the test's process.
pub(crate) struct PostgresServer {
    programs: PathBuf,
    folder: PathBuf,
    databases: AtomicU32,
    _process: Mutex<Child>,
}

/// The server of this process, or `None` if the package is missing. A missing package is reported, and is a failure under CI.
pub(crate) static SERVER: LazyLock<Option<PostgresServer>> = LazyLock::new(|| {
    let Some(programs) = programs() else {
        let said = "skipped: PostgreSQL is missing; apt-get install postgresql";
        assert!(std::env::var_os("CI").is_none(), "{said}");
        // Writes to standard error directly, because the macros' output is shown for failed tests alone.
        let _ = writeln!(std::io::stderr(), "{said}");
        return None;
    };
    Some(PostgresServer::start(&programs))
});

/// Returns the folder with the programs of the newest version.
pub(super) fn programs() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?;
    let programs = versions.filter_map(|version| Some(version.ok()?.path().join("bin")));
    programs
        .filter(|bin| bin.join("initdb").exists())
        .max_by_key(|bin| version_of(bin))
}

fn version_of(bin: &Path) -> Option<u32> {
    bin.parent()?.file_name()?.to_str()?.parse().ok()
}

/// Returns a psql command that executes SQL in a database and prints only the results. The caller still has to add the server's
/// address.
pub(super) fn psql(programs: &Path, database: &str, sql: &str) -> Command {
    let mut psql = command(programs, "psql");
    psql.args(["-XAtq", "-v", "ON_ERROR_STOP=1", "-U", "chatgate"]);
    psql.args(["-d", database, "-c", sql]);
    psql
}

/// Returns a command that runs as a user that PostgreSQL accepts.
pub(super) fn command(programs: &Path, name: &str) -> Command {
    let mut command = Command::new(programs.join(name));
    if is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    command
}

pub(super) fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0)
}

/// Returns an empty cluster, made once for all processes and copied by each.
pub(super) fn template(programs: &Path) -> PathBuf {
    let version = version_of(programs).unwrap();
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target");
    let template = target.join(format!("postgres-{version}"));
    if template.exists() {
        return template;
    }
    let making = tempfile::tempdir().unwrap();
    let data = making.path().join("data");
    std::fs::create_dir(&data).unwrap();
    give_away(making.path());
    let mut initdb = command(programs, "initdb");
    initdb.args([
        "-U",
        "chatgate",
        "-A",
        "trust",
        "--no-sync",
        "-E",
        "UTF8",
        "--locale",
        "C",
        "-D",
    ]);
    let made = initdb.arg(&data).stdout(Stdio::null()).status();
    assert!(made.unwrap().success());
    std::fs::create_dir_all(&target).unwrap();
    let beside = tempfile::tempdir_in(&target).unwrap();
    copy(&data, &beside.path().join("data"));
    // Another process may have made a cluster in the meantime.
    let _ = std::fs::rename(beside.path().join("data"), &template);
    template
}

pub(super) fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-a").args([from, to]).status();
    assert!(copied.unwrap().success());
}

/// Makes the user that runs the server the owner of the folder.
pub(super) fn give_away(folder: &Path) {
    std::fs::set_permissions(folder, Permissions::from_mode(0o711)).unwrap();
    if is_root() {
        let owner = format!("{NOBODY}:{NOBODY}");
        let given = Command::new("chown")
            .args(["-R", &owner])
            .arg(folder)
            .status();
        assert!(given.unwrap().success());
    }
}

impl PostgresServer {
    fn start(programs: &Path) -> PostgresServer {
        let folder = tempfile::tempdir().unwrap();
        copy(&template(programs), &folder.path().join("data"));
        give_away(folder.path());
        let mut server = command(Path::new("/bin"), "sh");
        server.args(["-c", SERVE]).arg(folder.path()).arg(programs);
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let process = server
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn();
        let server = PostgresServer {
            programs: programs.to_owned(),
            _process: Mutex::new(process.unwrap()),
            folder: folder.keep(),
            databases: AtomicU32::new(0),
        };
        let until = Instant::now() + START_MAX;
        while !server.answers() {
            assert!(Instant::now() < until, "PostgreSQL does not start");
        }
        server
    }

    fn answers(&self) -> bool {
        let mut asks = command(&self.programs, "pg_isready");
        asks.arg("-q").arg("-h").arg(&self.folder);
        asks.status().unwrap().success()
    }

    /// Creates a database and returns its URL.
    pub(crate) fn new_database(&self) -> String {
        let number = self.databases.fetch_add(1, Ordering::Relaxed);
        let name = format!("test{number}");
        self.sql("postgres", &format!("CREATE DATABASE {name}"));
        let folder = self.folder.to_str().unwrap().replace('/', "%2F");
        format!("postgres://chatgate@{folder}/{name}")
    }

    /// Executes SQL in a database with psql and returns the output.
    pub(crate) fn sql(&self, database: &str, sql: &str) -> String {
        let mut psql = psql(&self.programs, database, sql);
        let output = psql.arg("-h").arg(&self.folder).output().unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }
}
