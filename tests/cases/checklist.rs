//! What the RFCs ask of a router, row by row, and which case or test looks after it.
//!
//! `checklist.toml` is written by hand; `CHECKLIST.md` follows from it, from the READMEs of the
//! cases, which name the rows that they cover, and from `kernel.toml`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use crate::case::ONLY_IN_MEMORY;
use crate::rows::{self, Row as Kernel};

/// What the hand-written file says of each row.
type Rows = BTreeMap<String, Row>;

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    /// The rule, in few words.
    what: String,
    /// Tests beside the cases: `file function`.
    #[serde(default)]
    tests: Vec<String>,
    /// Why the row asks nothing of this router.
    not_ours: Option<String>,
}

/// CHECKLIST.md as it should be; an error if a row, a case or a test is not there.
pub fn table(root: &Path, cases: &[PathBuf]) -> Result<String, String> {
    let text = fs::read_to_string(root.join("tests/cases/checklist.toml")).expect("readable");
    let rows: Rows = toml::from_str(&text).map_err(|error| error.to_string())?;
    let named: Vec<_> = cases.iter().map(|path| (path.as_path(), numbers(path))).collect();
    for (path, numbers) in &named {
        if let Some(number) = numbers.iter().find(|number| !rows.contains_key(*number)) {
            return Err(format!("{}: there is no row {number}", path.display()));
        }
    }
    let kernel = rows::read(&root.join("tests/cases"))?;
    let known: BTreeSet<_> = cases.iter().map(|path| folder(path)).collect();
    if !known.iter().eq(kernel.keys()) {
        return Err("kernel.toml has other cases: ROUTER=kernel UPDATE_CASES=1 mends it".into());
    }
    if let [case, ..] = rows::unexplained(&kernel).as_slice() {
        return Err(format!("kernel.toml does not say why {case} differs"));
    }
    let mut table = String::new();
    let mut open = 0;
    for (number, row) in &rows {
        let cases = named.iter().filter(|(_, numbers)| numbers.contains(number));
        let cases: Vec<_> = cases.map(|(path, _)| *path).collect();
        let kernel: Vec<_> =
            cases.iter().filter_map(|path| kernel.get_key_value(&folder(path))).collect();
        let kernel = by_kernel(&kernel);
        let cases: Vec<_> = cases.into_iter().map(name).collect();
        let covered = covered(root, row, &cases).map_err(|error| format!("{number}: {error}"))?;
        open += usize::from(covered == OPEN);
        let _ = writeln!(table, "| {number} | {} | {covered} | {kernel} |", row.what);
    }
    let count = rows.len();
    Ok(format!("{HEAD}\n{count} rows, {open} of them open.\n\n{COLUMNS}\n{table}"))
}

const HEAD: &str = "\
# Checklist

What the RFCs ask of a router, and the cases and tests that look after it. Written by
`UPDATE_CASES=1 cargo test --test cases` from `checklist.toml` and the READMEs of the cases.
A case is run in memory and over veth unless it says otherwise.

The last column says what the Linux kernel does as the router with the same frames, by `kernel.toml`:
the worst of the row's cases; `-` where it is not asked.
";
const COLUMNS: &str = "| row | rule | looked after by | kernel |\n| --- | --- | --- | --- |";
/// Nobody looks after it.
const OPEN: &str = "**open**";

/// What looks after a row.
fn covered(root: &Path, row: &Row, cases: &[String]) -> Result<String, String> {
    let tests: Result<Vec<_>, _> = row.tests.iter().map(|test| found(root, test)).collect();
    let by: Vec<_> = cases.iter().cloned().chain(tests?).collect();
    match &row.not_ours {
        Some(why) if by.is_empty() => Ok(format!("not ours: {why}")),
        Some(_) => Err(format!("is not ours, and yet there is {}", by.join(", "))),
        None if by.is_empty() => Ok(OPEN.into()),
        None => Ok(by.join(", ")),
    }
}

/// What the kernel does with a row's cases, the worst of it.
fn by_kernel(cases: &[(&String, &Kernel)]) -> String {
    let reasons = |of: fn(&Kernel) -> Option<&str>| {
        let reasons = cases.iter().filter_map(|(name, row)| match (of(row)?, cases) {
            (reason, [_]) => Some(reason.to_owned()),
            (reason, _) => Some(format!("`{name}`: {reason}")),
        });
        reasons.collect::<Vec<_>>().join("; ")
    };
    let is_same = cases.iter().any(|(_, row)| matches!(row, Kernel::As(_)));
    match (reasons(Kernel::because), is_same, reasons(Kernel::not_asked)) {
        (differs, ..) if !differs.is_empty() => format!("differs: {differs}"),
        (_, true, _) => "same".into(),
        (_, _, not_asked) if !not_asked.is_empty() => format!("-: {not_asked}"),
        _ => "-".into(),
    }
}

fn folder(case: &Path) -> String {
    case.file_name().unwrap_or_default().display().to_string()
}

fn name(case: &Path) -> String {
    let name = folder(case);
    let only = if case.join(ONLY_IN_MEMORY).exists() { " (in memory)" } else { "" };
    format!("`{name}`{only}")
}

/// A test, if its file has a function of that name.
fn found(root: &Path, test: &str) -> Result<String, String> {
    let (file, function) = test.split_once(' ').unwrap_or_default();
    let text = fs::read_to_string(root.join(file)).map_err(|error| format!("{test}: {error}"))?;
    if text.contains(&format!("fn {function}(")) {
        return Ok(format!("{file} `{function}`"));
    }
    Err(format!("there is no {function} in {file}"))
}

/// The rows that a case's README names.
fn numbers(case: &Path) -> BTreeSet<String> {
    let text = fs::read_to_string(case.join("README")).unwrap_or_default();
    let words = text.split(|c: char| !c.is_ascii_alphanumeric());
    let is_number = |word: &&str| {
        let digits = word.strip_prefix('C').filter(|digits| digits.len() == 3);
        digits.is_some_and(|digits| digits.bytes().all(|digit| digit.is_ascii_digit()))
    };
    words.filter(is_number).map(str::to_owned).collect()
}
