//! Tables of others: lists of prefixes, and the dumps of RIPE RIS and RouteViews.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use anyhow::{Context, Result, ensure};
use bgpkit_parser::BgpkitParser;
use bgpkit_parser::models::{MrtMessage, TableDumpV2Message};
use bzip2::read::MultiBzDecoder;
use flate2::read::MultiGzDecoder;
use ipnet::IpNet;

/// The prefixes of a list: the first word of each line, but for empty lines and comments (`#`).
///
/// # Errors
/// The file cannot be read, or a line does not begin with a prefix.
pub fn list(path: &Path) -> Result<Vec<IpNet>> {
    let mut prefixes = Vec::new();
    for (number, line) in (1..).zip(BufReader::new(open(path)?).lines()) {
        let line = line?;
        match line.split_whitespace().next() {
            Some(word) if !word.starts_with('#') => {
                let net: IpNet = word.parse().with_context(|| format!("line {number}: {word}"))?;
                prefixes.push(net.trunc());
            }
            _ => {}
        }
    }
    Ok(prefixes)
}

/// The unicast prefixes of an MRT dump of a table (RFC 6396, TABLE_DUMP_V2), as often as they
/// stand there.
///
/// # Errors
/// The file cannot be read, or is no such dump.
pub fn mrt(path: &Path) -> Result<Vec<IpNet>> {
    let parser = BgpkitParser::from_reader(open(path)?);
    let prefixes: Vec<_> =
        parser.into_record_iter().filter_map(|record| prefix(record.message)).collect();
    ensure!(
        !prefixes.is_empty(),
        "no TABLE_DUMP_V2 entries; a table's dump is called bview or rib"
    );
    Ok(prefixes)
}

fn prefix(message: MrtMessage) -> Option<IpNet> {
    match message {
        MrtMessage::TableDumpV2Message(TableDumpV2Message::RibAfi(entries)) => {
            Some(entries.prefix.prefix.trunc())
        }
        _ => None,
    }
}

/// The file, unpacked if it begins like something packed.
fn open(path: &Path) -> Result<Box<dyn Read + Send>> {
    let mut file = File::open(path)?;
    let mut magic = [0; 3];
    let read = file.read(&mut magic)?;
    file.seek(SeekFrom::Start(0))?;
    Ok(match &magic[..read] {
        [0x1f, 0x8b, ..] => Box::new(MultiGzDecoder::new(BufReader::new(file))),
        b"BZh" => Box::new(MultiBzDecoder::new(BufReader::new(file))),
        _ => Box::new(BufReader::new(file)),
    })
}
