//! `run`: from the start-up line through signals to the end.

use crate::process::{Folder, LONG, Running, ask, origin, outcome, send};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

#[test]
fn an_upstream_alone_is_enough_and_sigterm_ends_it() {
    let folder = Folder::new("run");
    let upstream = format!("http://{}", origin("hello", Duration::ZERO));
    let mut sidecar = Running::start(folder.path(), &["run", "--listen", "127.0.0.1:0", "--upstream", &upstream], &[]);
    let line = sidecar.wait_for("warmfront ");
    let version = env!("CARGO_PKG_VERSION");
    assert!(
        line.starts_with(&format!("warmfront {version} listening on 127.0.0.1:"))
            && line.ends_with(&format!(", upstream {upstream}, cache 256 MiB")),
        "{line}"
    );
    let address = line.split([' ', ',']).nth(4).unwrap().parse().unwrap();
    assert!(ask(address, "GET /", "").ends_with("hello"));
    sidecar.signal("TERM");
    assert_eq!(sidecar.end(), Some(0));
}

/// Asks for `target`, and stays; whether there was an answer.
fn asks(client: &mut TcpStream, target: &str) -> bool {
    client.set_read_timeout(Some(LONG)).unwrap();
    let mut answer = [0; 1024];
    let asked = write!(client, "GET {target} HTTP/1.1\r\nHost: h\r\n\r\n").and_then(|()| client.read(&mut answer));
    asked.is_ok_and(|length| answer[..length].starts_with(b"HTTP/1.1 200 "))
}

/// A sidecar under such a limit, and so many clients that have asked for one thing each and stay; the last asked for what nobody had asked for.
fn clients_that_stay(limit: &str, count: usize) -> (Running, Vec<TcpStream>) {
    let folder = Folder::new(&format!("files{limit}"));
    let upstream = format!("http://{}", origin("hello", Duration::ZERO));
    let args = ["run", "--listen", "127.0.0.1:0", "--upstream", &upstream, "--set", "cache.default_ttl=1h"];
    let sidecar = Running::start_under(limit, folder.path(), &args);
    let address = sidecar.address();
    let client = |number| {
        let mut client = TcpStream::connect(address).unwrap();
        assert!(asks(&mut client, if number == count { "/new" } else { "/" }), "client {number} of {count}");
        client
    };
    let clients = (1..=count).map(client).collect();
    (sidecar, clients)
}

#[test]
fn the_usual_limit_of_open_files_is_none_of_ours() {
    let (_sidecar, mut clients) = clients_that_stay("-Sn 64", 200);
    assert!(clients.iter_mut().all(|client| asks(client, "/")), "nobody had to go");
}

#[test]
fn where_no_more_files_can_be_had_idle_clients_make_room_for_others_and_for_the_upstream() {
    let (_sidecar, mut clients) = clients_that_stay("-n 80", 75);
    assert!(!asks(&mut clients[0], "/"), "who has been idle for longest");
}

#[test]
fn sigterm_lets_requests_under_way_finish() {
    let folder = Folder::new("drain");
    let upstream = format!("http://{}", origin("late", Duration::from_millis(700)));
    let mut sidecar = Running::start(folder.path(), &["run", "--listen", "127.0.0.1:0", "--upstream", &upstream], &[]);
    let address = sidecar.address();
    let asked = std::thread::spawn(move || ask(address, "GET /", ""));
    // The request is under way for 700 ms; the signal falls into them.
    std::thread::sleep(Duration::from_millis(250));
    sidecar.signal("TERM");
    assert!(asked.join().unwrap().ends_with("late"));
    assert_eq!(sidecar.end(), Some(0));
    assert!(std::net::TcpStream::connect(address).is_err());
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let folder = Folder::new("twice");
    let upstream = format!("http://{}", origin("never", LONG));
    let mut sidecar = Running::start(folder.path(), &["run", "--listen", "127.0.0.1:0", "--upstream", &upstream], &[]);
    let address = sidecar.address();
    std::thread::spawn(move || ask(address, "GET /", ""));
    std::thread::sleep(Duration::from_millis(250));
    let started = Instant::now();
    sidecar.signal("INT");
    sidecar.wait_for("SIGINT: finishing requests under way");
    sidecar.signal("TERM");
    assert_eq!(sidecar.end(), Some(1));
    assert!(started.elapsed() < LONG / 2);
}

#[test]
fn a_drain_that_takes_too_long_is_a_failure_that_says_so() {
    let folder = Folder::new("cut");
    let upstream = format!("http://{}", origin("never", LONG));
    let env = [("WARMFRONT_SERVER__DRAIN_TIMEOUT", "200ms")];
    let mut sidecar = Running::start(folder.path(), &["run", "--listen", "127.0.0.1:0", "--upstream", &upstream], &env);
    let address = sidecar.address();
    std::thread::spawn(move || ask(address, "GET /", ""));
    std::thread::sleep(Duration::from_millis(250));
    sidecar.signal("TERM");
    sidecar.wait_for("cut off after server.drain_timeout = 200ms");
    assert_eq!(sidecar.end(), Some(1));
}

#[test]
fn sighup_takes_a_good_file_and_refuses_a_bad_one() {
    let folder = Folder::new("reload");
    let (first, second) = (origin("first", Duration::ZERO), origin("second", Duration::ZERO));
    let file = |upstream, rest: &str| format!("[server]\nlisten = \"127.0.0.1:0\"\n[upstream]\nurls = [\"http://{upstream}\"]\n{rest}");
    folder.write("warmfront.toml", &file(first, ""));
    let mut sidecar = Running::start(folder.path(), &["run"], &[]);
    let address = sidecar.address();
    assert!(ask(address, "GET /", "").ends_with("first"));

    folder.write("warmfront.toml", &file(second, "[cache]\nmax_byte = 1\n"));
    sidecar.signal("HUP");
    sidecar.wait_for("error: reload refused, nothing changed: 1 fault in warmfront.toml");
    sidecar.wait_for("did you mean `max_bytes`?");
    assert!(ask(address, "GET /", "").ends_with("first"));

    folder.write("warmfront.toml", &file(second, "[cache]\nmax_bytes = \"1GiB\"\n"));
    sidecar.signal("HUP");
    sidecar.wait_for("warmfront: reloaded warmfront.toml");
    assert!(sidecar.wait_for("unchanged until the next start: ").contains("cache.max_bytes"));
    assert!(ask(address, "GET /", "").ends_with("second"));
    sidecar.signal("TERM");
    assert_eq!(sidecar.end(), Some(0));
}

#[test]
fn sigusr1_ends_nothing() {
    let folder = Folder::new("usr1");
    let upstream = format!("http://{}", origin("hello", Duration::ZERO));
    let mut sidecar = Running::start(folder.path(), &["run", "--listen", "127.0.0.1:0", "--upstream", &upstream], &[]);
    let address = sidecar.address();
    sidecar.signal("USR1");
    assert!(ask(address, "GET /", "").ends_with("hello") && sidecar.is_running());
}

#[test]
fn an_address_that_is_taken_fails_in_one_line() {
    let folder = Folder::new("taken");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let failed = outcome(folder.path(), &["run", "--upstream", "http://127.0.0.1:1", "--listen", &address], &[]);
    assert_eq!(failed.code, Some(1));
    assert!(failed.err.lines().any(|line| line.starts_with("error: ") && line.contains(&address)), "{}", failed.err);
}

#[test]
fn the_admin_api_listens_where_the_start_up_line_says_and_says_that_it_drains() {
    let folder = Folder::new("admin");
    let upstream = format!("http://{}", origin("late", Duration::from_millis(1500)));
    let mut sidecar = Running::start(folder.path(), &["run", "--listen", "127.0.0.1:0", "--upstream", &upstream], &[]);
    let (address, admin) = sidecar.addresses();
    assert!(ask(admin, "GET /readyz", "").contains("\"ready\":true"));
    assert!(ask(admin, "POST /api/cache/invalidate", "").contains("Cache (all) invalidated"));
    assert!(sidecar.wait_for("warmfront::audit").contains("/api/cache/invalidate"), "who changes something is written down");
    let asked = std::thread::spawn(move || ask(address, "GET /", ""));
    // The request is under way for a second and a half; all this falls into it.
    std::thread::sleep(Duration::from_millis(250));
    sidecar.signal("TERM");
    sidecar.wait_for("SIGTERM: finishing requests under way");
    let started = Instant::now();
    while !ask(admin, "GET /readyz", "").starts_with("HTTP/1.1 503") {
        assert!(started.elapsed() < Duration::from_secs(1), "it does not say that it drains");
    }
    assert!(asked.join().unwrap().ends_with("late"));
    assert_eq!(sidecar.end(), Some(0));
}

#[test]
fn an_admin_address_that_is_taken_fails_with_its_fix() {
    let folder = Folder::new("admin-taken");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let failed = outcome(folder.path(), &["run", "--upstream", "http://127.0.0.1:1", "--listen", "127.0.0.1:0", "--admin", &address], &[]);
    assert_eq!(failed.code, Some(1));
    let first = failed.err.lines().next().unwrap();
    assert!(first.starts_with(&format!("error: cannot listen on {address} for the admin API")), "{}", failed.err);
    assert!(failed.err.contains("fix: give it another address, with --admin"), "{}", failed.err);
}

#[test]
fn what_was_switched_through_the_admin_api_is_as_the_file_says_after_a_reload() {
    let folder = Folder::new("admin-reload");
    let file = |token: &str| {
        let upstream = origin("hello", Duration::ZERO);
        format!("[server]\nlisten = \"127.0.0.1:0\"\n[upstream]\nurls = [\"http://{upstream}\"]\n[admin]\n{token}\n")
    };
    folder.write("warmfront.toml", &file(""));
    let sidecar = Running::start(folder.path(), &["run"], &[]);
    let (address, admin) = sidecar.addresses();
    let off = "{\"enabled\":false}";
    assert!(send(admin, "PUT /api/cache/config", &format!("Content-Length: {}\r\n", off.len()), off).contains("\"enabled\":false"));
    assert!(ask(address, "GET /", "").contains("detail=disabled"));
    folder.write("warmfront.toml", &file("token = \"s3cret\""));
    sidecar.signal("HUP");
    sidecar.wait_for("warmfront: reloaded");
    assert!(!ask(address, "GET /", "").contains("detail=disabled"));
    assert!(ask(admin, "GET /api/cache/config", "").starts_with("HTTP/1.1 401"), "the token holds from now on");
    assert!(ask(admin, "GET /api/cache/config", "Authorization: Bearer s3cret\r\n").contains("\"enabled\":true"));
}
