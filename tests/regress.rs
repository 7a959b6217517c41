//! The fuzz targets without a fuzzer: over everything that they have once found worth keeping
//! (`tests/fuzz/corpus/`), over every input that once did harm (`tests/regress/`), and over the
//! frames of the cases, which are also what the fuzzer starts from.
//!
//! `FUZZ_SEEDS=FOLDER cargo test --test regress` writes those to a folder; `scripts/fuzz` does.

#[allow(dead_code, reason = "the rest is for tests/cases.rs")]
#[path = "cases/case.rs"]
mod case;
#[path = "cases/memory.rs"]
#[allow(dead_code, reason = "the cases use more of it")]
mod memory;
#[path = "cases/router.rs"]
mod router;
#[path = "fuzz/seeds.rs"]
mod seeds;
#[path = "fuzz/targets/mod.rs"]
mod targets;

use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

use seeds::Seed;

#[test]
fn what_was_found_once_does_no_harm() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let mut inputs = 0;
    for (target, run) in targets::ALL {
        for folder in ["fuzz/corpus", "regress"] {
            let files = files(&tests.join(folder).join(target));
            assert!(!files.is_empty() || folder == "regress", "{target} has no corpus");
            inputs += files.len();
            for file in files {
                let octets = fs::read(&file).expect("readable");
                let result = catch_unwind(|| run(&octets));
                assert!(result.is_ok(), "{target} fails with {}", file.display());
            }
        }
    }
    println!("{inputs} inputs");
}

/// A folder of another name would never be looked at.
#[test]
fn every_folder_is_a_targets() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let folders = ["fuzz/corpus", "regress"].map(|folder| files(&tests.join(folder)));
    for folder in folders.iter().flatten().filter(|path| path.is_dir()) {
        let known = targets::ALL.iter().any(|(target, _)| folder.ends_with(target));
        assert!(known, "{} is no target's", folder.display());
    }
}

#[test]
fn the_cases_do_no_harm() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let seeds = seeds::all(root);
    let folder = std::env::var_os("FUZZ_SEEDS").map(PathBuf::from);
    for (target, run) in targets::ALL {
        let of_target: Vec<_> = seeds.iter().filter(|seed| seed.target == target).collect();
        assert!(!of_target.is_empty(), "{target} has no seed");
        of_target.iter().for_each(|seed| run(&seed.octets));
        if let Some(folder) = &folder {
            write(&folder.join(target), &of_target);
        }
    }
    println!("{} seeds", seeds.len());
}

fn write(folder: &Path, seeds: &[&Seed]) {
    fs::create_dir_all(folder).expect("a folder");
    for seed in seeds {
        fs::write(folder.join(&seed.name), &seed.octets).expect("written");
    }
}

/// The files of a folder in order; one that is not there has none.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    let mut files: Vec<_> = entries.map(|entry| entry.expect("readable").path()).collect();
    files.sort();
    files
}
