//! Prints tables, traces and updates.

use std::io::{BufWriter, Write, stdout};

use anyhow::Result;
use clap::Parser;
use tables::oracle::Oracle;
use tables::summary::Summary;
use tables::update::{Update, updates};
use tables::{Family, Source, Table, trace};

/// Prints a routing table: `PREFIX NEXT-HOP`, one a line
#[derive(Parser)]
#[command(about)]
struct Command {
    /// ipv4 or ipv6
    family: Family,
    #[command(flatten)]
    source: Source,
    /// Print what the table is like instead
    #[arg(long, group = "what")]
    summary: bool,
    /// Print addresses instead, each with its next hop in the table (0: none)
    #[arg(long, group = "what", value_name = "KIND")]
    trace: Option<trace::Kind>,
    /// Print updates instead: `A PREFIX NEXT-HOP` announces, `W PREFIX` withdraws
    #[arg(long, group = "what")]
    updates: bool,
    /// How many addresses or updates
    #[arg(long, default_value_t = 1_000_000)]
    count: usize,
}

fn main() -> Result<()> {
    let command = Command::parse();
    let table = command.source.table(command.family)?;
    let mut out = BufWriter::new(stdout().lock());
    if command.summary {
        write!(out, "{}", Summary::of(&table).text())?;
    } else if let Some(kind) = command.trace {
        print_trace(&mut out, &table, kind, &command)?;
    } else if command.updates {
        print_updates(&mut out, &table, &command)?;
    } else {
        for route in &table.routes {
            writeln!(out, "{} {}", route.to.net(table.family), route.hop)?;
        }
    }
    Ok(out.flush()?)
}

fn print_trace(
    out: &mut impl Write,
    table: &Table,
    kind: trace::Kind,
    command: &Command,
) -> Result<()> {
    let oracle = Oracle::new(table);
    for address in trace::addresses(table, kind, command.count, command.source.seed) {
        writeln!(out, "{} {}", table.family.address(address), oracle.hop(address))?;
    }
    Ok(())
}

fn print_updates(out: &mut impl Write, table: &Table, command: &Command) -> Result<()> {
    for update in updates(table, command.count, command.source.seed) {
        match update {
            Update::Announce(to, hop) => writeln!(out, "A {} {hop}", to.net(table.family))?,
            Update::Withdraw(to) => writeln!(out, "W {}", to.net(table.family))?,
        }
    }
    Ok(())
}
