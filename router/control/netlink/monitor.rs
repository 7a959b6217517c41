//! News of the kernel's devices, of their addresses and of their static neighbours.
#![forbid(unsafe_code)]

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use futures::channel::mpsc::UnboundedReceiver;
use futures::{FutureExt, StreamExt};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::neighbour::NeighbourMessage;
use rtnetlink::MulticastGroup;
use rtnetlink::packet_core::{NetlinkMessage, NetlinkPayload};
use rtnetlink::sys::{AsyncSocket, SocketAddr};

use super::link::Link;
use super::neighbour;
use super::{Netlink, NetlinkError};
use crate::packet::ethernet::MacAddress;

/// What has become of a device.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LinkEvent {
    /// It came, or something of it changed, or it is as it was: this is how it is.
    Is(Link),
    /// It went: its number is no longer in use, or soon another's.
    Gone {
        /// Its number.
        index: u32,
        /// Its last name.
        name: String,
    },
    /// Its addresses are others, or may be.
    Addresses {
        /// Its number.
        index: u32,
    },
    /// A static neighbour of it is there, has another MAC, or is gone.
    Neighbour {
        /// The device's number.
        index: u32,
        /// Whose MAC it is.
        address: IpAddr,
        /// None: it is gone.
        mac: Option<MacAddress>,
    },
}

/// What the kernel is asked to tell of.
const GROUPS: [MulticastGroup; 4] = [
    MulticastGroup::Link,
    MulticastGroup::Ipv4Ifaddr,
    MulticastGroup::Ipv6Ifaddr,
    MulticastGroup::Neigh,
];

/// Octets of news that the kernel keeps for us while control is busy. What is beyond is made up
/// for by asking anew.
const RECEIVE_BUFFER: usize = 1 << 20;

/// News came faster than it was read: so long the storm may last before all is asked anew.
const STORM: Duration = Duration::from_millis(100);

/// A stream of [`LinkEvent`]s, beginning with all devices and static neighbours that there are. One
/// socket hears of everything, so that what came first is told first.
#[derive(Debug)]
pub struct LinkMonitor {
    netlink: Netlink,
    news: UnboundedReceiver<(NetlinkMessage<RouteNetlinkMessage>, SocketAddr)>,
    devices: Devices,
    /// News was lost, or none came yet: all devices are to be asked for.
    stale: Stale,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stale {
    No,
    New,
    Overrun,
}

impl Netlink {
    /// Follow the devices of this connection's namespace. The calling thread has to be in it.
    ///
    /// # Errors
    /// [`NetlinkError`], if no socket can be had.
    pub fn follow_links(&self) -> Result<LinkMonitor, NetlinkError> {
        let failed = |call| move |source| NetlinkError { object: "link news".into(), call, source };
        let (mut connection, _, news) =
            rtnetlink::new_multicast_connection(&GROUPS).map_err(failed("socket"))?;
        let socket = connection.socket_mut().socket_mut();
        socket.set_rx_buf_sz(RECEIVE_BUFFER).map_err(failed("SO_RCVBUF"))?;
        tokio::spawn(connection);
        Ok(LinkMonitor {
            netlink: self.clone(),
            news,
            devices: Devices::default(),
            stale: Stale::New,
        })
    }
}

impl LinkMonitor {
    /// The next event. A call that is abandoned (`select!`) loses nothing.
    ///
    /// # Errors
    /// [`NetlinkError`], if the devices cannot be listed; the next call tries again. If the socket
    /// is gone, each call fails.
    pub async fn next(&mut self) -> Result<LinkEvent, NetlinkError> {
        loop {
            if self.stale != Stale::No {
                self.ask_anew().await?;
            }
            if let Some(event) = self.devices.events.pop_front() {
                return Ok(event);
            }
            match self.news.next().await {
                Some((message, _)) => self.hear(message.payload),
                None => return Err(NetlinkError::new("link news", "read", GONE)),
            }
        }
    }

    async fn ask_anew(&mut self) -> Result<(), NetlinkError> {
        if self.stale == Stale::Overrun {
            tokio::time::sleep(STORM).await;
        }
        // The kernel reports the overrun before the older news that it still had room for, and
        // discards newer without a word until all of that is read. So it is read, and thrown away:
        // told after the list, it would be taken for newer. So would what came before the first list.
        let again = self.discard();
        self.devices.replace(self.netlink.links().await?);
        self.devices.replace_neighbours(self.netlink.static_neighbours().await?);
        self.stale = if again { Stale::Overrun } else { Stale::No };
        Ok(())
    }

    /// Whether the news thrown away ended in another overrun.
    fn discard(&mut self) -> bool {
        let mut overrun = false;
        while let Some(Some((message, _))) = self.news.next().now_or_never() {
            overrun |= matches!(message.payload, NetlinkPayload::Overrun(_));
        }
        overrun
    }

    fn hear(&mut self, payload: NetlinkPayload<RouteNetlinkMessage>) {
        match payload {
            NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewLink(message)) => {
                self.devices.changed(Link::from(&message));
            }
            NetlinkPayload::InnerMessage(RouteNetlinkMessage::DelLink(message)) => {
                self.devices.gone(message.header.index);
            }
            NetlinkPayload::InnerMessage(
                RouteNetlinkMessage::NewAddress(message) | RouteNetlinkMessage::DelAddress(message),
            ) => self.devices.addresses_changed(message.header.index),
            NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewNeighbour(message)) => {
                self.devices.neighbour(&message, neighbour::static_mac(&message));
            }
            NetlinkPayload::InnerMessage(RouteNetlinkMessage::DelNeighbour(message)) => {
                self.devices.neighbour(&message, None);
            }
            // ENOBUFS: how much was lost is not known.
            NetlinkPayload::Overrun(_) => self.stale = Stale::Overrun,
            _ => {}
        }
    }
}

const GONE: rtnetlink::Error = rtnetlink::Error::RequestFailed;

/// The devices that were told of, and what is still to be told.
#[derive(Default, Debug)]
struct Devices {
    known: BTreeMap<u32, Link>,
    /// The static neighbours of devices, of whoever they are but ours.
    neighbours: BTreeMap<(u32, IpAddr), MacAddress>,
    events: VecDeque<LinkEvent>,
}

impl Devices {
    fn changed(&mut self, link: Link) {
        // A bridge speaks of its ports in messages of its own, without most attributes.
        if link.name.is_empty() || self.known.get(&link.index) == Some(&link) {
            return;
        }
        self.known.insert(link.index, link.clone());
        self.events.push_back(LinkEvent::Is(link));
    }

    fn gone(&mut self, index: u32) {
        if let Some(link) = self.known.remove(&index) {
            self.events.push_back(LinkEvent::Gone { index, name: link.name });
        }
    }

    fn addresses_changed(&mut self, index: u32) {
        let event = LinkEvent::Addresses { index };
        // Said and not heard yet: once is enough.
        if self.events.back() != Some(&event) {
            self.events.push_back(event);
        }
    }

    /// Of a neighbour that is not static, and was not, nothing is told.
    fn neighbour(&mut self, message: &NeighbourMessage, mac: Option<MacAddress>) {
        let Some(key) = neighbour::key(message) else { return };
        self.neighbour_is(key, mac);
    }

    fn neighbour_is(&mut self, key: (u32, IpAddr), mac: Option<MacAddress>) {
        let before = match mac {
            Some(mac) => self.neighbours.insert(key, mac),
            None => self.neighbours.remove(&key),
        };
        if before != mac {
            let (index, address) = key;
            self.events.push_back(LinkEvent::Neighbour { index, address, mac });
        }
    }

    /// These are all static neighbours that there are.
    fn replace_neighbours(&mut self, now: Vec<((u32, IpAddr), MacAddress)>) {
        let left = |key: &(u32, IpAddr)| !now.iter().any(|(known, _)| known == key);
        let gone: Vec<_> = self.neighbours.keys().copied().filter(left).collect();
        gone.into_iter().for_each(|key| self.neighbour_is(key, None));
        now.into_iter().for_each(|(key, mac)| self.neighbour_is(key, Some(mac)));
    }

    /// These are all there are. Their addresses may be others, too.
    fn replace(&mut self, links: Vec<Link>) {
        let left = |index: &u32| !links.iter().any(|link| link.index == *index);
        let gone: Vec<u32> = self.known.keys().copied().filter(left).collect();
        gone.into_iter().for_each(|index| self.gone(index));
        links.into_iter().for_each(|link| self.changed(link));
        let all: Vec<u32> = self.known.keys().copied().collect();
        all.into_iter().for_each(|index| self.addresses_changed(index));
    }
}

#[cfg(test)]
mod tests {
    use netlink_packet_route::link::{LinkAttribute, LinkMessage};

    use super::*;

    fn link(index: u32, mtu: u32) -> Link {
        let mut message = LinkMessage::default();
        message.header.index = index;
        message.attributes =
            vec![LinkAttribute::IfName(format!("eth{index}")), LinkAttribute::Mtu(mtu)];
        Link::from(&message)
    }

    #[test]
    fn after_an_overrun_only_the_differences_are_told() {
        let mut devices = Devices::default();
        devices.replace(vec![link(1, 1500), link(2, 1500)]);
        assert_eq!(devices.events.drain(..).count(), 4);
        devices.replace(vec![link(2, 9000), link(3, 1500)]);
        let events: Vec<_> = devices.events.drain(..).collect();
        assert_eq!(
            events,
            [
                LinkEvent::Gone { index: 1, name: "eth1".into() },
                LinkEvent::Is(link(2, 9000)),
                LinkEvent::Is(link(3, 1500)),
                LinkEvent::Addresses { index: 2 },
                LinkEvent::Addresses { index: 3 },
            ]
        );
        devices.changed(link(2, 9000));
        devices.gone(9);
        assert!(devices.events.is_empty());
    }

    #[test]
    fn of_neighbours_only_what_is_static_is_told() {
        let (key, mac) = ((7, IpAddr::from([10, 1, 0, 9])), MacAddress([2, 0, 0, 0, 0, 9]));
        let told = |mac| LinkEvent::Neighbour { index: key.0, address: key.1, mac };
        let mut devices = Devices::default();
        devices.neighbour_is(key, None);
        assert!(devices.events.is_empty(), "one that was learned");
        devices.neighbour_is(key, Some(mac));
        devices.neighbour_is(key, Some(mac));
        devices.replace_neighbours(vec![(key, mac)]);
        devices.replace_neighbours(Vec::new());
        assert_eq!(devices.events, [told(Some(mac)), told(None)]);
    }
}
