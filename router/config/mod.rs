//! router.toml: read, checked, and turned into plain values that need no more checking.
//!
//! A file is read in one pass that does not stop at the first mistake: each is noted with its
//! place and its mend, and an operator sees all of them at once ([`ConfigErrors`]). What comes out
//! of it is whole: a next hop lies behind the port it names, a name is used once, a prefix has no
//! host bits. `config/reference.toml` explains every key.
//!
//! **Invariant:** nothing here knows a running router, opens a device or asks the kernel.
#![forbid(unsafe_code)]

mod address;
mod api;
pub mod difference;
pub mod edit;
pub mod file;
mod kernel;
mod limits;
mod mistake;
mod neighbour;
mod police;
mod policy;
mod port;
pub mod protocol;
mod route;
mod router;
mod section;
mod setting;
#[cfg(test)]
mod tests;

pub use api::Api;
pub use kernel::Kernel;
pub use limits::{Resolution, Tables};
pub use mistake::{ConfigError, ConfigErrors};
pub use neighbour::StaticNeighbour;
pub use port::{Port, PortMode};
pub use route::{NEXT_HOPS_MAX, NextHop, Route, RouteAction};
pub use router::{FastPath, OnExit, Poll, RouterSection};

use std::fs;
use std::net::IpAddr;
use std::path::Path;

use ipnet::IpNet;
use toml::Spanned;
use toml::de::DeTable;

use self::mistake::Mistakes;
use self::section::{Keys, Section};

use crate::id::PortId;
use crate::table::police::Limits;
use crate::table::policy::Policy;

const SECTIONS: Keys = &[
    "router",
    "policy",
    "police",
    "tables",
    "resolution",
    "kernel",
    "api",
    "port",
    "route",
    "neighbour",
];

/// A whole router.toml, checked. The default is what an empty file means.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Config {
    /// `[router]`
    pub router: RouterSection,
    /// `[policy]`
    pub policy: Policy,
    /// `[police]`
    pub police: Limits,
    /// `[tables]`
    pub tables: Tables,
    /// `[resolution]`
    pub resolution: Resolution,
    /// `[kernel]`
    pub kernel: Kernel,
    /// `[api]`
    pub api: Api,
    /// Each `[[port]]`, in the order of the file.
    pub ports: Vec<Port>,
    /// Each `[[route]]`
    pub routes: Vec<Route>,
    /// Each `[[neighbour]]`
    pub static_neighbours: Vec<StaticNeighbour>,
}

/// A router.toml as it was written, and what it means.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Source {
    /// The whole file.
    pub text: String,
    /// What it means.
    pub config: Config,
}

impl Source {
    /// Read and check the file at `path`.
    pub fn read(path: &Path) -> Result<Self, ConfigErrors> {
        let file = path.display().to_string();
        let octets = match fs::read(path) {
            Ok(octets) => octets,
            Err(source) => return Err(ConfigErrors::Unreadable { file, source }),
        };
        match String::from_utf8(octets) {
            Ok(text) => Self::parse(text, &file),
            Err(error) => Err(mistake::no_text(&error, &file)),
        }
    }

    /// Check `text`; `file` is what the errors call it.
    pub fn parse(text: String, file: &str) -> Result<Self, ConfigErrors> {
        let config = Config::parse(&text, file)?;
        Ok(Self { text, config })
    }
}

impl Config {
    /// Read and check the file at `path`.
    pub fn load(path: &Path) -> Result<Self, ConfigErrors> {
        Source::read(path).map(|source| source.config)
    }

    /// Check `text`; `file` is what the errors call it.
    pub fn parse(text: &str, file: &str) -> Result<Self, ConfigErrors> {
        let mut mistakes = Mistakes::default();
        // What the parser says after its first error is often only that error's echo.
        let config = match DeTable::parse(text) {
            Ok(tree) => Self::read(&tree, &mut mistakes),
            Err(error) => {
                mistakes.push_syntax(&error, text.len());
                Self::default()
            }
        };
        mistakes.into_errors(text, file).map_or(Ok(config), Err)
    }

    /// The sections in the order in which they depend on each other, wherever they stand.
    fn read(tree: &Spanned<DeTable<'_>>, mistakes: &mut Mistakes) -> Self {
        let mut root = Section::new("", tree.span(), tree.get_ref(), SECTIONS, mistakes);
        let router = root.section("[router]", RouterSection::KEYS);
        let router = router.map(|mut section| RouterSection::read(&mut section));
        let router = router.unwrap_or_default();
        let policy = root.section("[policy]", policy::KEYS);
        let policy = policy.map(|mut section| policy::read(&mut section)).unwrap_or_default();
        let police = root.section("[police]", police::KEYS);
        let police = police.map(|mut section| police::read(&mut section)).unwrap_or_default();
        let tables = root.section("[tables]", Tables::KEYS);
        let tables = tables.map(|mut section| Tables::read(&mut section)).unwrap_or_default();
        let resolution = root.section("[resolution]", Resolution::KEYS);
        let resolution = resolution.map(|mut section| Resolution::read(&mut section));
        let kernel = root.section("[kernel]", Kernel::KEYS);
        let kernel = kernel.map(|mut section| Kernel::read(&mut section)).unwrap_or_default();
        let api = root.section("[api]", Api::KEYS);
        let api = api.map(|mut section| Api::read(&mut section)).unwrap_or_default();
        let links = port::read_all(&mut root, router.fastpath);
        Self {
            routes: route::read_all(&mut root, &links),
            static_neighbours: neighbour::read_all(&mut root, &links, tables.neighbours),
            ports: links.ports,
            resolution: resolution.unwrap_or_default(),
            router,
            policy,
            police,
            tables,
            kernel,
            api,
        }
    }

    /// The ports with their numbers.
    pub fn ports(&self) -> impl Iterator<Item = (PortId, &Port)> {
        self.ports.iter().map(|port| (port.id, port))
    }

    /// The port with this number.
    pub fn port(&self, id: PortId) -> Option<&Port> {
        self.ports.iter().find(|port| port.id == id)
    }

    /// The port of this name.
    pub fn port_named(&self, name: &str) -> Option<(PortId, &Port)> {
        self.ports().find(|(_, port)| port.name == name)
    }

    /// The subnets that the ports are in, each once for each port: prefixes without host bits.
    /// Link-local subnets are left out, since they are on every port.
    pub fn connected(&self) -> impl Iterator<Item = (PortId, IpNet)> {
        port::connected(&self.ports)
    }

    /// The port on whose subnet `address` lies. A link-local address lies on none.
    pub fn on_link(&self, address: IpAddr) -> Option<PortId> {
        self.connected().find(|(_, net)| net.contains(&address)).map(|(port, _)| port)
    }

    /// Whether `address` is one of the router's own.
    pub fn is_own(&self, address: IpAddr) -> bool {
        self.ports.iter().any(|port| port.addresses.iter().any(|own| own.addr() == address))
    }
}
