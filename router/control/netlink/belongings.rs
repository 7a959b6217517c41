//! What devices have in the kernel, so that other devices can have it: addresses, neighbours, next-hop
//! objects and routes. They are kept as the kernel's own messages and sent again with other numbers of
//! devices, so that all that they say (protocol, metric, label, lifetime, source) is said again.
//!
//! Left out is what comes by itself: the routes that an address brings, groups that the kernel joins.
#![forbid(unsafe_code)]

mod messages;

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;

use futures::{StreamExt, TryStreamExt};
use netlink_packet_route::address::{AddressAttribute, AddressMessage};
use netlink_packet_route::neighbour::NeighbourMessage;
use netlink_packet_route::route::{RouteAttribute, RouteMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use rtnetlink::packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_REPLACE, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload,
};
use rtnetlink::sys::protocols::NETLINK_ROUTE;

use super::address::Address;
use super::object::{self, RTM_GETNEXTHOP, RTM_NEWNEXTHOP};
use super::routes::KernelRoute;
use super::{Netlink, NetlinkError, raw};
use crate::packet::ethernet::MacAddress;
use messages::{
    brings, describe, has_gateway, how_to_put, is_known, is_replaced, known, label, leads_through,
    object_of, redirect, refresh, without_detection,
};

/// As libc has it; this file does without it.
const EEXIST: i32 = 17;

/// What some devices have.
#[derive(Clone, Default, Debug)]
pub struct Belongings {
    addresses: Vec<AddressMessage>,
    neighbours: Vec<NeighbourMessage>,
    /// Next-hop objects, as the bodies of messages.
    objects: Vec<Vec<u8>>,
    routes: Vec<RouteMessage>,
}

/// A neighbour of the kernel's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Known {
    /// Whose MAC it is.
    pub address: IpAddr,
    /// The MAC.
    pub mac: MacAddress,
    /// Somebody has told the kernel so for good.
    pub permanent: bool,
}

/// From one device to another, by their numbers.
pub type Move = (u32, u32);

impl Netlink {
    /// What these devices have.
    ///
    /// # Errors
    /// [`NetlinkError`].
    pub async fn belongings(&self, devices: &[u32]) -> Result<Belongings, NetlinkError> {
        let mut found = Belongings::default();
        for &device in devices {
            let dump = self.handle.address().get().set_link_index_filter(device).execute();
            let addresses: Result<Vec<_>, _> = dump.try_collect().await;
            found.addresses.extend(addresses.map_err(listing("addresses"))?);
        }
        let dump = self.handle.neighbours().get().execute();
        let neighbours: Result<Vec<_>, _> = dump.try_collect().await;
        found.neighbours = neighbours.map_err(listing("neighbours"))?;
        found.neighbours.retain(|n| devices.contains(&n.header.ifindex) && is_known(n));
        for (number, &device) in devices.iter().enumerate() {
            let routes = self.routes_through(device).await?;
            let is_new = |route: &RouteMessage| {
                leads_through(route, &[device])
                    && !leads_through(route, &devices[..number])
                    && !found.addresses.iter().any(|address| brings(address, route))
            };
            found.routes.extend(routes.into_iter().filter(is_new));
        }
        let moves: Vec<Move> = devices.iter().map(|&device| (device, device)).collect();
        found.objects = objects(&moves)?;
        Ok(found)
    }

    /// The kernel lists these routes only, but for one that does not know how to.
    async fn routes_through(&self, device: u32) -> Result<Vec<RouteMessage>, NetlinkError> {
        let mut all = Vec::new();
        for family in [AddressFamily::Inet, AddressFamily::Inet6] {
            let mut request = RouteMessage::default();
            request.header.address_family = family;
            request.attributes.push(RouteAttribute::Oif(device));
            let dump = self.handle.route().get(request).execute();
            let routes: Result<Vec<_>, _> = dump.try_collect().await;
            all.extend(routes.map_err(listing("routes"))?);
        }
        Ok(all)
    }

    /// Give the devices what they are to have, in the order in which one depends on another. What is
    /// there already is no error; routes and next-hop objects take the place of those like them.
    ///
    /// # Errors
    /// [`NetlinkError`] of the first that failed; the others were tried as well.
    pub async fn give(&self, all: &Belongings) -> Result<(), NetlinkError> {
        const REPLACE: u16 = NLM_F_CREATE | NLM_F_REPLACE;
        let mut results = Vec::new();
        for address in &all.addresses {
            results.push(self.give_address(address).await);
        }
        for neighbour in &all.neighbours {
            let message = RouteNetlinkMessage::NewNeighbour(neighbour.clone());
            results.push(self.send(message, REPLACE, "neighbour", "give").await);
        }
        for body in &all.objects {
            let done = raw::order(NETLINK_ROUTE, RTM_NEWNEXTHOP, REPLACE, body);
            results.push(done.map_err(|source| failed("next-hop object", "replace", source)));
        }
        for route in &all.routes {
            let message = RouteNetlinkMessage::NewRoute(route.clone());
            results.push(self.send(message, how_to_put(route), describe(route), "move").await);
        }
        results.into_iter().collect()
    }

    /// Take addresses from devices that others have by now, and the routes that could not be replaced.
    /// The last first: with the first address of an IPv4 subnet the kernel takes its others.
    ///
    /// # Errors
    /// [`NetlinkError`] of the first that failed.
    pub async fn take(&self, all: &Belongings) -> Result<(), NetlinkError> {
        let is_left = |route: &&RouteMessage| !is_replaced(route) && object_of(route).is_none();
        for route in all.routes.iter().filter(is_left) {
            let message = RouteNetlinkMessage::DelRoute(route.clone());
            self.send(message, 0, describe(route), "remove").await?;
        }
        for address in all.addresses.iter().rev() {
            let mut address = address.clone();
            // Its label may have changed with the device's name.
            address.attributes.retain(|a| !matches!(a, AddressAttribute::Label(_)));
            self.send(RouteNetlinkMessage::DelAddress(address), 0, "address", "remove").await?;
        }
        Ok(())
    }

    /// IPv6 addresses are usable at once, without duplicate address detection, and have their own
    /// flags afterwards.
    async fn give_address(&self, address: &AddressMessage) -> Result<(), NetlinkError> {
        let flags = NLM_F_CREATE | NLM_F_REPLACE;
        let name = Address::of(address).map_or_else(String::new, |address| address.net.to_string());
        if address.header.family == AddressFamily::Inet6 {
            let first = RouteNetlinkMessage::NewAddress(without_detection(address));
            self.send(first, flags, &name, "give address").await?;
        }
        let message = RouteNetlinkMessage::NewAddress(address.clone());
        self.send(message, flags, &name, "give address").await
    }

    /// That what is to be made is there, or what is to be removed is gone, is no error.
    async fn send(
        &self,
        message: RouteNetlinkMessage,
        flags: u16,
        object: impl ToString,
        call: &'static str,
    ) -> Result<(), NetlinkError> {
        let mut request = NetlinkMessage::from(message);
        request.header.flags = NLM_F_REQUEST | NLM_F_ACK | flags;
        let mut answers = self
            .handle
            .clone()
            .request(request)
            .map_err(|error| NetlinkError::new(object.to_string(), call, error))?;
        while let Some(answer) = answers.next().await {
            let NetlinkPayload::Error(error) = answer.payload else { continue };
            if error.code.is_none() {
                continue;
            }
            let error = failed(object.to_string(), call, error.to_io());
            let is_done = match flags & NLM_F_CREATE {
                0 => error.is_absent(),
                _ => error.source.raw_os_error() == Some(EEXIST),
            };
            if !is_done {
                return Err(error);
            }
        }
        Ok(())
    }
}

impl Belongings {
    /// The same for other devices. Routes with several next hops may lead through several of them.
    #[must_use]
    pub fn moved(&self, moves: &[Move]) -> Self {
        let to = |device: u32| moves.iter().find(|(from, _)| *from == device).map(|(_, to)| *to);
        let mut moved = self.clone();
        // Of IPv6 addresses the latest is listed first, and is given last again.
        let (v4, v6): (Vec<_>, Vec<_>) = std::mem::take(&mut moved.addresses)
            .into_iter()
            .partition(|address| address.header.family == AddressFamily::Inet);
        moved.addresses = v4.into_iter().chain(v6.into_iter().rev()).collect();
        for address in &mut moved.addresses {
            address.header.index = to(address.header.index).unwrap_or(address.header.index);
        }
        for neighbour in &mut moved.neighbours {
            neighbour.header.ifindex = to(neighbour.header.ifindex).unwrap_or_default();
            refresh(neighbour);
        }
        moved.objects =
            moved.objects.iter().filter_map(|body| object::moved(body, moves)).collect();
        // With a next-hop object goes whatever leads through it.
        moved.routes.retain(|route| object_of(route).is_none());
        moved.routes.iter_mut().for_each(|route| redirect(route, to));
        // A gateway may be reached by a route to it alone.
        moved.routes.sort_by_key(has_gateway);
        moved
    }

    /// IPv4 addresses have the labels that they had in `before`: a device that is renamed has other
    /// labels.
    #[must_use]
    pub fn labelled_as(mut self, before: &Self) -> Self {
        for address in &mut self.addresses {
            let same = |other: &&AddressMessage| Address::of(other) == Address::of(address);
            let Some(label) = before.addresses.iter().find(same).and_then(label) else { continue };
            address.attributes.retain(|a| !matches!(a, AddressAttribute::Label(_)));
            address.attributes.push(AddressAttribute::Label(label));
        }
        self
    }

    /// The addresses of a device.
    pub fn addresses(&self, device: u32) -> Vec<Address> {
        let of = self.addresses.iter().filter(|address| address.header.index == device);
        of.filter_map(Address::of).collect()
    }

    /// The neighbours behind a device.
    pub fn neighbours(&self, device: u32) -> Vec<Known> {
        let of = self.neighbours.iter().filter(|n| n.header.ifindex == device);
        of.filter_map(known).collect()
    }

    /// The routes through a device, but for those that its addresses bring. Such as packets in
    /// transit do not take are left out.
    pub fn routes(&self, device: u32) -> Vec<KernelRoute> {
        let of = self.routes.iter().filter(|route| leads_through(route, &[device]));
        of.filter_map(|route| KernelRoute::of(route).ok()).collect()
    }

    /// How many routes there are through a device, by who made them.
    pub fn routes_by_protocol(&self, device: u32) -> BTreeMap<u8, usize> {
        let mut counts = BTreeMap::new();
        for route in self.routes.iter().filter(|route| leads_through(route, &[device])) {
            *counts.entry(route.header.protocol.into()).or_default() += 1;
        }
        counts
    }
}

fn listing(what: &'static str) -> impl FnOnce(rtnetlink::Error) -> NetlinkError {
    move |error| NetlinkError::new(what, "list", error)
}

fn failed(object: impl Into<String>, call: &'static str, source: io::Error) -> NetlinkError {
    NetlinkError { object: object.into(), call, source }
}

/// Next-hop objects behind devices that are moved. A kernel without such objects has none.
fn objects(moves: &[Move]) -> Result<Vec<Vec<u8>>, NetlinkError> {
    match raw::list(NETLINK_ROUTE, RTM_GETNEXTHOP, &[0; 8]) {
        Ok(all) => Ok(all.iter().filter_map(|body| object::moved(body, moves)).collect()),
        Err(error) if error.raw_os_error() == Some(95) => Ok(Vec::new()),
        Err(source) => Err(failed("next-hop objects", "list", source)),
    }
}

#[cfg(test)]
mod tests;
