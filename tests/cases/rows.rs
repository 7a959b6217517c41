//! `kernel.toml`: what the kernel does with the frames of each case.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::Path;

use serde::Deserialize;

/// All cases by the names of their folders.
pub type Rows = BTreeMap<String, Row>;

/// What the kernel does with a case.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(untagged)]
pub enum Row {
    /// As the case says.
    As(Same),
    /// The first of the lines that differ, and the reason, which is written by hand.
    Otherwise { differs: Vec<String>, because: String },
    /// The kernel cannot be asked, for this reason.
    NotAsked { not_asked: String },
}

/// The one word of a row that has no more to say.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Same {
    Same,
}

/// The rows of `tests/cases/kernel.toml`.
pub fn read(cases: &Path) -> Result<Rows, String> {
    let text = fs::read_to_string(cases.join("kernel.toml")).map_err(|error| error.to_string())?;
    toml::from_str(&text).map_err(|error| error.to_string())
}

/// The cases that differ and do not say why.
pub fn unexplained(rows: &Rows) -> Vec<&str> {
    let bare = rows.iter().filter(|(_, row)| row.because() == Some(""));
    bare.map(|(name, _)| name.as_str()).collect()
}

impl Row {
    /// Why the kernel does otherwise, if it does.
    pub fn because(&self) -> Option<&str> {
        match self {
            Self::Otherwise { because, .. } => Some(because),
            _ => None,
        }
    }

    /// Why the kernel is not asked, if it is not.
    pub fn not_asked(&self) -> Option<&str> {
        match self {
            Self::NotAsked { not_asked } => Some(not_asked),
            _ => None,
        }
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quoted = |text: &str| toml::Value::from(text);
        match self {
            Self::As(Same::Same) => f.write_str("\"same\""),
            Self::NotAsked { not_asked } => write!(f, "{{ not_asked = {} }}", quoted(not_asked)),
            Self::Otherwise { differs, because } => {
                let differs = toml::Value::from(differs.clone());
                write!(f, "{{ differs = {differs}, because = {} }}", quoted(because))
            }
        }
    }
}
