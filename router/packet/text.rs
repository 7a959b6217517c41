//! The readable notation of frames in test cases and traces. Not for the packet path.
//!
//! A line is a port, a direction and a frame, whose layers stand in the order sent with ` / `
//! between them:
//!
//! ```text
//! lan < eth 02:00:00:00:01:02 > 02:00:00:00:00:01 / ip 10.1.0.2 > 10.2.0.2 id 7 df / udp 1000 > 2000 / data 8
//! wan > eth 02:00:00:00:00:02 > 02:00:00:00:02:02 / arp request who 10.2.0.2 tell 10.2.0.1 / pad 60
//! ```
//!
//! `<` arrives at the port, `>` leaves by it. Lengths, checksums, types and protocols are right
//! unless the line says otherwise; a number is decimal or, with `0x`, hexadecimal.
//!
//! | layer | words after the name; those in brackets may be left out |
//! | --- | --- |
//! | `eth` | `SOURCE > DESTINATION [type N]` |
//! | `vlan` | `ID [prio N] [dei] [type N]`; the tag before it is of type 0x8100 unless it says so |
//! | `arp request` | `who ADDRESS tell ADDRESS [from MAC] [to MAC] [op N] [htype N] [ptype N] [hlen N] [plen N]` |
//! | `arp reply` | `ADDRESS is-at MAC to ADDRESS MAC`, then as for a request |
//! | `ip` | `SOURCE > DESTINATION [ttl N] [id N] [tos N] [df] [mf] [rf] [frag N] [proto N] [len N] [ihl N] [version N] [opt HEX] [sum N]`; `frag` counts 8 octets, as the header does |
//! | `ip6` | `SOURCE > DESTINATION [hlim N] [class N] [flow N] [next N] [len N] [version N]` |
//! | `hbh`, `dstopt`, `routing` | `[HEX] [next N] [len N]`: an extension header, what follows its length |
//! | `fragment` | `N [mf] [id N] [next N]`: a fragment header; `N` counts 8 octets |
//! | `udp` | `SOURCE > DESTINATION [len N] [sum N]` |
//! | `tcp` | `SOURCE > DESTINATION [seq N] [ack N] [flags FSRPAUEC] [win N] [urg N] [off N] [opt HEX] [sum N]` |
//! | `icmp`, `icmp6` | `TYPE [CODE] [id N] [seq N] [mtu N] [rest N] [sum N]`; the type is a number or a name |
//! | `ns`, `na`, `rs` | `TARGET [flags rso] [slla MAC] [tlla MAC] [opt HEX] [code N] [sum N]`; `rs` has no target |
//! | `rd` | `TARGET DESTINATION`, then as for `ns`; a `quote` after it is in a redirected header option |
//! | `quote` | `[cut N]`: the layers after it are quoted, and only their first `N` octets |
//! | `data` | `N`: octets counting 0, 1, 2, ... |
//! | `hex` | `HEX`: these octets |
//! | `pad` | `N [fill N]`: the last layer; fills the frame up to `N` octets |
//!
//! Names of ICMP types: `echo-request`, `echo-reply`, `unreachable`, `too-big` (`icmp6`),
//! `time-exceeded`, `parameter-problem`, `redirect` (`icmp`).
//! Hop limits and times to live are 64 (255 before `ns`, `na`, `rs`, `rd`), the flags of TCP `S`, the
//! protocol before plain data 253 and the Ethernet type 0x88b5, both for experiments.
#![forbid(unsafe_code)]

mod format;
mod parse;
mod words;

/// Which way a frame goes, seen from the router.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Direction {
    /// `<`: it arrives at the port.
    Arrives,
    /// `>`: it leaves by the port.
    Leaves,
}

impl Direction {
    fn sign(self) -> &'static str {
        match self {
            Self::Arrives => "<",
            Self::Leaves => ">",
        }
    }
}

/// Read a line: the port's name, the direction, and the frame.
///
/// # Errors
/// What is wrong with the line, and in which layer.
pub fn parse_line(line: &str) -> Result<(String, Direction, Vec<u8>), String> {
    let (port, rest) = line.trim().split_once(' ').ok_or("no port and direction")?;
    let rest = rest.trim_start();
    let direction = [Direction::Arrives, Direction::Leaves]
        .into_iter()
        .find(|direction| rest.starts_with(direction.sign()))
        .ok_or("after the port comes < (arrives) or > (leaves)")?;
    Ok((port.to_owned(), direction, parse::frame(&rest[1..])?))
}

/// Write a line that [`parse_line`] reads back as exactly this port, direction and frame. Layers
/// that have no words in this notation are written as `hex`.
pub fn format_frame(port: &str, direction: Direction, frame: &[u8]) -> String {
    format!("{port} {} {}", direction.sign(), format::frame(frame))
}

#[cfg(test)]
mod tests;
