//! Runs a case with the kernel as the router, in the same cables, and tells what it does otherwise
//! than the case says: the rows of `kernel.toml`.
//!
//! What is for the router itself the kernel takes without a word that could be heard here: of lines
//! `tap ...` nothing is compared, and what its stack answers is left out.

use std::collections::HashSet;
use std::fmt::Write;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::time::Duration;

use xrouter::config::Config;
use xrouter::packet::ethernet::{self, ether_type};
use xrouter::packet::text::parse_line;
use xrouter::packet::{arp, icmpv4, icmpv6, ipv4, ipv6, protocol};

use crate::case::{CONTROL, Case, ONLY_IN_MEMORY, Outcome, Source, frame_line};
use crate::net::wire::collect;
use crate::net::{Router, Topology, seconds, sysctl};
use crate::octets::{SOLICITATION, SOURCE6, blot_flow, blot4, set6, view4, view6};
use crate::rows::{Row, Rows, Same};
use crate::veth::{self, Cables};

/// A kernel that says nothing for so long has done with a frame. In this time it also forgets that
/// it has just sent a redirect to this host.
const QUIET: Duration = Duration::from_millis(50);
/// How long the kernel may take for a frame.
const LIMIT: Duration = seconds(3);
/// No limit on ICMP errors but those for each host, which the topology takes away.
const LIMITS: [&str; 2] =
    ["net.ipv4.icmp_msgs_per_sec=1000000", "net.ipv4.icmp_msgs_burst=1000000"];
/// How many lines that differ stand in kernel.toml, and how long they are at most.
const LINES: usize = 2;
const LINE: usize = 200;
/// What the kernel's IPv4 says who it is where it has no address (RFC 7600 4.8).
const DUMMY: Ipv4Addr = Ipv4Addr::new(192, 0, 0, 8);
const ECHO_REPLY: u8 = icmpv4::Type::EchoReply as u8;
const ECHO_REPLY6: u8 = icmpv6::Type::EchoReply as u8;
/// Where reports go of what groups were joined (RFC 3810 5.2.14).
const REPORTS: IpAddr = IpAddr::V6(Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x16));

const HEAD: &str = "\
# What the kernel does as the router, case by case. Written by
# `ROUTER=kernel UPDATE_CASES=1 cargo test --test wire`, which keeps what is written by hand: `because`
# and the rows with `not_asked`. In `differs` a line with `-` is what only the case says, one with `+`
# what only the kernel sends; of many there are the first.
";

/// Write kernel.toml.
pub fn write(cases: &Path, rows: &Rows) {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").expect("Linux");
    let version: Vec<_> = release.split('.').take(2).collect();
    let mut text = format!("{HEAD}# This was Linux {}.\n\n", version.join("."));
    for (name, row) in rows {
        writeln!(text, "{name:?} = {row}").expect("memory");
    }
    fs::write(cases.join("kernel.toml"), text).expect("writable");
}

/// What the kernel does with a case. The reasons are those of the `old` row.
pub fn row(net: &Topology, folder: &Path, old: Option<&Row>) -> Result<Row, String> {
    if let Some(row) = old.filter(|row| row.not_asked().is_some()) {
        return Ok(row.clone());
    }
    let case = Case::read(folder)?;
    if let Ok(reason) = fs::read_to_string(folder.join(ONLY_IN_MEMORY)) {
        return Ok(Row::NotAsked { not_asked: reason.trim().to_owned() });
    }
    if case.input.iter().any(|input| input.from == Source::Tap) {
        return Ok(Row::NotAsked { not_asked: "its own stack sends, and there is no tap".into() });
    }
    let differs = shortened(difference(&case, run(net, &case, folder)?));
    let because = old.and_then(Row::because).unwrap_or_default().to_owned();
    let is_same = differs.is_empty();
    Ok(if is_same { Row::As(Same::Same) } else { Row::Otherwise { differs, because } })
}

/// What the kernel sends, as lines of out.txt. The network is a twin, made anew: nothing is left of
/// the case before.
fn run(net: &Topology, case: &Case, folder: &Path) -> Result<Vec<String>, String> {
    let twin = net.twin();
    let cables = Cables::for_kernel(&twin, case.config.ports.len());
    let _kernel = Router::kernel(&twin, &cables.config(case, folder));
    sysctl(&twin.router, &LIMITS);
    let _of_the_start = hear(&cables, &case.config);
    let mut lines = Vec::new();
    for input in &case.input {
        let sent = cables.hosts()[input.port.index()].try_send(&input.octets);
        sent.map_err(|error| format!("cannot be sent: {error}: {}\n", input.line))?;
        lines.extend(hear(&cables, &case.config));
    }
    Ok(lines)
}

/// What leaves until all is quiet.
fn hear(cables: &Cables, config: &Config) -> Vec<String> {
    let wires: Vec<_> = cables.hosts().iter().collect();
    let heard = collect(&wires, QUIET, LIMIT);
    let by_port = config.ports.iter().zip(&heard);
    let lines = by_port
        .flat_map(|(port, heard)| heard.iter().map(|heard| veth::wire_line(&port.name, heard)));
    lines.collect()
}

/// What only the case says, and what only the kernel sent.
fn difference(case: &Case, heard: Vec<String>) -> Vec<String> {
    let expected = veth::expected(case).out;
    let lines = expected.iter().map(|line| line.strip_prefix(CONTROL).unwrap_or(line));
    let (taken, expected): (Vec<_>, Vec<_>) = lines.partition(|line| line.starts_with("tap "));
    let kernel = Kernel::new(&case.config, &taken);
    let heard = heard.into_iter().filter(|line| !kernel.is_of_stack(&octets(line)));
    let expected = kernel.outcome(expected.into_iter().map(str::to_owned));
    let text = expected.difference(&kernel.outcome(heard));
    let lines = text.lines().map(str::trim).filter(|line| line.starts_with(['-', '+']));
    lines.map(str::to_owned).collect()
}

/// The first of these lines, and how many more there are.
fn shortened(mut lines: Vec<String>) -> Vec<String> {
    let more = lines.len().saturating_sub(LINES);
    lines.truncate(LINES);
    for line in &mut lines {
        if let Some((end, _)) = line.char_indices().nth(LINE) {
            line.replace_range(end.., " ...");
        }
    }
    lines.extend((more > 0).then(|| format!("and {more} more")));
    lines
}

/// The frame of a line of out.txt.
fn octets(line: &str) -> Vec<u8> {
    let frame = ["tap ", "unfinished "]
        .iter()
        .fold(line, |line, word| line.strip_prefix(word).unwrap_or(line));
    parse_line(frame).expect("it was read before").2
}

/// Source and destination of the packet in a frame.
fn ends(frame: &[u8]) -> Option<(IpAddr, IpAddr)> {
    ends4(view4(frame)).or_else(|| ends6(view6(frame)))
}

fn ends4(view: Option<ipv4::View>) -> Option<(IpAddr, IpAddr)> {
    view.map(|view| (view.source().into(), view.destination().into()))
}

fn ends6(view: Option<ipv6::View>) -> Option<(IpAddr, IpAddr)> {
    view.map(|view| (view.source().into(), view.destination().into()))
}

/// The protocol and the payload of a packet.
fn message(frame: &[u8]) -> Option<(u8, &[u8])> {
    let v4 = view4(frame).map(|view| (view.protocol(), view.payload()));
    v4.or_else(|| view6(frame).map(|view| (view.next_header(), view.payload())))
}

/// What can be told of the kernel's own frames.
struct Kernel {
    own: HashSet<IpAddr>,
    /// The packets that its stack gets.
    taken: Vec<Vec<u8>>,
}

impl Kernel {
    fn new(config: &Config, taken: &[&str]) -> Self {
        let own = config.ports().flat_map(|(id, port)| veth::own_addresses(id, port));
        let own = own.chain([DUMMY.into()]);
        Self { own: own.collect(), taken: taken.iter().map(|line| octets(line)).collect() }
    }

    /// Masked, and in an order that does not tell which of two frames went first.
    fn outcome(&self, lines: impl Iterator<Item = String>) -> Outcome {
        let mut out: Vec<_> = lines.map(|line| self.masked(&line)).collect();
        out.sort();
        Outcome { out, drops: Vec::new() }
    }

    /// A line without what every router chooses for its own packets, as the oracle leaves it out
    /// (`tests/oracle/differences.rs` says why): the identification, the type of service of errors,
    /// the flow label, and the source of a solicitation.
    fn masked(&self, line: &str) -> String {
        let (port, _, mut frame) = parse_line(line).expect("it was read before");
        if !ends(&frame).is_some_and(|(source, _)| self.own.contains(&source)) {
            return line.to_owned();
        }
        let kind = message(&frame).and_then(|(upper, message)| Some((upper, *message.first()?)));
        if view6(&frame).is_some() {
            blot_flow(&mut frame);
        } else {
            blot4(&mut frame, 4, 2);
        }
        match kind {
            Some((protocol::ICMP, kind)) if icmpv4::is_error(kind) => blot4(&mut frame, 1, 1),
            Some((protocol::ICMPV6, SOLICITATION)) => {
                set6(&mut frame, SOURCE6, &Ipv6Addr::UNSPECIFIED.octets())
            }
            _ => false,
        };
        frame_line("", false, &port, &frame)
    }

    /// Whether a frame is what its stack says of its own: which groups it has joined, its answer to
    /// what it has taken, its question who the sender of that is.
    fn is_of_stack(&self, frame: &[u8]) -> bool {
        let Some((source, destination)) = ends(frame) else { return self.asks_by_arp(frame) };
        let Some((upper, message)) = message(frame) else { return false };
        destination == REPORTS
            || self.own.contains(&source)
                && match (upper, message) {
                    (protocol::TCP, _)
                    | (protocol::ICMP, [ECHO_REPLY, ..])
                    | (protocol::ICMPV6, [ECHO_REPLY6, ..]) => self.has_taken_from(destination),
                    (protocol::ICMPV6, [SOLICITATION, ..]) => {
                        let target = message.get(8..24).and_then(<[u8]>::first_chunk::<16>);
                        target.is_some_and(|&target| self.has_taken_from(target.into()))
                    }
                    (protocol::ICMP | protocol::ICMPV6, _) => self.quotes_taken(message),
                    _ => false,
                }
    }

    fn asks_by_arp(&self, frame: &[u8]) -> bool {
        let view = ethernet::View::new(frame).filter(|view| view.ether_type() == ether_type::ARP);
        let packet = view.and_then(|view| arp::View::new(view.payload()).ok());
        packet.is_some_and(|packet| {
            packet.operation() == arp::Operation::Request
                && self.has_taken_from(packet.target_address().into())
        })
    }

    fn has_taken_from(&self, host: IpAddr) -> bool {
        self.taken.iter().any(|frame| ends(frame).is_some_and(|(source, _)| source == host))
    }

    /// Whether an ICMP error is about what it has taken. Options may be written into before.
    fn quotes_taken(&self, error: &[u8]) -> bool {
        let Some(quote) = error.get(icmpv4::HEADER..) else { return false };
        let about = ends4(ipv4::View::quoted(quote)).or_else(|| ends6(ipv6::View::quoted(quote)));
        about.is_some() && self.taken.iter().any(|frame| ends(frame) == about)
    }
}
