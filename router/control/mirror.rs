//! The kernel's routes as ours: whatever FRR, BIRD, DHCP or `ip route` put into the kernel is
//! forwarded by.
//!
//! `netlink/feed.rs` hears, `table.rs` understands, the RIB decides. News are taken in slices, so
//! that a storm of them leaves control its timers. When some were lost, all routes are listed anew:
//! what is listed stays or comes, and what is not goes at the end, so nothing stops meanwhile.
#![forbid(unsafe_code)]

pub(super) mod table;

use std::collections::BTreeMap;
use std::future::pending;
use std::io;
use std::time::Duration;

use ipnet::IpNet;
use serde_json::Value;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};

use super::Router;
use super::netlink::feed::{Feed, News, OVERRUN, Way};
use super::netlink::link::Link;
use super::netlink::{Netlink, NetlinkError};
use super::port::Port;
use super::rib::{Action, Origin};
use super::{verify, view};
use crate::config;
use table::{Change, Key, Table, source};

/// News taken at once, before control looks at its timers.
const SLICE: usize = 256;
/// From the need of a new list to asking for it: what makes one need is seldom alone.
const STORM: Duration = Duration::from_millis(100);
/// From a failure of the socket to the next attempt.
const AGAIN: Duration = Duration::from_secs(1);
/// From a route for which there was no room until all are tried again.
const RETRY: Duration = Duration::from_secs(30);

/// The mirror, and what it has counted since the start.
#[derive(Default, Debug)]
pub(super) struct Mirror {
    /// None: routes of the kernel are not wanted.
    feed: Option<Feed>,
    table: Table,
    /// All routes are being listed.
    is_listing: bool,
    /// News were lost since the list was asked for.
    is_lossy: bool,
    /// When a new list is to be asked for.
    ask_at: Option<Instant>,
    /// The socket failed, and is left alone so long.
    rests_until: Option<Instant>,
    /// Routes that were not listed, and so are to go.
    stale: Vec<Key>,
    /// Which devices are up.
    devices: BTreeMap<u32, bool>,
    changes: u64,
    overruns: u64,
    listings: u64,
    refused: u64,
    checks: verify::Checks,
}

impl Mirror {
    /// As router.toml says; all routes are listed soon.
    ///
    /// # Errors
    /// [`NetlinkError`], if no socket can be had.
    pub fn start(settings: &config::Kernel, netlink: &Netlink) -> Result<Self, NetlinkError> {
        if !settings.routes {
            return Ok(Self::default());
        }
        let table = Table::new(settings.clone());
        let feed = netlink.follow_routes(table.tables())?;
        let ask_at = Some(Instant::now());
        Ok(Self { feed: Some(feed), table, ask_at, ..Self::default() })
    }

    /// Wait until there is something to do. A call that is abandoned (`select!`) loses nothing.
    pub async fn ready(&mut self) -> io::Result<()> {
        if !self.stale.is_empty() {
            return Ok(());
        }
        let Some(feed) = &mut self.feed else { return pending().await };
        if let Some(until) = self.rests_until {
            sleep_until(until).await;
            self.rests_until = None;
        }
        match self.ask_at.filter(|_| !self.is_listing) {
            None => feed.read().await,
            Some(at) => tokio::select! {
                outcome = feed.read() => outcome,
                () = sleep_until(at) => Ok(()),
            },
        }
    }

    /// A list is needed, after so long.
    fn ask_in(&mut self, wait: Duration) {
        let at = Instant::now() + wait;
        self.ask_at = Some(self.ask_at.map_or(at, |earlier| earlier.min(at)));
    }

    /// The kernel forgets IPv4 routes over a device that goes or is set down without a word, and
    /// revives others when it is set up.
    pub fn device_is(&mut self, link: &Link) {
        // Of a new device news tell enough.
        if self.devices.insert(link.index, link.up) == Some(!link.up) {
            self.ask_in(STORM);
        }
    }

    /// The device is not any more.
    pub fn device_gone(&mut self, index: u32) {
        self.devices.remove(&index);
        self.ask_in(STORM);
    }

    /// Compare all routes with the kernel's, and tell `answer` what differs.
    pub fn verify(&mut self, answer: oneshot::Sender<Value>) {
        self.checks.wait(answer);
        self.ask_in(Duration::ZERO);
    }

    /// Whether there is a kernel to compare with.
    pub fn is_on(&self) -> bool {
        self.feed.is_some()
    }

    /// Whether the kernel's routes are not all here.
    pub fn is_behind(&self) -> bool {
        self.is_on() && (self.is_listing || self.ask_at.is_some())
    }

    fn overrun(&mut self) {
        (self.overruns, self.is_lossy) = (self.overruns + 1, true);
        self.ask_in(STORM);
    }

    /// The socket does not work: try again.
    fn fail(&mut self, error: &io::Error) {
        tracing::error!("the kernel's routes: {error}; all are asked for again");
        let again = Instant::now() + AGAIN;
        (self.is_listing, self.ask_at, self.rests_until) = (false, Some(again), Some(again));
    }

    /// Ask for the list if it is time.
    fn ask(&mut self) -> io::Result<()> {
        let is_time = self.ask_at.is_some_and(|at| at <= Instant::now());
        let Some(feed) = self.feed.as_mut().filter(|_| is_time && !self.is_listing) else {
            return Ok(());
        };
        feed.ask()?;
        (self.is_listing, self.is_lossy, self.ask_at) = (true, false, None);
        self.listings += 1;
        self.table.list_begins();
        self.checks.begin();
        // What was to go is listed, or will be found again.
        self.stale.clear();
        Ok(())
    }

    /// How it is, for `show kernel`.
    fn view(&self, routes: u64, partial: u64) -> view::Kernel {
        let state = match () {
            () if !self.is_on() => "off",
            () if self.is_behind() || !self.stale.is_empty() => "listing",
            () => "in step",
        };
        view::Kernel {
            state: state.to_owned(),
            routes,
            partial,
            changes: self.changes,
            overruns: self.overruns,
            listings: self.listings,
            refused: self.refused,
        }
    }
}

impl Router {
    /// Something happened that [`Mirror::ready`] waited for.
    pub(super) fn follow_kernel(&mut self, outcome: io::Result<()>) {
        let outcome = match outcome {
            Err(error) if error.raw_os_error() == Some(OVERRUN) => {
                self.mirror.overrun();
                Ok(())
            }
            other => other.and_then(|()| self.hear_kernel()),
        };
        if let Err(error) = outcome {
            self.mirror.fail(&error);
        }
        self.sweep();
        self.reclaim();
    }

    fn hear_kernel(&mut self) -> io::Result<()> {
        // Of a port that was removed, none: no device has that number.
        let tap = |port: Option<&Port>| port.map_or(0, |port| port.tap_index);
        let taps: Vec<u32> = self.ports.slots().map(tap).collect();
        let Some(mut feed) = self.mirror.feed.take() else { return Ok(()) };
        let heard = feed.hear(SLICE, |news| self.learn_from_kernel(news, &taps));
        self.mirror.feed = Some(feed);
        if heard? { self.mirror.ask() } else { Ok(()) }
    }

    fn learn_from_kernel(&mut self, news: News, taps: &[u32]) {
        match news {
            News::Overrun => return self.mirror.overrun(),
            News::AllListed => return self.all_listed(),
            _ => {}
        }
        let is_listed = matches!(news, News::Route(_, Way::Listed));
        let change = self.mirror.table.hear(news, &self.rib, taps);
        if is_listed {
            self.mirror.checks.compare(&change, &self.rib);
        }
        match change {
            Change::None => {}
            Change::AskAnew => self.mirror.ask_in(STORM),
            Change::Insert(key, action) => self.mirror_route(key, action),
            Change::Remove(key) => self.forget_mirrored(key),
        }
    }

    fn mirror_route(&mut self, (to, metric): Key, action: Action) {
        self.mirror.changes += 1;
        let on_link = self.is_on_link(to, metric) || matches!(action.does(), Action::Connected(_));
        let (hops, fib) = (&mut self.hops, &mut self.fib);
        if let Err(full) = self.rib.insert(to, source(metric), action, hops, fib) {
            if self.mirror.refused == 0 {
                tracing::warn!("route {to} of the kernel: {full}; see `xrouter show tables`");
            }
            self.mirror.refused += 1;
            self.mirror.ask_in(RETRY);
        }
        self.review(to, on_link);
    }

    fn forget_mirrored(&mut self, (to, metric): Key) {
        self.mirror.changes += 1;
        let on_link = self.is_on_link(to, metric);
        self.rib.remove(to, source(metric), &mut self.hops, &mut self.fib);
        self.review(to, on_link);
    }

    /// Whether the kernel has said that these destinations are hosts on a link.
    fn is_on_link(&self, to: IpNet, metric: u32) -> bool {
        let action = self.rib.action(to, source(metric));
        action.is_some_and(|action| matches!(action.does(), Action::Connected(_)))
    }

    /// A route came or went: neighbours that it concerns are on the link now, or not any more.
    fn review(&mut self, to: IpNet, on_link: bool) {
        if on_link || self.config.connected().any(|(_, subnet)| subnet.contains(&to)) {
            self.hops.review(to, &self.rib, &mut self.fib);
        }
    }

    /// What was not listed is to go, unless it was but news of it were lost: then all is listed
    /// once more.
    fn all_listed(&mut self) {
        self.mirror.is_listing = false;
        if self.mirror.is_lossy {
            return;
        }
        self.mirror.stale = self.mirror.table.list_ends(&self.rib);
        let stale = &self.mirror.stale;
        self.mirror.checks.end(stale, &self.rib, &self.hops, &self.fib);
    }

    /// Let some of what is stale go.
    fn sweep(&mut self) {
        let keep = self.mirror.stale.len().saturating_sub(SLICE);
        for key in self.mirror.stale.split_off(keep) {
            self.forget_mirrored(key);
        }
    }

    /// How it stands with the kernel's routes.
    pub(super) fn show_kernel(&self) -> Vec<view::Kernel> {
        let (mut routes, mut partial) = (0, 0);
        for (_, _, action) in self.rib.of_origin(Origin::Kernel) {
            routes += 1;
            partial += u64::from(action.note().is_some_and(|note| note.elsewhere > 0));
        }
        vec![self.mirror.view(routes, partial)]
    }
}
