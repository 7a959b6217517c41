//! Addresses of devices.
#![forbid(unsafe_code)]

use std::net::IpAddr;

use futures::TryStreamExt;
use ipnet::{IpNet, Ipv6Net};
use netlink_packet_route::AddressFamily;
use netlink_packet_route::address::{
    AddressAttribute, AddressFlags, AddressHeaderFlags, AddressMessage, AddressProtocol,
};

use super::{Netlink, NetlinkError, PROTOCOL};
use crate::packet::ethernet::MacAddress;
use crate::packet::ipv6;

/// An address of a device.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Address {
    /// The address with the length of its subnet; the host bits are the address's.
    pub net: IpNet,
    /// Somebody gave it for good: neither DHCP nor a router advertisement did.
    pub permanent: bool,
    /// We gave it (`IFA_PROTO` is [`PROTOCOL`]).
    pub ours: bool,
    /// The kernel uses it: it does not still ask whether somebody else has it, nor does anybody.
    pub usable: bool,
}

impl Address {
    /// What a message tells; None if it has no address of IP's.
    ///
    /// With a peer (point to point), `Local` is the address and `Address` the peer's; IPv6 addresses
    /// without a peer have no `Local`.
    pub fn of(message: &AddressMessage) -> Option<Self> {
        let (mut local, mut other, mut ours) = (None, None, false);
        for attribute in &message.attributes {
            match attribute {
                AddressAttribute::Local(address) => local = Some(*address),
                AddressAttribute::Address(address) => other = Some(*address),
                AddressAttribute::Protocol(protocol) => ours = u8::from(*protocol) == PROTOCOL,
                _ => {}
            }
        }
        let net = IpNet::new(local.or(other)?, message.header.prefix_len).ok()?;
        let flags = message.header.flags;
        let unusable = AddressHeaderFlags::Tentative | AddressHeaderFlags::Dadfailed;
        let permanent = flags.contains(AddressHeaderFlags::Permanent);
        Some(Self { net, permanent, ours, usable: !flags.intersects(unusable) })
    }
}

/// What [`Netlink::sync_addresses`] does: a plan, made before anything is touched.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Changes {
    /// To be removed: ours, and no longer wanted.
    pub remove: Vec<IpNet>,
    /// To be given.
    pub add: Vec<IpNet>,
}

impl Changes {
    /// From what there is to what is wanted. What others gave is left alone.
    pub fn plan(now: &[Address], wanted: &[IpNet]) -> Self {
        let ours = now.iter().filter(|address| address.ours).map(|address| address.net);
        let missing = |net: &&IpNet| !now.iter().any(|address| address.net == **net);
        Self {
            remove: ours.filter(|net| !wanted.contains(net)).collect(),
            add: wanted.iter().filter(missing).copied().collect(),
        }
    }
}

/// `configured`, and the link-local address that every interface has (RFC 4291 2.5.6), made from
/// the MAC unless one is configured.
pub fn with_link_local(mac: MacAddress, configured: &[IpNet]) -> Vec<IpNet> {
    let mut all = configured.to_vec();
    let is_link_local =
        |net: &IpNet| matches!(net, IpNet::V6(net) if ipv6::is_link_local(net.addr()));
    if !configured.iter().any(is_link_local) {
        all.push(link_local_of(mac));
    }
    all
}

/// The link-local address that the kernel too would make from `mac`, with its subnet.
pub(super) fn link_local_of(mac: MacAddress) -> IpNet {
    IpNet::V6(Ipv6Net::new_assert(ipv6::link_local_of(mac), 64))
}

impl Netlink {
    /// The addresses of a device.
    ///
    /// # Errors
    /// [`NetlinkError`].
    pub async fn addresses(&self, index: u32) -> Result<Vec<Address>, NetlinkError> {
        let dump = self.handle.address().get().set_link_index_filter(index).execute();
        let found: Result<Vec<AddressMessage>, _> = dump.try_collect().await;
        let messages = found.map_err(|e| failed(index, "list addresses", e))?;
        Ok(messages.iter().filter_map(Address::of).collect())
    }

    /// Give the device the `wanted` addresses and take from it those that we gave before and that
    /// are not among them. Says what was done.
    ///
    /// # Errors
    /// [`NetlinkError`] of the first that failed.
    pub async fn sync_addresses(
        &self,
        index: u32,
        wanted: &[IpNet],
    ) -> Result<Changes, NetlinkError> {
        let mut changes = Changes::plan(&self.addresses(index).await?, wanted);
        for &net in &changes.remove {
            self.remove_address(index, net).await?;
        }
        if !changes.remove.is_empty() {
            // With the first address of an IPv4 subnet the kernel takes the others of it, too.
            changes.add = Changes::plan(&self.addresses(index).await?, wanted).add;
        }
        for &net in &changes.add {
            self.add_address(index, net).await?;
        }
        Ok(changes)
    }

    /// Give the device an address; that it has it already is no error. An IPv6 address is usable
    /// at once, without duplicate address detection.
    ///
    /// # Errors
    /// [`NetlinkError`].
    pub async fn add_address(&self, index: u32, net: IpNet) -> Result<(), NetlinkError> {
        let mut attributes = vec![AddressAttribute::Protocol(AddressProtocol::Other(PROTOCOL))];
        if net.addr().is_ipv6() {
            // Detection (RFC 4862 5.4) asks through the port, which may have no link yet, and for
            // as long nothing could listen on the address.
            attributes.push(AddressAttribute::Flags(AddressFlags::Nodad));
        }
        self.put_address(index, net, attributes).await
    }

    /// Give an address, `with` more attributes than it has by itself.
    pub(super) async fn put_address(
        &self,
        index: u32,
        net: IpNet,
        with: Vec<AddressAttribute>,
    ) -> Result<(), NetlinkError> {
        let mut request = self.handle.address().add(index, net.addr(), net.prefix_len()).replace();
        request.message_mut().attributes.extend(with);
        request.execute().await.map_err(|e| NetlinkError::new(net, "give address", e))
    }

    /// Take an address from the device; that it has it no more is no error.
    ///
    /// # Errors
    /// [`NetlinkError`].
    pub async fn remove_address(&self, index: u32, net: IpNet) -> Result<(), NetlinkError> {
        let mut message = AddressMessage::default();
        message.header.family = family(net.addr());
        message.header.prefix_len = net.prefix_len();
        message.header.index = index;
        message.attributes.push(AddressAttribute::Local(net.addr()));
        let done = self.handle.address().del(message).execute().await;
        match done.map_err(|e| NetlinkError::new(net, "take address", e)) {
            Err(error) if !error.is_absent() => Err(error),
            _ => Ok(()),
        }
    }
}

fn family(address: IpAddr) -> AddressFamily {
    if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 }
}

fn failed(index: u32, call: &'static str, error: rtnetlink::Error) -> NetlinkError {
    NetlinkError::new(format_args!("device {index}"), call, error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(text: &str) -> IpNet {
        text.parse().unwrap()
    }

    #[test]
    fn what_others_gave_stays_and_what_is_there_is_not_touched() {
        let of = |text, ours| Address { net: net(text), permanent: true, ours, usable: true };
        let now = [of("10.0.0.1/24", true), of("10.0.0.9/32", false), of("fd00::1/64", true)];
        let plan = Changes::plan(&now, &[net("fd00::1/64"), net("10.0.1.1/24")]);
        assert_eq!(plan.remove, [net("10.0.0.1/24")]);
        assert_eq!(plan.add, [net("10.0.1.1/24")]);
        assert_eq!(
            Changes::plan(&now, &[net("10.0.0.1/24"), net("fd00::1/64")]),
            Changes::default()
        );
        // Another length of the subnet is another address.
        assert_eq!(Changes::plan(&now[..1], &[net("10.0.0.1/25")]).remove, [net("10.0.0.1/24")]);
    }

    #[test]
    fn link_local_unless_configured() {
        let mac = MacAddress([2, 0, 0, 0, 0, 1]);
        assert_eq!(with_link_local(mac, &[]), [net("fe80::ff:fe00:1/64")]);
        let own = [net("10.0.0.1/8"), net("fe80::1/64")];
        assert_eq!(with_link_local(mac, &own), own);
    }
}
