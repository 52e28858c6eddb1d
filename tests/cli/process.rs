//! Running the built binary, with nothing of the tester's own environment that could matter.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// More than anything here takes, even on a busy machine.
pub(crate) const LONG: Duration = Duration::from_secs(20);

/// What a command did.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// A directory of its own for one test; gone with it.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("warmfront-cli-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.0.join(name), text).unwrap();
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub(crate) fn command(folder: &Path, args: &[&str], env: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_warmfront"));
    command.current_dir(folder).args(args).env_clear().envs(env.iter().copied()).stdin(Stdio::null());
    command
}

/// Runs to the end.
pub(crate) fn outcome(folder: &Path, args: &[&str], env: &[(&str, &str)]) -> Outcome {
    let output = command(folder, args, env).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Outcome { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

const ADMIN: (&str, &str) = ("WARMFRONT_ADMIN__LISTEN", "127.0.0.1:0");

/// A running binary, killed when dropped.
pub(crate) struct Running {
    child: Child,
    err: Receiver<String>,
    out: Receiver<String>,
}

impl Running {
    /// The admin API of `run` gets a free port, unless something else is said: tests run side by side.
    pub(crate) fn start(folder: &Path, args: &[&str], env: &[(&str, &str)]) -> Self {
        Self::spawn(command(folder, args, &[&[ADMIN], env].concat()))
    }

    /// The same under a limit that `ulimit` sets: `-Sn 64` is so many open files, unless the process asks for more.
    pub(crate) fn start_under(limit: &str, folder: &Path, args: &[&str]) -> Self {
        let mut command = Command::new("sh");
        let script = format!("ulimit {limit} && exec \"$0\" \"$@\"");
        command.current_dir(folder).args(["-c", &script, env!("CARGO_BIN_EXE_warmfront")]).args(args);
        command.env_clear().envs([ADMIN]).stdin(Stdio::null());
        Self::spawn(command)
    }

    fn spawn(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (err, out) = (lines(child.stderr.take().unwrap()), lines(child.stdout.take().unwrap()));
        Self { child, err, out }
    }

    /// The process's number.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// The next line of stderr that contains `text`.
    pub(crate) fn wait_for(&self, text: &str) -> String {
        wait_for(&self.err, text)
    }

    /// The lines of stderr that nobody has read, once it has ended.
    pub(crate) fn errors(&self) -> Vec<String> {
        self.err.iter().collect()
    }

    /// The next line of stdout that contains `text`.
    pub(crate) fn wait_for_out(&self, text: &str) -> String {
        wait_for(&self.out, text)
    }

    /// The address in a start-up line.
    pub(crate) fn address(&self) -> SocketAddr {
        self.addresses().0
    }

    /// The addresses in a start-up line: of the data port and of the admin API.
    pub(crate) fn addresses(&self) -> (SocketAddr, SocketAddr) {
        let line = self.wait_for(" listening on ");
        let after = |words: &str| line.split(words).nth(1).unwrap().split([',', ' ']).next().unwrap().parse().unwrap();
        (after(" listening on "), after(", admin http://"))
    }

    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill").args([&format!("-{name}"), &self.id().to_string()]).status().unwrap();
        assert!(status.success());
    }

    /// The exit code, once it has ended.
    pub(crate) fn end(&mut self) -> Option<i32> {
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(started.elapsed() < LONG, "it does not end");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn lines(stream: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || BufReader::new(stream).lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
    receiver
}

fn wait_for(lines: &Receiver<String>, text: &str) -> String {
    let mut seen = String::new();
    loop {
        match lines.recv_timeout(LONG) {
            Ok(line) if line.contains(text) => return line,
            Ok(line) => seen += &format!("{line}\n"),
            Err(_) => panic!("no line with {text:?} in:\n{seen}"),
        }
    }
}

/// Asks once, on a connection of its own; the whole response.
pub(crate) fn ask(address: SocketAddr, request_line: &str, headers: &str) -> String {
    send(address, request_line, headers, "")
}

/// As [`ask`], with a body.
pub(crate) fn send(address: SocketAddr, request_line: &str, headers: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    write!(stream, "{request_line} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{headers}\r\n{body}").unwrap();
    let mut response = Vec::new();
    stream.read_to_end(&mut response).unwrap();
    String::from_utf8(response).unwrap()
}

/// An origin that answers every request with `body`, `delay` after it came.
pub(crate) fn origin(body: &'static str, delay: Duration) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || answer(&stream, body, delay));
        }
    });
    address
}

fn answer(stream: &TcpStream, body: &str, delay: Duration) {
    let mut requests = BufReader::new(stream.try_clone().unwrap());
    let mut line = String::new();
    while requests.read_line(&mut line).is_ok_and(|read| read > 0) {
        if line == "\r\n" {
            std::thread::sleep(delay);
            let length = body.len();
            let response = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nCache-Control: no-store\r\n\r\n{body}");
            if (&mut &*stream).write_all(response.as_bytes()).is_err() {
                return;
            }
        }
        line.clear();
    }
}
