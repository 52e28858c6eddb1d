//! `--set KEY=VALUE`.

use crate::process::{Folder, Running, origin, outcome};
use std::time::Duration;

#[test]
fn run_takes_any_key_on_the_command_line() {
    let folder = Folder::new("set-run");
    folder.write("warmfront.toml", "[cache]\nmax_bytes = \"8MiB\"\nmax_object = \"1MiB\"\n");
    let upstream = format!("upstream.urls=http://{}", origin("hello", Duration::ZERO));
    let args = ["run", "--set", "server.listen=127.0.0.1:0", "--set", &upstream, "--set", "cache.max_bytes=32MiB"];
    let sidecar = Running::start(folder.path(), &args, &[("WARMFRONT_CACHE__MAX_BYTES", "16MiB")]);
    let line = sidecar.wait_for(" listening on ");
    assert!(line.ends_with("cache 32 MiB"), "{line}");
}

#[test]
fn a_slip_in_a_key_is_wrong_usage_with_the_key_that_was_meant() {
    let folder = Folder::new("set-slip");
    // Where it listens is taken: a run that overlooks the slip ends as well.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = taken.local_addr().unwrap();
    folder.write("warmfront.toml", &format!("[server]\nlisten = \"{listen}\"\n[upstream]\nurls = \"http://a\"\n"));
    for verb in ["run", "check"] {
        let slip = outcome(folder.path(), &[verb, "--set", "warm.concurency=8"], &[]);
        assert_eq!((slip.code, slip.out.as_str()), (Some(2), ""), "{verb}");
        let text = "error: 1 fault in the flags\n\n--set: warm.concurency: unknown key\n  fix: did you mean warm.concurrency?\n";
        assert_eq!(slip.err, text, "{verb}");
        let bare = outcome(folder.path(), &[verb, "--set", "warm.concurrency"], &[]);
        assert_eq!(bare.code, Some(2));
        assert!(bare.err.contains("write KEY=VALUE, as warm.concurrency=8"), "{}", bare.err);
    }
}

#[test]
fn check_says_what_run_would_make_of_it() {
    let folder = Folder::new("set-check");
    folder.write("warmfront.toml", "[upstream]\nurls = \"http://a\"\n");
    let good = outcome(folder.path(), &["check", "--set", "cache.max_bytes=1GiB"], &[]);
    assert_eq!((good.code, good.err.as_str()), (Some(0), ""));
    assert!(good.out.contains("cache     1 GiB,"), "{}", good.out);
    // With a fault in the file as well the command line is not alone to blame.
    folder.write("warmfront.toml", "[upstream]\nurls = \"http://a\"\n[cache]\nmax_byte = 1\n");
    let both = outcome(folder.path(), &["check", "--set", "cache.max_bytes=lots"], &[]);
    assert_eq!(both.code, Some(1));
    assert!(both.err.starts_with("error: 2 faults in warmfront.toml and the flags\n"), "{}", both.err);
}
