//! A case as its folder has it. Nothing here knows how it is run.

use std::fmt::Write;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use xrouter::config::Config;
use xrouter::id::PortId;
use xrouter::packet::text::{Direction, format_frame, parse_line};

/// The seed of the flow hash where a case does not say one: always the same, so that a case is.
pub const HASH_SEED: u32 = 1;
/// The file of a case that says why it makes no sense over veth.
pub const ONLY_IN_MEMORY: &str = "only-in-memory";
/// How the lines of out.txt begin that say what control sends.
pub const CONTROL: &str = "control ";

/// One folder of `tests/cases/`.
#[derive(Debug)]
pub struct Case {
    pub config: Config,
    pub input: Vec<Input>,
    /// What the workers do.
    pub expected: Outcome,
    /// What control then sends of its own, each line once.
    pub control: Vec<String>,
}

/// One line of in.txt.
#[derive(Debug)]
pub struct Input {
    pub line: String,
    pub from: Source,
    pub port: PortId,
    pub octets: Vec<u8>,
}

/// Who sends a frame to the router.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Source {
    /// A host on the wire.
    Wire,
    /// The kernel's stack, through the port's tap.
    Tap,
}

/// What becomes of the frames: the lines of out.txt and drops.txt in their fixed order.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Outcome {
    pub out: Vec<String>,
    pub drops: Vec<String>,
}

impl Case {
    /// The folders of all cases.
    pub fn folders(folder: &Path) -> Vec<PathBuf> {
        let entries = fs::read_dir(folder).expect("readable");
        let paths = entries.map(|entry| entry.expect("readable").path());
        let mut folders: Vec<_> = paths.filter(|path| path.is_dir()).collect();
        folders.sort();
        folders
    }

    /// Read the files of one folder.
    pub fn read(folder: &Path) -> Result<Self, String> {
        if !folder.join("README").is_file() {
            return Err("has no README that says which rule it is about\n".into());
        }
        let config = Config::load(&config_file(folder)).map_err(|error| format!("{error}\n"))?;
        let input = lines(&folder.join("in.txt"));
        let input = input.iter().map(|line| Input::read(line, &config));
        let input = input.collect::<Result<Vec<_>, _>>()?;
        if input.is_empty() {
            return Err("has no frame in its in.txt\n".into());
        }
        let out = lines(&folder.join("out.txt"));
        let out = out.iter().map(|line| canonical(line)).collect::<Result<Vec<_>, _>>()?;
        let (control, out) = out.into_iter().partition(|line| line.starts_with(CONTROL));
        let expected = Outcome::new(out, lines(&folder.join("drops.txt")), &config);
        Ok(Self { config, input, expected, control })
    }
}

/// The router.toml of a case.
pub fn config_file(folder: &Path) -> PathBuf {
    let own = Some(folder.join("config.toml")).filter(|file| file.is_file());
    own.unwrap_or_else(|| folder.with_file_name("default.toml"))
}

/// A line of out.txt: a frame that leaves by a port or, with `way`, up its tap.
pub fn frame_line(way: &str, unfinished: bool, port: &str, octets: &[u8]) -> String {
    let unfinished = if unfinished { "unfinished " } else { "" };
    format!("{way}{unfinished}{}", format_frame(port, Direction::Leaves, octets))
}

impl Input {
    fn read(line: &str, config: &Config) -> Result<Self, String> {
        let (from, frame) = match line.strip_prefix("tap ") {
            Some(frame) => (Source::Tap, frame),
            None => (Source::Wire, line),
        };
        let (port, direction, octets) = frame_of(frame)?;
        let known = config.port_named(&port).filter(|_| direction == Direction::Arrives);
        let (port, _) = known.ok_or_else(|| format!("comes in by no port: {line}\n"))?;
        Ok(Self { line: line.to_owned(), from, port, octets })
    }
}

impl Outcome {
    /// Put the lines in their order: wires, taps, what is held, what is reported, what control
    /// sends, each by port.
    pub fn new(mut out: Vec<String>, mut drops: Vec<String>, config: &Config) -> Self {
        let ways = ["tap", "hold", "report", "control"];
        let place = |line: &String| {
            let line = line.strip_prefix("unfinished ").unwrap_or(line);
            let (first, rest) = line.split_once(' ').unwrap_or_default();
            let way = ways.iter().position(|&word| word == first);
            let port = if way.is_some() { rest.split(' ').next() } else { Some(first) };
            (way, port.and_then(|port| config.port_named(port)).map(|(id, _)| id))
        };
        out.sort_by_key(place);
        drops.sort();
        Self { out, drops }
    }

    /// Write both files; one that would be empty is removed.
    pub fn write(&self, folder: &Path) -> io::Result<()> {
        for (name, lines) in [("out.txt", &self.out), ("drops.txt", &self.drops)] {
            let file = folder.join(name);
            match lines.as_slice() {
                [] if file.exists() => fs::remove_file(file)?,
                [] => {}
                lines => fs::write(file, lines.join("\n") + "\n")?,
            }
        }
        Ok(())
    }

    /// Lines that only `self` has with `-` before them, those that only `found` has with `+`.
    pub fn difference(&self, found: &Self) -> String {
        let mut text = String::new();
        let files = [("out.txt", &self.out, &found.out), ("drops.txt", &self.drops, &found.drops)];
        for (file, expected, found) in files.iter().filter(|(_, own, found)| own != found) {
            let _ = writeln!(text, "  {file}");
            for (sign, line) in changes(expected, found) {
                let _ = writeln!(text, "  {sign} {line}");
            }
        }
        text
    }
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

/// The lines of a file, comments and empty ones left out. A file that is not there has none.
fn lines(file: &Path) -> Vec<String> {
    let text = fs::read_to_string(file).unwrap_or_default();
    let lines = text.lines().map(str::trim);
    lines.filter(|line| !line.is_empty() && !line.starts_with('#')).map(str::to_owned).collect()
}

/// A line of out.txt as the runner writes it: frames with every word that it would use.
fn canonical(line: &str) -> Result<String, String> {
    if line.starts_with("hold ") || line.starts_with("report ") {
        return Ok(line.to_owned());
    }
    let words = [CONTROL, "tap ", "unfinished "];
    let start = words
        .iter()
        .fold(0, |at, word| if line[at..].starts_with(word) { at + word.len() } else { at });
    let (before, frame) = line.split_at(start);
    match frame_of(frame)? {
        (port, Direction::Leaves, octets) => {
            Ok(format!("{before}{}", format_frame(&port, Direction::Leaves, &octets)))
        }
        _ => Err(format!("arrives, in out.txt: {line}\n")),
    }
}

fn frame_of(line: &str) -> Result<(String, Direction, Vec<u8>), String> {
    parse_line(line).map_err(|error| format!("{error}\nin the line: {line}\n"))
}
