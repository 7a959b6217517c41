//! `xrouter show`: the running router as tables.
#![forbid(unsafe_code)]

use std::io::{IsTerminal, Write};
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::bail;
use clap::ValueEnum;
use comfy_table::presets::NOTHING;
use comfy_table::{Attribute, Cell, CellAlignment, Color, Table};
use serde::de::DeserializeOwned;

use super::client;
use crate::control::view;

/// How long it may take to compare millions of routes.
const VERIFY: Duration = Duration::from_secs(60);

/// What can be shown.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum What {
    /// Card, mode, link, addresses
    Ports,
    /// All routes in force, or the way that an address takes
    Routes,
    /// ARP and NDP
    Neighbours,
    /// What was counted at each port
    Counters,
    /// Why packets were dropped, and what to do about it
    Drops,
    /// What the kernel's stack was sent and what it was spared, class by class
    Police,
    /// Cores, their load, their packet memory
    Workers,
    /// How full each table is
    Tables,
    /// How it stands with the kernel's routes
    Kernel,
    /// Whether what runs is what the file says, and whether it waits to be confirmed
    Reload,
}

impl What {
    fn path(self) -> &'static str {
        match self {
            Self::Ports => "/v1/ports",
            Self::Routes => "/v1/routes",
            Self::Neighbours => "/v1/neighbours",
            Self::Counters => "/v1/counters",
            Self::Drops => "/v1/drops",
            Self::Police => "/v1/police",
            Self::Workers => "/v1/workers",
            Self::Tables => "/v1/tables",
            Self::Kernel => "/v1/kernel",
            Self::Reload => "/v1/reload",
        }
    }
}

/// Ask the router at `socket` and print what it says.
pub(super) fn show(
    what: What,
    address: Option<IpAddr>,
    socket: &Path,
    json: bool,
) -> anyhow::Result<()> {
    let path = match address {
        Some(address) if what == What::Routes => format!("{}/{address}", what.path()),
        Some(_) => bail!("an address goes with `show routes` only"),
        None => what.path().to_owned(),
    };
    let answer = client::get(socket, &path)?;
    if json {
        let value: serde_json::Value = serde_json::from_slice(&answer)?;
        return print(&serde_json::to_string_pretty(&value)?);
    }
    let table = match what {
        What::Ports => ports(&rows(&answer)?),
        What::Routes if address.is_some() => lookup(&serde_json::from_slice(&answer)?),
        What::Routes => routes(&rows(&answer)?),
        What::Neighbours => neighbours(&rows(&answer)?),
        What::Counters => counters(&rows(&answer)?),
        What::Drops => drops(&rows(&answer)?),
        What::Police => police(&rows(&answer)?),
        What::Workers => workers(&rows(&answer)?),
        What::Tables => tables(&rows(&answer)?),
        What::Kernel => kernel(&rows(&answer)?),
        What::Reload => reload(&rows(&answer)?),
    };
    print(&table.trim_fmt())
}

/// A reader that has seen enough (`| head`) is no error.
pub(super) fn print(text: &str) -> anyhow::Result<()> {
    match writeln!(std::io::stdout(), "{text}") {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

fn rows<T: DeserializeOwned>(answer: &[u8]) -> anyhow::Result<Vec<T>> {
    Ok(serde_json::from_slice(answer)?)
}

pub(super) fn table(columns: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING);
    if !std::io::stdout().is_terminal() {
        table.force_no_tty();
        table.set_width(u16::MAX);
    }
    table.set_header(columns.iter().map(|c| Cell::new(c).add_attribute(Attribute::Bold)));
    table
}

pub(super) fn number(n: u64) -> Cell {
    Cell::new(n).set_alignment(CellAlignment::Right)
}

fn good_or_bad(word: &str, good: &str) -> Cell {
    Cell::new(word).fg(if word == good { Color::Green } else { Color::Red })
}

fn or_dash(text: Option<&String>) -> &str {
    text.map_or("-", String::as_str)
}

fn ports(rows: &[view::Port]) -> Table {
    let mut table = table(&[
        "port",
        "device",
        "mode",
        "engine",
        "link",
        "health",
        "mac",
        "mtu",
        "queues",
        "addresses",
        "why",
    ]);
    for port in rows {
        let why: Vec<_> = std::iter::once(&port.why).chain(&port.conflicts).cloned().collect();
        table.add_row([
            Cell::new(&port.name),
            Cell::new(&port.device),
            Cell::new(&port.mode),
            Cell::new(&port.engine),
            good_or_bad(&port.link, "up"),
            good_or_bad(&port.health, "good"),
            Cell::new(&port.mac),
            number(port.mtu.into()),
            number(port.queues as u64),
            Cell::new(port.addresses.join("\n")),
            Cell::new(why.join("\n")),
        ]);
    }
    table
}

fn routes(rows: &[view::Route]) -> Table {
    let mut table = table(&["to", "type", "via", "port", "origin", "metric"]);
    for route in rows {
        table.add_row([
            Cell::new(&route.to),
            Cell::new(&route.kind),
            Cell::new(via(route)),
            Cell::new(or_dash(route.port.as_ref())),
            Cell::new(origin(route)),
            number(route.metric.into()),
        ]);
    }
    table
}

/// `kernel bird`
fn origin(route: &view::Route) -> String {
    let words = [Some(&route.origin), route.protocol.as_ref()];
    words.into_iter().flatten().cloned().collect::<Vec<_>>().join(" ")
}

fn via(route: &view::Route) -> String {
    let used = match &route.next_hops[..] {
        [] => or_dash(route.via.as_ref()).to_owned(),
        [one] => one.via.clone(),
        several => {
            let line =
                |hop: &view::NextHop| format!("{} {} weight {}", hop.via, hop.port, hop.weight);
            several.iter().map(line).collect::<Vec<_>>().join("\n")
        }
    };
    match route.elsewhere {
        0 => used,
        others => format!("{used}\nnot used: {others} by other devices"),
    }
}

fn lookup(way: &view::Lookup) -> Table {
    let mut table = table(&["address", "route", "type", "neighbour", "mac", "state", "port"]);
    let route = way.route.as_ref();
    table.add_row([
        way.address.as_str(),
        route.map_or("no route", |route| &route.to),
        route.map_or("-", |route| &route.kind),
        or_dash(way.neighbour.as_ref()),
        or_dash(way.mac.as_ref()),
        or_dash(way.state.as_ref()),
        or_dash(route.and_then(|route| route.port.as_ref())),
    ]);
    table
}

fn neighbours(rows: &[view::Neighbour]) -> Table {
    let mut table = table(&["address", "mac", "port", "state", "for"]);
    for neighbour in rows {
        table.add_row([
            Cell::new(&neighbour.address),
            Cell::new(or_dash(neighbour.mac.as_ref())),
            Cell::new(&neighbour.port),
            Cell::new(&neighbour.state),
            Cell::new(format!("{} s", neighbour.age_s)).set_alignment(CellAlignment::Right),
        ]);
    }
    table
}

fn counters(rows: &[view::Counters]) -> Table {
    let mut names = vec!["counter"];
    names.extend(rows.iter().map(|row| row.port.as_str()));
    let mut table = table(&names);
    let Some(first) = rows.first() else { return table };
    for name in first.counters.keys() {
        let values = rows.iter().map(|row| number(row.counters.get(name).copied().unwrap_or(0)));
        table.add_row(std::iter::once(Cell::new(name)).chain(values));
    }
    for (name, value) in [
        ("dropped", (|row: &view::Counters| row.dropped) as fn(&view::Counters) -> u64),
        ("passed to the kernel's card", |row| row.passed),
    ] {
        table.add_row(
            std::iter::once(Cell::new(name)).chain(rows.iter().map(|row| number(value(row)))),
        );
    }
    table
}

fn drops(rows: &[view::Drop]) -> Table {
    let mut table = table(&["port", "reason", "packets", "what it means", "what to do"]);
    for drop in rows {
        table.add_row([
            Cell::new(&drop.port),
            Cell::new(&drop.reason),
            number(drop.packets),
            Cell::new(&drop.meaning),
            Cell::new(&drop.mend),
        ]);
    }
    table
}

fn police(rows: &[view::Policed]) -> Table {
    let mut table = table(&["port", "class", "limit per s", "admitted", "dropped"]);
    for policed in rows {
        table.add_row([
            Cell::new(&policed.port),
            Cell::new(&policed.class),
            number(policed.limit_per_s.into()),
            number(policed.admitted),
            number(policed.dropped),
        ]);
    }
    table
}

fn workers(rows: &[view::Worker]) -> Table {
    let mut table = table(&[
        "worker", "core", "rounds", "idle", "sleeps", "free", "receive", "transmit", "held",
        "queued", "total", "health",
    ]);
    for worker in rows {
        let umem = &worker.umem;
        let numbers = [
            worker.worker as u64,
            worker.core as u64,
            worker.rounds,
            worker.idle_rounds,
            worker.sleeps,
            umem.free,
            umem.receive,
            umem.transmit,
            umem.held,
            umem.queued,
            umem.total,
        ];
        let health = good_or_bad(&worker.health, "good");
        table.add_row(numbers.map(number).into_iter().chain([health]));
    }
    table
}

fn tables(rows: &[view::Table]) -> Table {
    let mut table = table(&["table", "used", "limit", "refused"]);
    for row in rows {
        table.add_row([
            Cell::new(&row.table),
            number(row.used),
            number(row.limit),
            number(row.refused),
        ]);
    }
    table
}

fn kernel(rows: &[view::Kernel]) -> Table {
    let mut table =
        table(&["state", "routes", "partial", "changes", "overruns", "listings", "refused"]);
    for row in rows {
        let view::Kernel { routes, partial, changes, overruns, listings, refused, .. } = *row;
        let numbers = [routes, partial, changes, overruns, listings, refused];
        let state = good_or_bad(&row.state, "in step");
        table.add_row(std::iter::once(state).chain(numbers.map(number)));
    }
    table
}

/// Compare the kernel's routes with those of the router at `socket`, and print what differs: then
/// it is an error.
pub(super) fn verify(socket: &Path, json: bool) -> anyhow::Result<()> {
    let answer = client::get_in(VERIFY, socket, "/v1/verify")?;
    let found: Vec<view::Difference> = rows(&answer)?;
    if json {
        print(&serde_json::to_string_pretty(&found)?)?;
    } else if !found.is_empty() {
        print(&differences(&found).trim_fmt())?;
    }
    if found.is_empty() { Ok(()) } else { bail!("{} differences", found.len()) }
}

fn differences(rows: &[view::Difference]) -> Table {
    let mut table = table(&["to", "between", "the one says", "the other says"]);
    for row in rows {
        table.add_row([&row.to, &row.between, &row.wanted, &row.found]);
    }
    table
}

fn reload(rows: &[view::Running]) -> Table {
    let mut table = table(&["running", "to be confirmed", "taken back"]);
    for row in rows {
        let running =
            if row.as_file { "as the file" } else { "other than the file: `xrouter config diff`" };
        let left = |seconds| format!("in {seconds} s: `xrouter confirm`");
        table.add_row([
            Cell::new(running),
            Cell::new(row.confirm_s.map_or_else(|| "-".to_owned(), left)),
            number(row.taken_back),
        ]);
    }
    table
}
