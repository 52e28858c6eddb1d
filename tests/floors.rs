//! Keeps the walls of the house: who may lean on whom, and which file is the only door to a heavy crate.

use std::fs;
use std::path::{Path, PathBuf};

/// The rooms, lowest floor first. A module may name lower floors and its own room.
const FLOORS: [&[&str]; 11] = [
    &["error", "clock", "telemetry", "problem", "body", "priority", "suggest", "units"],
    &["rfc"],
    &["cache"],
    &["flow"],
    &["layer"],
    &["warm"],
    &["sidecar"],
    &["admin"],
    &["config"],
    &["cli"],
    &["fuzzing", "bench"],
];

/// Heavy crates: the crate's name in code, and the only places that may name it. The demo is a program of its own inside the command line, and
/// commands ask the admin API through a client of theirs.
const DOORS: [(&str, &[&str]); 18] = [
    ("governor::", &["src/sidecar/limits"]),
    ("flate2::", &["src/sidecar/otlp/"]),
    // The judges of tests: what is sent is written here.
    ("opentelemetry_proto::", &[]),
    ("prost::", &[]),
    ("moka::", &["src/cache/store.rs"]),
    ("hyper_util::", &["src/sidecar/", "src/admin/", "src/cli/demo/", "src/cli/client.rs"]),
    ("hyper::", &["src/sidecar/", "src/admin/", "src/cli/demo/", "src/cli/client.rs"]),
    ("rustix::", &["src/sidecar/open_files.rs"]),
    ("rustls::", &["src/sidecar/"]),
    ("tokio_rustls::", &["src/sidecar/"]),
    ("rustls_native_certs::", &["src/sidecar/"]),
    ("h2::", &["src/sidecar/"]),
    ("toml::", &["src/config/"]),
    ("clap::", &["src/cli/"]),
    ("console::", &["src/cli/verbs/"]),
    ("indicatif::", &["src/cli/verbs/"]),
    ("ratatui::", &["src/cli/top/"]),
    ("croner::", &["src/warm/schedule"]),
];

fn sources(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") && !path.ends_with("tests.rs") {
            into.push(path);
        }
    }
}

/// Every source file: its path from the root, its room, and its code without comments and tests.
fn code() -> Vec<(String, String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    sources(&root.join("src"), &mut files);
    files
        .iter()
        .map(|file| {
            let path = file.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            let room = path.trim_start_matches("src/").split(['/', '.']).next().unwrap().to_owned();
            let text = fs::read_to_string(file).unwrap();
            let text = text.split("\n#[cfg(test)]").next().unwrap();
            let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
            (path, room, lines.collect::<Vec<_>>().join("\n"))
        })
        .collect()
}

fn floor_of(room: &str) -> Option<usize> {
    FLOORS.iter().position(|rooms| rooms.contains(&room))
}

#[test]
fn every_room_stands_on_a_floor() {
    for (path, room, _) in code() {
        assert!(matches!(&*room, "lib" | "main" | "manual") || floor_of(&room).is_some(), "{path}: add its room to FLOORS");
    }
}

#[test]
fn no_room_leans_on_a_higher_one() {
    for (path, room, text) in code() {
        let Some(own) = floor_of(&room) else { continue };
        for used in text.split("crate::").skip(1) {
            let used: String = used.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            let Some(floor) = floor_of(&used) else { continue };
            assert!(used == room || floor < own || (own == 0 && floor == 0), "{path} leans on {used}");
        }
    }
}

#[test]
fn heavy_crates_stay_behind_their_doors() {
    for (path, _, text) in code() {
        for (name, doors) in DOORS {
            let named =
                text.match_indices(name).any(|(at, _)| !text[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':'));
            assert!(!named || doors.iter().any(|door| path.starts_with(door)), "{path} names {name}, whose doors are {doors:?}");
        }
    }
}
