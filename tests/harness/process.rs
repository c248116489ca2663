//! Processes of the binary under test: their lines, their signals and their end.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock};
use std::time::Duration;

use super::wait::PATIENCE;

/// A process, which is killed by its id when the test ends.
pub struct Process {
    child: Child,
    heard: Arc<(Mutex<Heard>, Condvar)>,
}

/// The printed lines.
#[derive(Default)]
struct Heard {
    lines: Vec<String>,
    /// Number of output streams that are still open.
    open: usize,
}

impl Process {
    /// Starts the binary under test and keeps every line that it prints.
    pub fn start(arguments: &[&str], environment: &[(&str, &str)]) -> Process {
        Process::by(binary(), arguments, environment)
    }

    /// Starts another binary in the same way.
    pub fn by(binary: &str, arguments: &[&str], environment: &[(&str, &str)]) -> Process {
        let mut command = Command::new(binary);
        command.args(arguments);
        Process::of(command, environment)
    }

    /// Does the same with this limit of open files, which the process cannot raise.
    pub fn with_files(files: u32, arguments: &[&str], environment: &[(&str, &str)]) -> Process {
        let mut command = Command::new("sh");
        let limited = "ulimit -n \"$0\" && exec \"$@\"";
        command.args(["-c", limited, &files.to_string(), binary()]);
        command.args(arguments);
        Process::of(command, environment)
    }

    /// Does the same on one core, so that one thread serves everything.
    pub fn on_one_core(arguments: &[&str], environment: &[(&str, &str)]) -> Process {
        let mut command = Command::new("taskset");
        command.args(["-c", "0", binary()]).args(arguments);
        Process::of(command, environment)
    }

    /// Starts any command in the same way.
    pub fn of(mut command: Command, environment: &[(&str, &str)]) -> Process {
        let mut child = command
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let outputs = [
            Box::new(child.stdout.take().unwrap()) as Box<dyn std::io::Read + Send>,
            Box::new(child.stderr.take().unwrap()),
        ];
        let heard = Arc::<(Mutex<Heard>, Condvar)>::default();
        heard.0.lock().unwrap().open = outputs.len();
        for output in outputs {
            let heard = Arc::clone(&heard);
            std::thread::spawn(move || {
                for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
                    let line = String::from_utf8_lossy(&line).into_owned();
                    heard.0.lock().unwrap().lines.push(line);
                    heard.1.notify_all();
                }
                heard.0.lock().unwrap().open -= 1;
                heard.1.notify_all();
            });
        }
        Process { child, heard }
    }

    /// Starts this command with the output that the test has set. Keeps no lines.
    pub fn unheard(mut command: Command) -> Process {
        let child = command.stdin(Stdio::null()).spawn().unwrap();
        // The command holds its descriptors, but a pipe has to end with the process.
        drop(command);
        Process {
            child,
            heard: Arc::default(),
        }
    }

    /// Returns all lines so far.
    pub fn lines(&self) -> Vec<String> {
        self.heard.0.lock().unwrap().lines.clone()
    }

    /// Waits until a line matches, and returns the line.
    pub fn wait_for(&self, what: &str, fits: impl Fn(&str) -> bool) -> String {
        let heard = self.until(|heard| heard.lines.iter().any(|line| fits(line)));
        match heard.lines.iter().find(|line| fits(line)) {
            Some(line) => line.clone(),
            None => panic!(
                "{what} did not come; the process said:\n{}",
                heard.lines.join("\n")
            ),
        }
    }

    /// Waits until the condition is true, or for the longest permitted time.
    fn until(&self, is_so: impl Fn(&Heard) -> bool) -> MutexGuard<'_, Heard> {
        let heard = self.heard.0.lock().unwrap();
        let is_missing = |heard: &mut Heard| !is_so(heard);
        let waited = self.heard.1.wait_timeout_while(heard, PATIENCE, is_missing);
        waited.unwrap().0
    }

    /// Returns the resident memory in bytes.
    pub fn rss(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:"));
        let kib = line.and_then(|line| line.split_whitespace().nth(1));
        kib.unwrap().parse::<usize>().unwrap() * 1024
    }

    /// Returns the number of open files.
    pub fn descriptors(&self) -> usize {
        let open = std::fs::read_dir(format!("/proc/{}/fd", self.child.id()));
        open.unwrap().count()
    }

    /// Returns the process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal by its name.
    pub fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        // The shell's built-in `kill`, because the program of that name is in a package that a small machine lacks.
        assert!(
            Command::new("sh")
                .args(["-c", "kill -s \"$0\" \"$1\"", name, &id])
                .status()
                .unwrap()
                .success()
        );
    }

    /// Waits for the end and returns the exit code and all lines. The last lines may be read after the process has ended.
    pub fn ended(mut self) -> (Option<i32>, Vec<String>) {
        let code = self.child.wait().unwrap().code();
        let lines = self.until(|heard| heard.open == 0).lines.clone();
        (code, lines)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns the path of the binary under test.
pub fn binary() -> &'static str {
    static BINARY: OnceLock<String> = OnceLock::new();
    BINARY.get_or_init(|| {
        // An optimized binary, for comparisons of figures.
        let given = std::env::var_os("CHATGATE_BINARY").and_then(|given| given.into_string().ok());
        given.unwrap_or_else(|| env!("CARGO_BIN_EXE_chatgate").to_owned())
    })
}

/// Returns the folder of the repository.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .unwrap()
}

/// Returns the amount of load that a test makes: a sample on every day, all of it if `CHATGATE_LOAD` is `full`.
pub fn load(sample: usize, full: usize) -> usize {
    let is_full = std::env::var_os("CHATGATE_LOAD").is_some_and(|load| load == "full");
    if is_full { full } else { sample }
}

/// The time that other work on the machine may add on every day. For a release, the load has the machine to itself.
const BUSY: Duration = Duration::from_secs(1);

/// Fails if something took longer than `most` and longer than a busy machine explains.
#[track_caller]
pub fn assert_within(took: Duration, most: Duration) {
    let most = if load(0, 1) == 1 { most } else { most + BUSY };
    assert!(took <= most, "{took:?} instead of {most:?}");
}
