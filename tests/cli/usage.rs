//! Arguments, help and exit codes.

use crate::process::{Folder, outcome};

#[test]
fn no_command_is_wrong_usage_with_help() {
    let folder = Folder::new("no-command");
    let nothing = outcome(folder.path(), &[], &[]);
    assert_eq!((nothing.code, nothing.out.as_str()), (Some(2), ""));
    assert!(nothing.err.contains("Usage: warmfront <COMMAND>") && nothing.err.contains("warmfront demo"));
}

#[test]
fn help_and_version_go_to_stdout() {
    let folder = Folder::new("help");
    for (args, text) in [
        (&["--help"][..], "Exit codes: 0 done, 1 the work failed, 2 wrong usage."),
        (&["run", "--help"], "warmfront run --upstream http://127.0.0.1:9000"),
        (&["run", "--help"], "--set warm.concurrency=8"),
        (&["check", "--help"], "--connect"),
        (&["check", "--help"], "#:schema ./warmfront.schema.json"),
        (&["completions", "--help"], "warmfront completions fish"),
        (&["demo", "--help"], "--listen"),
        (&["learn", "--help"], "--min-hits"),
        (&["plan", "--help"], "warmfront plan --admin http://10.0.0.7:9180 --group brands"),
        (&["top", "--help"], "--interval"),
        (&["--version"], concat!("warmfront ", env!("CARGO_PKG_VERSION"), "\n")),
    ] {
        let shown = outcome(folder.path(), args, &[]);
        assert_eq!((shown.code, shown.err.as_str()), (Some(0), ""), "{args:?}");
        assert!(shown.out.contains(text) && !shown.out.contains('\u{1b}'), "{args:?}: {}", shown.out);
        assert!(shown.out.lines().all(|line| line.chars().count() <= 100), "{args:?}: {}", shown.out);
    }
}

#[test]
fn unknown_flags_and_commands_are_wrong_usage() {
    let folder = Folder::new("unknown");
    for args in [&["rum"][..], &["run", "--upstreams", "x"], &["check", "extra"], &["run", "--workers"]] {
        let wrong = outcome(folder.path(), args, &[]);
        assert_eq!((wrong.code, wrong.out.as_str()), (Some(2), ""), "{args:?}");
        assert!(wrong.err.starts_with("error: "), "{args:?}: {}", wrong.err);
    }
}

#[test]
fn a_flag_that_cannot_be_is_wrong_usage_and_a_file_that_cannot_be_is_not() {
    let folder = Folder::new("flags");
    let flags = outcome(folder.path(), &["run", "--upstream", "http://127.0.0.1:1", "--workers", "many", "--max-bytes", "lots"], &[]);
    assert_eq!(flags.code, Some(2));
    assert!(flags.err.starts_with("error: 2 faults in the flags\n\n--max-bytes: cache.max_bytes: found \"lots\""), "{}", flags.err);
    folder.write("warmfront.toml", "[server]\nworkers = \"many\"\n");
    let file = outcome(folder.path(), &["run", "--upstream", "http://127.0.0.1:1", "--workers", "many"], &[]);
    assert_eq!(file.code, Some(1));
    assert!(file.err.starts_with("error: 2 faults in warmfront.toml and the flags\n"), "{}", file.err);
}

#[test]
fn an_admin_address_that_is_open_to_others_needs_a_token() {
    let folder = Folder::new("admin");
    let args = ["run", "--upstream", "http://127.0.0.1:1", "--admin", "0.0.0.0:9180"];
    let open = outcome(folder.path(), &args, &[]);
    assert_eq!(open.code, Some(2));
    assert!(open.err.contains("--admin: admin.listen: 0.0.0.0:9180 is open to others, and there is no token"), "{}", open.err);
}
