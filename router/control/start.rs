//! From a configuration to a running router: all of it, or one error and nothing left behind.
#![forbid(unsafe_code)]

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::io;

use ipnet::IpNet;
use tokio::net::UnixStream;
use tokio::sync::mpsc;

use super::Router;
use super::attach::AttachError;
use super::fib;
use super::grace::Grace;
use super::hops::{Egress, Hops};
use super::mirror::Mirror;
use super::neighbour::{Limits, Neighbours, Timers};
use super::netlink::link::Appearance;
use super::netlink::route::{Hop, Target};
use super::netlink::{Netlink, NetlinkError};
use super::open::Opened;
use super::port::Port;
use super::ports::Ports;
use super::reload::Running;
use super::request::Request;
use super::rib::{Action, Origin, Rib};
use super::store::Store;
use super::succession::{Predecessor, Switch};
use super::workers::{Shared, plan_workers, start_workers};
use crate::config::{self, Config, RouteAction, Source};
use crate::id::PortId;
use crate::io::device::{Device, DeviceError};
use crate::io::tap::{Tap, TapError};
use crate::table::TableFull;

/// The router could not be started. The message names what, where and the mend.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// There is nothing to route between.
    #[error("the configuration has no [[port]]; see config/reference.toml")]
    NoPorts,
    /// A core that is named does not exist, or may not be used.
    #[error("[router] workers: there is no core {core} here; there are {cores:?}")]
    NoCore {
        /// The core.
        core: usize,
        /// The cores that can be used.
        cores: Vec<usize>,
    },
    /// The system lacks memory, descriptors or the like.
    #[error("{what}: {cause}{mend}")]
    System {
        /// What was to be had.
        what: String,
        /// What the system said.
        cause: io::Error,
        /// What helps.
        mend: &'static str,
    },
    /// A card.
    #[error("port {port}: {cause}")]
    Attach {
        /// The port.
        port: String,
        /// Why not.
        cause: AttachError,
    },
    /// A device is not there.
    #[error("port {port}: {cause}")]
    Device {
        /// The port.
        port: String,
        /// Why not.
        cause: DeviceError,
    },
    /// A tap.
    #[error("port {port}: {cause}")]
    Tap {
        /// The port.
        port: String,
        /// Why not.
        cause: TapError,
    },
    /// The tap's name is taken.
    #[error(
        "port {port}: another program has a device named {port} open: is another xrouter \
             running? stop it, or rename the port"
    )]
    TapInUse {
        /// The port.
        port: String,
    },
    /// The kernel.
    #[error(transparent)]
    Netlink(#[from] NetlinkError),
    /// A route or a neighbour.
    #[error("{what}: {full}; raise the budget in [tables]")]
    Full {
        /// The route or neighbour.
        what: String,
        /// The table.
        full: TableFull,
    },
}

/// For [`StartError::System`].
pub(super) fn system(
    what: impl Into<String>,
    mend: &'static str,
) -> impl FnOnce(io::Error) -> StartError {
    let what = what.into();
    move |cause| StartError::System { what, cause, mend }
}

impl Router {
    /// Start the router that a file describes, in the place of whoever has had its cards. It answers
    /// `requests` once it runs.
    ///
    /// # Errors
    /// [`StartError`], and the machine is as it was, but for what a kernel's [`Switch`] has done.
    pub async fn start(
        Source { text, config }: Source,
        requests: mpsc::Receiver<Request>,
        predecessor: Predecessor<'_>,
    ) -> Result<Self, StartError> {
        if config.ports.is_empty() {
            return Err(StartError::NoPorts);
        }
        let devices: Vec<_> = config.ports.iter().map(find_device).collect::<Result<_, _>>()?;
        let (kept, switch) = match predecessor {
            Predecessor::Router(kept) => (kept, None),
            Predecessor::Kernel(switch) => (Vec::new(), Some(switch)),
        };
        let hash_seed = config.router.hash_seed.unwrap_or_else(seed);
        // First: where memory is short, it is the tables that want the most.
        let (fib, mut writer, xdp) = fib::make(&config, hash_seed)?;
        let netlink = Netlink::connect()?;
        let cores = plan_workers(&config, &devices)?;
        let mut store = Store::new(kept);
        let mut taps = Taps { netlink: &netlink, store: &mut store, workers: cores.len() };
        let (ports, inherited) = taps.make_ports(&config, &devices).await?;
        store.close_rest();
        let hops = Hops::new(devices.iter().map(egress).collect(), &mut writer)
            .map_err(|full| StartError::Full { what: "the ports' own next hops".into(), full })?;
        let shared = Shared::new(&config, fib, cores.len(), hash_seed)?;
        let bell = shared.bell.ear().and_then(UnixStream::from_std);
        let bell = bell.map_err(system("socketpair", ""))?;
        let links = netlink.follow_links()?;
        let mirror = Mirror::start(&config.kernel, &netlink)?;
        let mut router = Self {
            neighbours: neighbours(&config),
            start: shared.start,
            epochs: shared.epochs.clone(),
            fib: writer,
            rib: Rib::default(),
            hops,
            actions: Vec::new(),
            snapshot: shared.snapshot.clone(),
            retired: Vec::new(),
            lacks_said: false,
            xdp,
            ports,
            workers: Vec::new(),
            grace: None,
            inherited: inherited || switch.is_some(),
            netlink,
            links,
            mirror,
            bell,
            requests,
            policers: shared.policers.clone(),
            running: Running::new(text),
            config,
        };
        // What the last router has left is left to the next attempt.
        let is_left = inherited && switch.is_none() && router.has_successors();
        match router.bring_up(&devices, &cores, &shared, switch).await {
            Ok(()) => Ok(router),
            Err(error) => {
                if is_left {
                    router.leave().await;
                } else {
                    router.stop().await;
                }
                Err(error)
            }
        }
    }

    /// Routes, workers, cards, neighbours: everything that can fail after the parts are there. What
    /// takes its time is done before a frame is taken from the kernel, which may be forwarding
    /// meanwhile.
    async fn bring_up(
        &mut self,
        devices: &[Device],
        cores: &[usize],
        shared: &Shared,
        switch: Option<Switch<'_>>,
    ) -> Result<(), StartError> {
        self.install_own()?;
        self.load_static()?;
        self.workers = start_workers(&self.config, devices, cores, shared)?;
        let grace = Grace::start(self.epochs.clone(), cores.len());
        self.grace = Some(grace.map_err(system("the XDP programs' grace period", ""))?);
        self.take_cards(switch).await?;
        self.tell_kernel_of_static().await?;
        // What a router that was killed has left in the kernel.
        let wanted: Vec<_> = self.config.routes.iter().map(|route| route.to.trunc()).collect();
        self.netlink.withdraw_routes_but(&wanted).await?;
        self.install_neighbours().await?;
        if self.inherited {
            self.inherit_routes().await;
            self.inherit_neighbours().await?;
        }
        for id in self.ports.ids() {
            let outcome = self.activate(id).await.and_then(|()| self.keep_tap(id));
            outcome.map_err(|cause| self.not_attached(id, cause))?;
        }
        self.warn_if_closed()
    }

    /// All of them, before the first is used: what comes in by one goes out by another.
    async fn take_cards(&mut self, switch: Option<Switch<'_>>) -> Result<(), StartError> {
        let mut opened = self.open_cards(switch.is_some()).await?.into_iter();
        while let Some((id, card)) = opened.next() {
            if let Err(cause) = self.take_over(id, card).await {
                self.give_up_cards(opened).await;
                return Err(self.not_attached(id, cause));
            }
        }
        // Meanwhile what the kernel forwards into the taps is sent.
        match switch {
            Some(switch) => Ok(switch.await?),
            None => Ok(()),
        }
    }

    async fn open_cards(&self, in_use: bool) -> Result<Vec<(PortId, Opened)>, StartError> {
        let mut opened = Vec::new();
        for id in self.ports.ids() {
            let card = match in_use {
                true => self.prepare_in_use(id).await,
                false => self.prepare(id).await,
            };
            match card {
                Ok(card) => opened.push((id, card)),
                Err(cause) => {
                    self.give_up_cards(opened.into_iter()).await;
                    return Err(self.not_attached(id, cause));
                }
            }
        }
        Ok(opened)
    }

    async fn give_up_cards(&self, opened: impl Iterator<Item = (PortId, Opened)>) {
        for (_, card) in opened {
            self.give_up_card(card).await;
        }
    }

    pub(super) fn not_attached(&self, id: PortId, cause: AttachError) -> StartError {
        StartError::Attach { port: self.ports[id.index()].name().to_owned(), cause }
    }

    /// The configured addresses, and the routes that come with them.
    fn install_own(&mut self) -> Result<(), StartError> {
        let ports = self.config.ports.clone();
        ports.iter().try_for_each(|port| self.give_addresses(port.id, &port.addresses))
    }

    pub(super) fn add_route(
        &mut self,
        to: IpNet,
        origin: Origin,
        action: Action,
    ) -> Result<(), StartError> {
        let outcome = self.rib.insert(to, origin.into(), action, &mut self.hops, &mut self.fib);
        outcome.map_err(|full| StartError::Full { what: format!("route {to}"), full })
    }

    /// The configured routes. Nobody reads the tables yet: so what a route takes the place of (a
    /// long prefix's way, when a shorter one comes later) is room for the next one at once.
    fn load_static(&mut self) -> Result<(), StartError> {
        let routes = self.config.routes.clone();
        let mut ahead = routes.iter().map(|route| route.to).skip(1);
        for route in &routes {
            ahead.next().inspect(|&next| self.rib.prefetch(next, &self.fib));
            let action = Action::Configured(route.action.clone());
            self.add_route(route.to, Origin::Static, action)?;
            self.fib.reclaim(&self.epochs);
        }
        Ok(())
    }

    /// The configured routes in the kernel, whose stack has to answer clients that are not on a
    /// link.
    pub(super) async fn tell_kernel_of_static(&self) -> Result<(), NetlinkError> {
        for route in &self.config.routes {
            self.netlink.install_route(route.to, &self.target(&route.action)).await?;
        }
        Ok(())
    }

    /// What a route's action is to the kernel.
    pub(super) fn target(&self, action: &RouteAction) -> Target {
        match action {
            RouteAction::Blackhole => Target::Blackhole,
            RouteAction::Unreachable => Target::Unreachable,
            RouteAction::Prohibit => Target::Prohibit,
            RouteAction::Via(via) => {
                let hop = |next: &config::NextHop| Hop {
                    via: next.via,
                    index: self.ports.get(next.port).map_or(0, |port| port.tap_index),
                    weight: next.weight,
                };
                Target::Via(via.iter().map(hop).collect())
            }
        }
    }

    /// Leave the machine as it was found.
    pub(super) async fn stop(mut self) {
        for id in self.ports.ids() {
            self.detach(id).await;
            self.let_tap_go(id, self.config.router.taps_persist);
        }
        if let Err(error) = self.netlink.withdraw_routes_but(&[]).await {
            tracing::warn!("routes are left in the kernel: {error}");
        }
        tracing::info!("stopped");
    }
}

pub(super) fn find_device(port: &config::Port) -> Result<Device, StartError> {
    Device::find(&port.device)
        .map_err(|cause| StartError::Device { port: port.name.clone(), cause })
}

/// What taps are made with.
pub(super) struct Taps<'a> {
    pub netlink: &'a Netlink,
    pub store: &'a mut Store,
    pub workers: usize,
}

impl Taps<'_> {
    /// All ports, and whether a tap of one of them was there: an earlier run has left it.
    async fn make_ports(
        &mut self,
        config: &Config,
        devices: &[Device],
    ) -> Result<(Ports, bool), StartError> {
        let (mut ports, mut inherited) = (Vec::new(), false);
        for (port, device) in config.ports.iter().zip(devices) {
            inherited |= self.netlink.link(&port.name).await?.is_some();
            ports.push(self.make_port(port, device).await?);
        }
        Ok((Ports::new(ports), inherited))
    }

    /// A port with its tap, and without its card.
    pub async fn make_port(
        &mut self,
        port: &config::Port,
        device: &Device,
    ) -> Result<Port, StartError> {
        let name = &port.name;
        let link = self.netlink.link(name).await?;
        let in_use = link.as_ref().and_then(|link| link.tap_queues).unwrap_or(0) as usize;
        if in_use > self.store.count(name) {
            return Err(StartError::TapInUse { port: name.clone() });
        }
        let queues = self.workers.min(device.queues.receive.max(1) as usize);
        // A queue may be that of a tap of the same name elsewhere.
        let kept = |number| link.as_ref().and_then(|_| self.store.take(name, number));
        let tap = Tap::create(name, queues, kept)
            .map_err(|cause| StartError::Tap { port: name.clone(), cause })?;
        let mtu = port.mtu.map_or(device.mtu, |mtu| device.mtu.min(mtu.into()));
        let appearance = Appearance { mac: device.mac, mtu };
        let index = self.netlink.dress_tap(name, appearance, true).await?;
        Ok(Port::new(port.clone(), tap, index))
    }
}

/// What is known of the way out by a card before it is taken.
pub(super) fn egress(device: &Device) -> Egress {
    Egress {
        ifindex: device.ifindex,
        mac: device.mac,
        mtu: u16::try_from(device.mtu).unwrap_or(u16::MAX),
        engines: 0,
    }
}

fn neighbours(config: &Config) -> Neighbours {
    let limits = Limits::for_neighbours(config.tables.neighbours as usize);
    Neighbours::new(timers(&config.resolution), limits, u64::from(seed()))
}

/// What `[resolution]` says.
pub(super) fn timers(resolution: &config::Resolution) -> Timers {
    Timers {
        reachable: resolution.reachable,
        delay: resolution.delay,
        retransmit: resolution.retransmit,
        probes: resolution.probes,
        stale: resolution.stale,
        failed_hold: resolution.failed_hold,
        ..Timers::default()
    }
}

/// A number that differs from start to start; the standard library's hasher has one.
pub(super) fn seed() -> u32 {
    #[expect(clippy::cast_possible_truncation, reason = "half of it will do")]
    let seed = RandomState::new().build_hasher().finish() as u32;
    seed
}
