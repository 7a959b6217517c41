//! The steps from the configuration that runs to another, each carried out here and in the kernel.
//! One that fails has those before it undone, in reverse.
#![forbid(unsafe_code)]

use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;

use super::Router;
use super::rib::{Action, Origin};
use super::start::{StartError, find_device, timers};
use super::workers::{allowance, policers};
use crate::config::difference::{Change, Line, NeedsRestart, Settings, lines};
use crate::config::{Config, RouteAction, StaticNeighbour};
use crate::id::{PORTS_MAX, PortId};
use crate::packet::ethernet::MacAddress;
use crate::worker::Command;

/// Steps between two looks at what the workers and the timers want meanwhile.
const STEPS_PER_LOOK: usize = 64;
/// How often, and how long apart, it is looked whether the readers of a full table have passed.
const RECLAIMS: u32 = 10;
const RECLAIM: Duration = Duration::from_millis(20);

/// An order is not carried out: what ran before runs still.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// Keys that are read at start only.
    #[error(transparent)]
    NeedsRestart(#[from] NeedsRestart),
    /// The old and the new ports are too many to have numbers at once.
    #[error(
        "the ports that run and the new ones are more than {PORTS_MAX} together; remove the old \
         ones first, by a reload of their own"
    )]
    Ports,
    /// A reload waits for confirmation.
    #[error(
        "a reload waits to be confirmed, {left} s more: `xrouter confirm` keeps it, or wait until it \
         is taken back"
    )]
    Unconfirmed {
        /// Seconds that are left.
        left: u64,
    },
    /// No reload waits for confirmation.
    #[error("nothing waits to be confirmed; `xrouter show reload` says whether it was taken back")]
    NothingToConfirm,
    /// What was to be edited runs no more.
    #[error("the configuration was changed at the same moment by somebody else; try again")]
    Overtaken,
    /// A step failed.
    #[error("{step}: {cause}; nothing was changed: what was done before this is undone")]
    Failed {
        /// The step, as the difference shows it.
        step: String,
        /// Why.
        cause: StartError,
    },
}

impl Router {
    /// All of the changes, or none.
    pub(super) async fn apply(&mut self, changes: &[Change], new: &Config) -> Result<(), Refused> {
        for change in changes {
            has_its_card(change).map_err(|cause| self.failed(change, new, cause))?;
        }
        for (number, change) in changes.iter().enumerate() {
            if let Err(cause) = self.carry_out(change).await {
                // What failed may be done in part.
                self.undo(&changes[..=number]).await;
                return Err(self.failed(change, new, cause));
            }
            if number % STEPS_PER_LOOK == 0 {
                self.look_around();
            }
        }
        Ok(())
    }

    fn failed(&self, change: &Change, new: &Config, cause: StartError) -> Refused {
        let step = lines(std::slice::from_ref(change), &self.config, new);
        let step = step.iter().map(Line::to_string).collect::<Vec<_>>().join(", ");
        Refused::Failed { step, cause }
    }

    async fn undo(&mut self, done: &[Change]) {
        for change in done.iter().rev() {
            if let Err(error) = self.carry_out(&change.undone()).await {
                tracing::error!("what a failed change had done could not be undone: {error}");
                self.forget_port_of(change).await;
            }
        }
    }

    /// A port that could not be had back is missing: the next reload brings it.
    async fn forget_port_of(&mut self, change: &Change) {
        if let Change::Port { old: Some(port), .. } = change {
            self.unplug(port.id).await;
            self.config.ports.retain(|other| other.id != port.id);
        }
    }

    /// One step. What was freed lately is room only when every reader of the tables has passed, so
    /// a full table gets a second try.
    async fn carry_out(&mut self, change: &Change) -> Result<(), StartError> {
        let outcome = self.try_to(change).await;
        if !matches!(outcome, Err(StartError::Full { .. })) {
            return outcome;
        }
        if let Err(error) = self.try_to(&change.undone()).await {
            tracing::debug!("before a second try: {error}");
        }
        for _ in 0..RECLAIMS {
            self.look_around();
            tokio::time::sleep(RECLAIM).await;
        }
        self.try_to(change).await
    }

    /// What the workers and the timers want in the middle of a long change.
    fn look_around(&mut self) {
        self.read_mail();
        self.tick();
        self.reclaim();
    }

    async fn try_to(&mut self, change: &Change) -> Result<(), StartError> {
        match change {
            Change::Port { old, new } => {
                if let Some(old) = old {
                    self.unplug(old.id).await;
                }
                match new {
                    Some(new) => self.plug(new).await,
                    None => Ok(()),
                }
            }
            Change::Tuning { new, .. } => self.tune(new).await,
            Change::Addresses { port, new, .. } => self.change_addresses(*port, new).await,
            Change::Settings { new, .. } => {
                self.change_settings(new);
                Ok(())
            }
            Change::Neighbour { port, address, new, .. } => {
                self.change_neighbour(*port, *address, *new).await
            }
            Change::Route { to, new, .. } => self.change_route(*to, new.as_ref()).await,
        }
    }

    /// A static route comes, is another or goes, here and in the kernel.
    async fn change_route(
        &mut self,
        to: IpNet,
        action: Option<&RouteAction>,
    ) -> Result<(), StartError> {
        let Some(action) = action else {
            self.rib.remove(to, Origin::Static.into(), &mut self.hops, &mut self.fib);
            return Ok(self.netlink.withdraw_route(to).await?);
        };
        self.add_route(to, Origin::Static, Action::Configured(action.clone()))?;
        if !self.has_ports_of(action) {
            // Undone before its port is: the kernel gets it with that.
            return Ok(());
        }
        match self.netlink.install_route(to, &self.target(action)).await {
            // The kernel gets it when its tap is up again.
            Err(error) if error.is_down() => Ok(()),
            outcome => Ok(outcome?),
        }
    }

    fn has_ports_of(&self, action: &RouteAction) -> bool {
        match action {
            RouteAction::Via(via) => via.iter().all(|next| self.ports.get(next.port).is_some()),
            _ => true,
        }
    }

    /// A static neighbour comes, has another MAC or is to be asked for again.
    async fn change_neighbour(
        &mut self,
        port: PortId,
        address: IpAddr,
        mac: Option<MacAddress>,
    ) -> Result<(), StartError> {
        if let Some(mac) = mac {
            return self.install_neighbour(&StaticNeighbour { port, address, mac }).await;
        }
        self.neighbours.remove(port, address, &mut self.actions);
        self.act();
        match self.ports.get(port) {
            Some(port) => Ok(self.netlink.remove_neighbour(port.tap_index, address).await?),
            None => Ok(()),
        }
    }

    /// The port has these addresses from now on, and those that programs have given its tap.
    async fn change_addresses(
        &mut self,
        id: PortId,
        addresses: &[IpNet],
    ) -> Result<(), StartError> {
        let Some(port) = self.ports.get_mut(id) else { return Ok(()) };
        port.config.addresses = addresses.to_vec();
        let (had, has) = (port.configured_addresses(), |net: &IpNet| addresses.contains(net));
        let gone = had.iter().filter(|net| !has(net));
        let new: Vec<_> = addresses.iter().filter(|net| !had.contains(net)).copied().collect();
        let outcome = self.give_addresses(id, &new);
        gone.for_each(|&net| self.remove_address(id, net));
        outcome?;
        self.act();
        self.redress(id).await?;
        self.update_groups();
        self.publish();
        self.claim_new(id, new.iter().map(IpNet::addr).collect());
        Ok(())
    }

    /// Make the tap what the port is now. With its last address of a family the kernel forgets the
    /// routes over it.
    async fn redress(&mut self, id: PortId) -> Result<(), StartError> {
        let outcome = self.dress(id).await;
        let port = self.ports[id.index()].name().to_owned();
        outcome.map_err(|cause| StartError::Attach { port, cause })?;
        self.restore_kernel_routes(id).await;
        Ok(())
    }

    /// Tell the kernel again of the configured routes that lead by this port.
    pub(super) async fn restore_kernel_routes(&self, id: PortId) {
        for route in self.config.routes.iter().filter(|route| leads_by(&route.action, id)) {
            match self.netlink.install_route(route.to, &self.target(&route.action)).await {
                Err(error) if !error.is_down() => tracing::warn!("{error}"),
                _ => {}
            }
        }
    }

    fn change_settings(&mut self, new: &Settings) {
        let Settings { router, policy, police, resolution } = new.clone();
        self.config.router = router;
        self.config.policy = policy;
        self.config.resolution = resolution;
        if police != self.config.police {
            self.config.police = police;
            self.policers = policers(&self.config);
        }
        self.neighbours.set_timers(timers(&self.config.resolution));
        self.allow();
        self.publish();
    }

    /// Tell the workers how many ports there are, and what they may do.
    pub(super) fn allow(&self) {
        let (workers, ports) = (self.workers.len(), self.ports.len());
        let allowance = allowance(&self.config, workers, ports, &self.policers);
        self.tell_all(|| Command::Allow(Box::new(allowance.clone())));
    }
}

/// What can be seen beforehand: no port is let go for one that has no card.
fn has_its_card(change: &Change) -> Result<(), StartError> {
    match change {
        Change::Port { new: Some(port), .. } => find_device(port).map(drop),
        _ => Ok(()),
    }
}

fn leads_by(action: &RouteAction, port: PortId) -> bool {
    matches!(action, RouteAction::Via(via) if via.iter().any(|next| next.port == port))
}
