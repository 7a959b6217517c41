//! Figures that the bar for reliability asks for, each in a line of its own: what scripts/soak and
//! scripts/test show as a table.

use std::fmt::Display;
use std::fs::OpenOptions;
use std::io::Write;

/// Note what a rule asks for and what was measured, and fail the test if it is not met. With
/// `FIGURES=file` in the environment the line goes to that file, too.
#[track_caller]
pub fn figure(rule: &str, asked: &str, measured: impl Display, met: bool) {
    let verdict = if met { "met" } else { "NOT MET" };
    let line = format!("{rule}\t{asked}\t{measured}\t{verdict}\n");
    eprint!("{line}");
    if let Ok(path) = std::env::var("FIGURES") {
        let file = OpenOptions::new().create(true).append(true).open(path);
        file.expect("FIGURES can be written").write_all(line.as_bytes()).expect("there is room");
    }
    assert!(met, "{rule}: asked for {asked}, measured {measured}");
}
