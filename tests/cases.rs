//! The rules of the RFCs, one folder each in `tests/cases/`: what comes in, what must go out and
//! what must be dropped, and why. All run in memory, in milliseconds; `tests/cases/README.md` says
//! how a case is written.
//!
//! `UPDATE_CASES=1 cargo test --test cases` writes what happens as what is expected: the
//! difference is to be reviewed.

#[path = "cases/case.rs"]
mod case;
#[path = "cases/memory.rs"]
mod memory;
#[path = "cases/router.rs"]
mod router;

use std::fmt::Write;
use std::path::Path;

use case::{Case, Outcome};
use memory::Way;
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

/// Run one case both ways; what is wrong is the error.
fn check(path: &Path, update: bool) -> Result<(), String> {
    let name = path.file_name().unwrap_or_default().display();
    let complain = |what: String| format!("--- {name}\n{what}");
    let case = Case::read(path).map_err(complain)?;
    let router = Router::new(&case.config);
    let batch = memory::run(&case, &router, Way::Batch).map_err(complain)?;
    let single = memory::run(&case, &router, Way::OneByOne).map_err(complain)?;
    if batch != single {
        let difference = difference(&batch, &single);
        return Err(complain(format!("batch (-) and journey() (+) differ:\n{difference}")));
    }
    if update {
        return batch.write(path).map_err(|error| complain(error.to_string()));
    }
    if batch == case.expected {
        return Ok(());
    }
    let input: String = case.input.iter().map(|frame| format!("    {}\n", frame.line)).collect();
    Err(complain(format!("{input}{}", difference(&case.expected, &batch))))
}

/// Lines that only `expected` has with `-` before them, those that only `found` has with `+`.
fn difference(expected: &Outcome, found: &Outcome) -> String {
    let mut text = String::new();
    let files =
        [("out.txt", &expected.out, &found.out), ("drops.txt", &expected.drops, &found.drops)];
    for (file, expected, found) in files.iter().filter(|(_, expected, found)| expected != found) {
        let _ = writeln!(text, "  {file}");
        for (sign, line) in changes(expected, found) {
            let _ = writeln!(text, "  {sign} {line}");
        }
    }
    text
}

/// The lines of both lists in order, each with `-`, `+` or a blank.
fn changes<'l>(expected: &'l [String], found: &'l [String]) -> Vec<(char, &'l str)> {
    let mut found = found.iter().peekable();
    let mut lines = Vec::new();
    for line in expected {
        if !found.clone().any(|other| other == line) {
            lines.push(('-', line.as_str()));
            continue;
        }
        while let Some(other) = found.next_if(|other| *other != line) {
            lines.push(('+', other.as_str()));
        }
        lines.extend(found.next().map(|line| (' ', line.as_str())));
    }
    lines.extend(found.map(|line| ('+', line.as_str())));
    lines
}
