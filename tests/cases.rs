//! The rules of the RFCs, one folder each in `tests/cases/`: what comes in, what must go out and
//! what must be dropped, and why. Here all run in memory, in milliseconds, and in `tests/wire.rs`
//! over veth; `tests/cases/README.md` says how a case is written.
//!
//! `UPDATE_CASES=1 cargo test --test cases` writes what happens as what is expected: the
//! difference is to be reviewed.

#[path = "cases/case.rs"]
mod case;
#[path = "cases/checklist.rs"]
mod checklist;
#[path = "cases/memory.rs"]
mod memory;
#[allow(dead_code, reason = "the rest is for the oracle")]
#[path = "oracle/random.rs"]
mod random;
#[path = "cases/router.rs"]
mod router;
#[path = "cases/rows.rs"]
mod rows;

use std::path::Path;

use case::{Case, Input};
use memory::Way;
use random::Random;
use router::Router;

#[test]
fn every_case_goes_as_its_rfc_says() {
    let update = std::env::var_os("UPDATE_CASES").is_some();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let cases = Case::folders(&folder);
    assert!(!cases.is_empty(), "no case in {}", folder.display());
    let failures: Vec<_> = cases.iter().filter_map(|path| check(path, update).err()).collect();
    assert!(
        failures.is_empty(),
        "\n{}\n{} of {} cases failed",
        failures.concat(),
        failures.len(),
        cases.len()
    );
    println!("{} cases", cases.len());
}

#[test]
fn the_checklist_is_up_to_date() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = root.join("tests/cases");
    let table = checklist::table(root, &Case::folders(&folder));
    let table = table.unwrap_or_else(|error| panic!("tests/cases/checklist.toml: {error}"));
    let file = folder.join("CHECKLIST.md");
    if std::env::var_os("UPDATE_CASES").is_some() {
        std::fs::write(&file, &table).expect("writable");
    }
    let found = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(found == table, "UPDATE_CASES=1 cargo test --test cases writes CHECKLIST.md anew");
}

/// R01, in memory, over damaged copies of every frame of the cases.
#[test]
fn damaged_frames_harm_nobody() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let mut random = Random::new(1); // the same damage in every run
    let (mut frames, mut area) = (0, memory::area());
    for path in Case::folders(&folder) {
        let name = path.display();
        let mut case = Case::read(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
        case.input = case.input.iter().flat_map(|frame| damaged(frame, &mut random)).collect();
        frames += case.input.len();
        let router = Router::new(&case.config);
        memory::same_both_ways(&case, &router, &mut area)
            .unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    println!("{frames} damaged frames");
}

/// Copies of a frame, each with up to three octets changed or its end cut off.
fn damaged(frame: &Input, random: &mut Random) -> Vec<Input> {
    const COPIES: usize = 32;
    let copy = |_| {
        let mut octets = frame.octets.clone();
        for _ in 0..=random.below(3) {
            let at = random.below(octets.len());
            octets[at] ^= 1 << random.below(8);
        }
        if random.once_in(4) {
            octets.truncate(random.below(octets.len()));
        }
        Input { octets, line: frame.line.clone(), ..*frame }
    };
    (0..COPIES).map(copy).collect()
}

/// Run one case both ways; what is wrong is the error.
fn check(path: &Path, update: bool) -> Result<(), String> {
    let name = path.file_name().unwrap_or_default().display();
    let complain = |what: String| format!("--- {name}\n{what}");
    let case = Case::read(path).map_err(complain)?;
    let router = Router::new(&case.config);
    let run = |way| memory::run(&case, &router, &mut memory::area(), way).map_err(complain);
    let (mut batch, single) = (run(Way::Batch)?, run(Way::OneByOne)?);
    if batch != single {
        let difference = batch.difference(&single);
        return Err(complain(format!("batch (-) and journey() (+) differ:\n{difference}")));
    }
    if update {
        batch.out.extend(case.control);
        return batch.write(path).map_err(|error| complain(error.to_string()));
    }
    if batch == case.expected {
        return Ok(());
    }
    let input: String = case.input.iter().map(|frame| format!("    {}\n", frame.line)).collect();
    Err(complain(format!("{input}{}", case.expected.difference(&batch))))
}
