//! `top`: on what is no terminal, and on one.

use crate::process::{Folder, LONG, Running, outcome};
use std::io::{Read as _, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;

/// What takes a terminal over, and what gives it back.
const TAKEN: &str = "\u{1b}[?1049h";
const GIVEN_BACK: &str = "\u{1b}[?1049l";

#[test]
fn without_a_terminal_it_is_wrong_usage_and_says_what_to_use_instead() {
    let folder = Folder::new("top-piped");
    let piped = outcome(folder.path(), &["top", "--admin", "http://127.0.0.1:1"], &[]);
    assert_eq!((piped.code, piped.out.as_str()), (Some(2), ""));
    assert!(piped.err.starts_with("error: top draws on a terminal") && piped.err.contains("warmfront stats"), "{}", piped.err);
    for interval in ["0s", "5", "2h", "-1s"] {
        let wrong = outcome(folder.path(), &["top", &format!("--interval={interval}")], &[]);
        assert!(wrong.code == Some(2) && wrong.err.contains("write a time from 100ms to 1h"), "{interval}: {}", wrong.err);
    }
}

/// `top` on a terminal that `script` (util-linux) makes.
struct OnTerminal {
    child: Child,
    shown: Receiver<Vec<u8>>,
    seen: String,
}

impl OnTerminal {
    fn start(admin: &str) -> Self {
        let line = format!("stty rows 24 cols 100; exec {} top --interval 100ms --admin {admin}", env!("CARGO_BIN_EXE_warmfront"));
        let mut script = Command::new("script");
        script.args(["-qfec", &line, "/dev/null"]).env_clear().env("PATH", "/usr/bin:/bin").env("TERM", "xterm").env("SHELL", "/bin/sh");
        let mut child = script.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap();
        let mut out = child.stdout.take().unwrap();
        let (sender, shown) = channel();
        std::thread::spawn(move || {
            let mut part = [0; 4096];
            while let Ok(length @ 1..) = out.read(&mut part) {
                let _ = sender.send(part[..length].to_vec());
            }
        });
        Self { child, shown, seen: String::new() }
    }

    /// Waits for a word on what was empty before: only cells that change are written, so that two words need not follow each other.
    fn wait_for(&mut self, text: &str) {
        let started = Instant::now();
        while !self.seen.contains(text) {
            let part = self.shown.recv_timeout(LONG).unwrap_or_else(|_| panic!("no {text:?} in {:?}", self.seen));
            self.seen += &String::from_utf8_lossy(&part);
            assert!(started.elapsed() < LONG, "no {text:?} in {:?}", self.seen);
        }
    }

    fn press(&mut self, keys: &str) {
        let stdin = self.child.stdin.as_mut().unwrap();
        stdin.write_all(keys.as_bytes()).unwrap();
        stdin.flush().unwrap();
    }

    /// The exit code, once the terminal has been given back.
    fn end(mut self) -> Option<i32> {
        self.wait_for(GIVEN_BACK);
        self.child.wait().unwrap().code()
    }
}

impl Drop for OnTerminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn on_a_terminal_it_shows_the_sidecar_and_leaves_when_told_to() {
    let folder = Folder::new("top");
    let args = ["run", "--upstream", "http://127.0.0.1:1", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
    let sidecar = Running::start(folder.path(), &args, &[]);
    let line = sidecar.wait_for(", admin http://");
    let admin = line.split(", admin ").nth(1).unwrap().split(',').next().unwrap();
    let mut top = OnTerminal::start(admin);
    top.wait_for(TAKEN);
    top.wait_for("ready");
    top.wait_for("nobody");
    top.press("q");
    assert_eq!(top.end(), Some(0));
}

#[test]
fn a_sidecar_that_is_away_is_said_to_be_and_asked_again() {
    let mut top = OnTerminal::start("http://127.0.0.1:1");
    top.wait_for("trying");
    top.press("\u{3}"); // Ctrl-C
    assert_eq!(top.end(), Some(0));
}
