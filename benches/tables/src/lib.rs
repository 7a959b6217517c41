//! Routing tables for benchmarks: made from a seed, or read from a file; addresses to look up in
//! them with the answers that are right, and updates as BGP sends them.
//!
//! Everything that is made is a function of the options and the seed alone: two machines measure
//! the same table.

mod cover;
pub mod generate;
mod long;
pub mod oracle;
mod random;
pub mod read;
pub mod summary;
pub mod trace;
pub mod update;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use anyhow::{Context, Result, bail};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

pub use long::add_long;
pub use random::Random;

/// Next hops of a table: 1 to this.
pub const NEXT_HOPS: u16 = 64;

/// IPv4 or IPv6.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Family {
    /// Addresses of 32 bits.
    V4,
    /// Addresses of 128 bits.
    V6,
}

impl Family {
    /// Bits of an address.
    pub fn bits(self) -> u8 {
        match self {
            Self::V4 => 32,
            Self::V6 => 128,
        }
    }

    /// The address whose bits are the first of `aligned`.
    pub fn address(self, aligned: u128) -> IpAddr {
        match self {
            Self::V4 => Ipv4Addr::from((aligned >> 96) as u32).into(),
            Self::V6 => Ipv6Addr::from(aligned).into(),
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if *self == Self::V4 { "IPv4" } else { "IPv6" })
    }
}

/// A prefix of either family. Its bits stand at the left end of the 128, so that both families
/// are handled by the same code.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Prefix {
    /// The network, left-aligned; the bits after `len` are 0.
    pub bits: u128,
    /// How many bits count.
    pub len: u8,
}

impl Prefix {
    /// The prefix of `len` bits that `bits` begins with.
    pub fn new(bits: u128, len: u8) -> Self {
        Self { bits: bits & !rest(len), len }
    }

    /// Its last address, left-aligned; for IPv4 all bits behind the address are 1.
    pub fn last(self) -> u128 {
        self.bits | rest(self.len)
    }

    /// Whether `other` lies in it, or is it.
    pub fn holds(self, other: Self) -> bool {
        self.len <= other.len && Self::new(other.bits, self.len) == self
    }

    /// As the rest of the world writes it.
    pub fn net(self, family: Family) -> IpNet {
        match family.address(self.bits) {
            IpAddr::V4(address) => Ipv4Net::new_assert(address, self.len).into(),
            IpAddr::V6(address) => Ipv6Net::new_assert(address, self.len).into(),
        }
    }
}

impl From<IpNet> for Prefix {
    fn from(net: IpNet) -> Self {
        let bits = match net.network() {
            IpAddr::V4(address) => u128::from(u32::from(address)) << 96,
            IpAddr::V6(address) => address.into(),
        };
        Self { bits, len: net.prefix_len() }
    }
}

/// The bits behind the first `len` ones.
fn rest(len: u8) -> u128 {
    u128::MAX.checked_shr(len.into()).unwrap_or(0)
}

/// A prefix and where it leads to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Route {
    /// The destinations.
    pub to: Prefix,
    /// The next hop's number, from 1 on: 0 is "no route".
    pub hop: u16,
}

/// A routing table: sorted, each prefix once.
#[derive(Clone, Debug)]
pub struct Table {
    /// What kind of addresses.
    pub family: Family,
    /// In the order of their prefixes.
    pub routes: Vec<Route>,
}

impl Table {
    /// The table of these prefixes, each with the next hop that [`hop_of`] gives it.
    pub fn new(family: Family, prefixes: impl IntoIterator<Item = Prefix>) -> Self {
        let mut prefixes: Vec<_> = prefixes.into_iter().collect();
        prefixes.sort_unstable();
        prefixes.dedup();
        let route = |to| Route { to, hop: hop_of(family, to) };
        Self { family, routes: prefixes.into_iter().map(route).collect() }
    }

    /// The prefixes alone.
    pub fn prefixes(&self) -> impl Iterator<Item = Prefix> {
        self.routes.iter().map(|route| route.to)
    }

    /// The same table with a default route.
    pub fn with_default(self) -> Self {
        Self::new(self.family, self.prefixes().chain([Prefix { bits: 0, len: 0 }]))
    }
}

/// The next hop of a prefix: by the FNV-1a hash of how it is written, so that tables of different
/// programs can agree.
pub fn hop_of(family: Family, to: Prefix) -> u16 {
    let text = to.net(family).to_string();
    let step = |hash: u32, octet| (hash ^ u32::from(octet)).wrapping_mul(0x0100_0193);
    let hash = text.bytes().fold(0x811c_9dc5, step);
    (hash % u32::from(NEXT_HOPS)) as u16 + 1
}

/// Where a table comes from: a seed, or somebody's file.
#[derive(Clone, PartialEq, Eq, Debug, clap::Args)]
pub struct Source {
    /// Make the table from this number
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Take the prefixes of this list instead: one a line, anything after it is ignored
    #[arg(long, value_name = "FILE", conflicts_with = "mrt")]
    pub list: Option<std::path::PathBuf>,
    /// Take the prefixes of this MRT dump instead (TABLE_DUMP_V2, plain, gzip or bzip2)
    #[arg(long, value_name = "FILE")]
    pub mrt: Option<std::path::PathBuf>,
    /// Add so many prefixes longer than /24 (IPv6: /48)
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub long: usize,
    /// Add a default route
    #[arg(long)]
    pub default: bool,
}

impl Source {
    /// The table.
    ///
    /// # Errors
    /// The file cannot be read, or has no prefix of this family.
    pub fn table(&self, family: Family) -> Result<Table> {
        let table = self.plain(family)?;
        let table = add_long(table, self.long, self.seed);
        Ok(if self.default { table.with_default() } else { table })
    }

    fn plain(&self, family: Family) -> Result<Table> {
        let (file, prefixes) = match (&self.list, &self.mrt) {
            (Some(file), _) => (file, read::list(file)),
            (_, Some(file)) => (file, read::mrt(file)),
            _ => return Ok(generate::table(family, self.seed)),
        };
        let prefixes = prefixes.with_context(|| file.display().to_string())?;
        let wanted = prefixes
            .into_iter()
            .filter(|net| matches!(net, IpNet::V4(_)) == (family == Family::V4));
        let table = Table::new(family, wanted.map(Prefix::from));
        if table.routes.is_empty() {
            bail!("{}: no {family} prefix", file.display());
        }
        Ok(table)
    }
}

impl FromStr for Family {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "ipv4" => Ok(Self::V4),
            "ipv6" => Ok(Self::V6),
            _ => bail!("{text}: ipv4 or ipv6"),
        }
    }
}

#[cfg(test)]
mod tests;
