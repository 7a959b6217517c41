//! Mistakes in a file: noted while it is read, and shown with their place and their mend.
#![forbid(unsafe_code)]

use std::fmt;
use std::io;
use std::ops::Range;
use std::string::FromUtf8Error;

/// Octets of the file, by their place in it.
pub(super) type Span = Range<usize>;

/// Most mistakes that are kept of one file; the others are counted.
const MISTAKES_MAX: usize = 100;

/// Why there is no [`Config`](super::Config).
#[derive(Debug, thiserror::Error)]
pub enum ConfigErrors {
    /// The file could not be read at all.
    #[error("error: cannot read {file}: {source}\n   = help: name a readable file: -c FILE")]
    Unreadable {
        /// The file, as it was named.
        file: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// The file was read and is wrong; in the order of the file.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n\n"))]
    Mistakes(Vec<ConfigError>),
}

/// One mistake in a file. Its `Display` form has several lines, without a newline at the end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConfigError {
    /// The file, as it was named.
    pub file: String,
    /// The line of the mistake; the first is 1.
    pub line: usize,
    /// The character of the line where the mistake starts; the first is 1.
    pub column: usize,
    /// The section and the key: `[[port]] addresses`.
    pub key: String,
    /// What is wrong.
    pub message: String,
    /// What would be right.
    pub help: String,
    /// The line where the other half of a contradiction stands.
    pub earlier_line: Option<usize>,
    /// The line itself.
    source: String,
    /// How many characters of it are wrong.
    width: usize,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, column, key, message, help, source, width, .. } = self;
        let number = line.to_string();
        let margin = " ".repeat(number.len());
        let separator = if key.is_empty() { "" } else { ": " };
        writeln!(f, "error: {key}{separator}{message}")?;
        writeln!(f, "{margin}--> {file}:{line}:{column}")?;
        writeln!(f, "{margin} |")?;
        writeln!(f, "{number} | {source}")?;
        writeln!(f, "{margin} | {}{}", self.indent(), "^".repeat(*width))?;
        if let Some(earlier) = self.earlier_line {
            writeln!(f, "{margin} = note: see line {earlier}")?;
        }
        write!(f, "{margin} = help: {help}")
    }
}

impl ConfigError {
    /// Blanks as wide as what stands before the mistake: a tab stays a tab.
    fn indent(&self) -> String {
        let before = self.source.chars().take(self.column - 1);
        before.map(|c| if c == '\t' { '\t' } else { ' ' }).collect()
    }
}

/// A mistake before anybody has counted lines.
#[derive(Debug)]
pub(super) struct Mistake {
    pub span: Span,
    pub key: String,
    pub message: String,
    pub help: String,
    /// Where the other half of a contradiction stands.
    pub earlier: Option<Span>,
}

/// The mistakes of one file, as they are found.
#[derive(Default, Debug)]
pub(super) struct Mistakes {
    list: Vec<Mistake>,
    /// How many there were, the ones that were not kept among them.
    count: usize,
}

impl Mistakes {
    pub fn push(&mut self, mistake: Mistake) {
        self.count += 1;
        if self.list.len() < MISTAKES_MAX {
            self.list.push(mistake);
        }
    }

    /// What the file has of TOML's own grammar wrong; `end` is the length of the file.
    pub fn push_syntax(&mut self, error: &toml::de::Error, end: usize) {
        let help = match error.message() {
            "duplicate key" => "give it once; only [[port]], [[route]] and [[neighbour]] repeat",
            _ => "a section is [name] or [[name]], a setting is key = value (see toml.io)",
        };
        self.push(Mistake {
            span: error.span().unwrap_or(end..end),
            key: String::new(),
            message: error.message().to_owned(),
            help: help.to_owned(),
            earlier: None,
        });
    }

    /// How many there are so far: a reader that compares two counts knows whether it succeeded.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The mistakes as an operator sees them, or nothing if there are none.
    pub fn into_errors(mut self, text: &str, file: &str) -> Option<ConfigErrors> {
        if self.list.is_empty() {
            return None;
        }
        self.list.sort_by_key(|mistake| mistake.span.start);
        let dropped = self.count - self.list.len();
        let mut errors: Vec<_> = self.list.into_iter().map(|m| placed(m, text, file)).collect();
        if let Some(last) = errors.last_mut().filter(|_| dropped > 0) {
            last.help = format!("{}\n\nerror: {dropped} more mistakes are not shown", last.help);
        }
        Some(ConfigErrors::Mistakes(errors))
    }
}

/// What is wrong with a file that is no text at all.
pub(super) fn no_text(error: &FromUtf8Error, file: &str) -> ConfigErrors {
    let at = error.utf8_error().valid_up_to();
    // Up to there the octets are the same.
    let text = String::from_utf8_lossy(error.as_bytes());
    let octet = error.as_bytes().get(at).copied().unwrap_or_default();
    let mistake = Mistake {
        span: at..at + 1,
        key: String::new(),
        message: format!("the octet {octet:#04x} is not UTF-8 here"),
        help: "save the file as UTF-8 text".to_owned(),
        earlier: None,
    };
    ConfigErrors::Mistakes(vec![placed(mistake, &text, file)])
}

fn placed(mistake: Mistake, text: &str, file: &str) -> ConfigError {
    let start = text.floor_char_boundary(mistake.span.start);
    let end = text.floor_char_boundary(mistake.span.end).max(start);
    let line_start = text[..start].rfind('\n').map_or(0, |newline| newline + 1);
    let line = text[line_start..].lines().next().unwrap_or_default();
    let column = text[line_start..start].chars().count() + 1;
    let left_of_line = line.chars().count().saturating_sub(column - 1);
    ConfigError {
        file: file.to_owned(),
        line: line_number(text, start),
        column,
        key: printable(&mistake.key),
        message: printable(&mistake.message),
        help: printable(&mistake.help),
        earlier_line: mistake.earlier.map(|earlier| line_number(text, earlier.start)),
        source: printable(line),
        width: text[start..end].chars().count().min(left_of_line).max(1),
    }
}

fn line_number(text: &str, at: usize) -> usize {
    1 + text.as_bytes().iter().take(at).filter(|&&octet| octet == b'\n').count()
}

/// A file may hold anything, its texts too; it must not steer the operator's terminal.
fn printable(text: &str) -> String {
    let harmless = |c: char| !c.is_control() || c == '\t';
    text.chars().map(|c| if harmless(c) { c } else { char::REPLACEMENT_CHARACTER }).collect()
}
