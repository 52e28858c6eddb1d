//! `completions`: a script for each shell that knows the verbs.

use crate::process::{Folder, outcome};
use std::io::Write as _;
use std::process::{Command, Stdio};

/// The verbs as `--help` lists them.
fn verbs(help: &str) -> Vec<&str> {
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    listed.filter_map(|line| line.strip_prefix("  ")?.split(' ').next()).filter(|verb| !verb.is_empty()).collect()
}

#[test]
fn each_shell_learns_every_verb_and_its_flags() {
    let folder = Folder::new("completions");
    let help = outcome(folder.path(), &["--help"], &[]).out;
    let verbs = verbs(&help);
    assert!(["run", "check", "completions", "help"].iter().all(|verb| verbs.contains(verb)), "{verbs:?}");
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = outcome(folder.path(), &["completions", shell], &[]);
        assert_eq!((script.code, script.err.as_str()), (Some(0), ""), "{shell}");
        let words: Vec<&str> = script.out.split(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '_').collect();
        for verb in &verbs {
            assert!(words.contains(verb), "{shell} does not know {verb}");
        }
        assert!(script.out.contains("max-bytes") && script.out.contains("schema"), "{shell}");
    }
}

#[test]
fn bash_takes_its_script_and_completes_with_it() {
    let folder = Folder::new("completions-bash");
    let script = outcome(folder.path(), &["completions", "bash"], &[]).out;
    let mut bash = Command::new("bash").arg("-n").stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    bash.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    let read = bash.wait_with_output().unwrap();
    assert!(read.status.success() && read.stderr.is_empty(), "{}", String::from_utf8_lossy(&read.stderr));
    let typed = "COMP_WORDS=(warmfront check --sch); COMP_CWORD=2; _warmfront warmfront --sch check; echo \"${COMPREPLY[@]}\"";
    let completed = Command::new("bash").arg("-c").arg(format!("{script}\n{typed}")).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&completed.stdout), "--schema\n");
}

#[test]
fn a_shell_that_is_not_known_is_wrong_usage_and_names_those_that_are() {
    let folder = Folder::new("completions-unknown");
    let wrong = outcome(folder.path(), &["completions", "tcsh"], &[]);
    assert_eq!((wrong.code, wrong.out.as_str()), (Some(2), ""));
    assert!(wrong.err.contains("bash, elvish, fish, powershell, zsh"), "{}", wrong.err);
}
