//! The layers of `router/`: who may import whom, and where unsafe code may live.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// A room, and the rooms that it may use besides itself. Everything points downwards.
const MAY_USE: [(&str, &[&str]); 13] = [
    ("id", &[]),
    ("sync", &[]),
    ("packet", &["id"]),
    ("frame", &["id"]),
    ("config", &["table", "packet", "id"]),
    ("table", &["packet", "sync", "id"]),
    ("pipeline", &["table", "packet", "frame", "sync", "id"]),
    ("io", &["frame", "packet", "id"]),
    ("worker", &["io", "pipeline", "table", "frame", "packet", "id"]),
    ("control", &["worker", "io", "pipeline", "config", "table", "frame", "packet", "id"]),
    ("api", &["control", "pipeline", "config", "table", "packet", "id"]),
    ("adopt", &["control", "io", "config", "table", "packet", "id"]),
    ("cli", &["adopt", "api", "control", "config", "table", "packet", "id"]),
];

/// The only places with unsafe code: who owns which bytes, memory shared with the XDP program,
/// the kernel's rings. `lib.rs` cannot forbid it for the whole crate and has none.
/// `table/mod.rs` denies it, since what it forbids no module below it could allow.
const UNSAFE: [&str; 5] = ["frame/", "table/mod.rs", "table/shared.rs", "io/", "lib.rs"];

/// The only file that asks for the time of day.
const WALL_CLOCK: &str = "worker/mod.rs";

#[test]
fn imports_point_downwards() {
    for (file, text) in sources() {
        let Some((room, may_use)) = MAY_USE.iter().find(|(room, _)| in_room(&file, room)) else {
            assert!(!file.contains('/'), "{file}: a room that MAY_USE does not know");
            continue;
        };
        for used in imports(&text).into_iter().filter(|used| used != room) {
            assert!(may_use.contains(&used.as_str()), "{file} uses crate::{used}");
        }
    }
}

#[test]
fn unsafe_code_stays_at_home() {
    for (file, text) in sources() {
        let at_home = UNSAFE.iter().any(|home| file.starts_with(home));
        let forbids = text.contains("#![forbid(unsafe_code)]");
        assert!(at_home || forbids, "{file} does not forbid unsafe code");
    }
}

/// R15: a clock that is set harms nobody who does not read it. The log does, in its library, and one
/// place for the option that asks for the time of day (RFC 791 3.1).
#[test]
fn nobody_reads_the_wall_clock() {
    for (file, text) in sources().into_iter().filter(|(file, _)| file != WALL_CLOCK) {
        for clock in ["SystemTime", "UNIX_EPOCH", "CLOCK_REALTIME", "gettimeofday"] {
            assert!(!text.contains(clock), "{file} uses {clock}");
        }
    }
}

fn in_room(file: &str, room: &str) -> bool {
    let rest = file.strip_prefix(room);
    rest.is_some_and(|rest| rest.starts_with('/') || rest == ".rs")
}

/// What stands after each `crate::`, also of several in braces.
fn imports(text: &str) -> BTreeSet<String> {
    let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    let code = code.collect::<Vec<_>>().join("\n");
    code.split("crate::").skip(1).flat_map(first_names).collect()
}

/// `a::b` gives a; `{a::{b, c}, d}` gives a and d.
fn first_names(path: &str) -> Vec<String> {
    let Some(group) = path.strip_prefix('{') else {
        return vec![name(path)];
    };
    let mut depth = 0;
    let top_level = group.split_inclusive(['{', '}', ',']).filter(|piece| {
        let before = depth;
        depth += i32::from(piece.ends_with('{')) - i32::from(piece.ends_with('}'));
        before == 0
    });
    let until_closed = top_level.scan(false, |closed, piece| {
        let now = std::mem::replace(closed, *closed || piece.ends_with('}'));
        (!now).then(|| name(piece.trim_start()))
    });
    until_closed.filter(|name| !name.is_empty()).collect()
}

fn name(path: &str) -> String {
    path.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

/// Every file below `router/`, by its path there, with its text.
fn sources() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("router");
    let mut files = Vec::new();
    collect(&root, &mut files);
    assert!(!files.is_empty());
    let relative = |file: &PathBuf| file.strip_prefix(&root).ok().map(|f| f.display().to_string());
    files
        .iter()
        .filter_map(|file| Some((relative(file)?, fs::read_to_string(file).ok()?)))
        .collect()
}

fn collect(directory: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).expect("readable").map(|entry| entry.expect("readable")) {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

#[test]
fn imports_are_found() {
    let text = "use crate::{a::{b, c}, d, e::f};\n// crate::g\nlet x = crate::h::i();\n";
    assert_eq!(imports(text).into_iter().collect::<Vec<_>>(), ["a", "d", "e", "h"]);
}
