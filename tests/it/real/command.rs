//! Programs run by the tests: with a deadline, and ended by their own process id.

use std::cell::RefCell;
use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::fs::MetadataExt;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

/// What a program left behind.
pub(crate) struct Finished {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

/// After this time a program hangs. Nothing comes near it, not even where a busy machine is ten times slower.
const HANGS: Duration = Duration::from_mins(10);

/// Runs a program to its end; one that hangs is killed and fails the test.
pub(crate) fn run(command: &mut Command) -> Finished {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let child =
        child.as_mut().unwrap_or_else(|error| panic!("{command:?}: {error}; tests/run installs what is missing"));
    let stdout = drain(child.stdout.take().expect("piped above"));
    let stderr = drain(child.stderr.take().expect("piped above"));
    let code = wait(child, HANGS);
    if code.is_none() {
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let stdout = stdout.join().unwrap();
    let stderr = String::from_utf8_lossy(&stderr.join().unwrap()).into_owned();
    let code = code.unwrap_or_else(|| {
        panic!("{command:?} hangs\n{}\n{stderr}", String::from_utf8_lossy(&stdout));
    });
    Finished { code, stdout, stderr }
}

/// The same, and it must succeed.
pub(crate) fn succeed(command: &mut Command) -> Vec<u8> {
    let done = run(command);
    let text = String::from_utf8_lossy(&done.stdout);
    assert_eq!(done.code, Some(0), "{command:?} failed\n{text}\n{}", done.stderr);
    done.stdout
}

fn drain(mut pipe: impl Read + Send + 'static) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut octets = Vec::new();
        pipe.read_to_end(&mut octets).unwrap();
        octets
    })
}

/// The exit code (`Some(None)` after a signal), or `None` when the limit passed first.
#[expect(clippy::option_option, reason = "a deadline and a signal are two different endings")]
fn wait(child: &mut Child, limit: Duration) -> Option<Option<i32>> {
    let end = Instant::now() + limit;
    while Instant::now() < end {
        if let Some(status) = child.try_wait().unwrap() {
            return Some(status.code());
        }
        thread::sleep(Duration::from_millis(5));
    }
    None
}

/// A server program that lives as long as this value.
pub(crate) struct Daemon {
    child: Child,
}

impl Daemon {
    pub(crate) fn spawn(command: &mut Command) -> Self {
        let child = command.stdin(Stdio::null()).spawn();
        Self { child: child.unwrap_or_else(|error| panic!("{command:?}: {error}; tests/run installs what is missing")) }
    }

    /// Waits until every port takes connections. False when the program ended first.
    pub(crate) fn listens(&mut self, ports: &[u16]) -> bool {
        let end = Instant::now() + Duration::from_mins(1);
        ports.iter().all(|port| {
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, *port));
            while TcpStream::connect(address).is_err() {
                if self.child.try_wait().unwrap().is_some() || Instant::now() > end {
                    return false;
                }
                thread::sleep(Duration::from_millis(10));
            }
            true
        })
    }
}

impl Drop for Daemon {
    /// SIGTERM first: Dovecot's children must be ended by their master.
    fn drop(&mut self) {
        let pid = self.child.id().to_string();
        if self.child.try_wait().is_ok_and(|ended| ended.is_some()) {
            return;
        }
        let asked = Command::new("sh").args(["-c", "kill -TERM \"$0\"", &pid]).status();
        if asked.is_err() || wait(&mut self.child, Duration::from_secs(5)).is_none() {
            self.child.kill().ok();
            self.child.wait().ok();
        }
    }
}

thread_local! {
    /// What keeps the ports that this test was given from everybody else, until its thread ends.
    static HELD: RefCell<Vec<Socket>> = const { RefCell::new(Vec::new()) };
}

/// A port of loopback nobody listens on, and which the system gives to nobody else while this test runs: it is
/// bound, so that it is neither chosen for another listener nor for a connection; and shared, so that a server
/// which is told to may listen on it.
pub(crate) fn free_port() -> u16 {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_reuse_address(true).unwrap();
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
    let port = socket.local_addr().unwrap().as_socket_ipv4().expect("bound above").port();
    HELD.with_borrow_mut(|held| held.push(socket));
    port
}

/// Whether the tests run as root, as they do in a container.
pub(crate) fn is_root() -> bool {
    std::fs::metadata("/proc/self").unwrap().uid() == 0
}
