//! Devices: what they are, and setting their MAC, MTU and flags.
#![forbid(unsafe_code)]

use futures::TryStreamExt;
use netlink_packet_route::link::{
    InfoData, InfoKind, InfoTun, LinkAttribute, LinkFlags, LinkInfo, LinkMessage,
};
use netlink_packet_route::neighbour::NeighbourFlags;
use rtnetlink::packet_core::Nla;

use super::{Netlink, NetlinkError, sysctl};
use crate::packet::ethernet::MacAddress;

/// A network device as the kernel knows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Link {
    /// Its number: `ifindex`.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Whether somebody set it up (`IFF_UP`).
    pub up: bool,
    /// Whether it is up and has a carrier (`IFF_RUNNING`).
    pub running: bool,
    /// Largest IP packet, in octets.
    pub mtu: u32,
    /// Its MAC; zero if it has none of six octets.
    pub mac: MacAddress,
    /// The operator's, or our, note on it.
    pub alias: String,
    /// Of a multi-queue tap: how many of its queues a process has open. Not 0: it is in use.
    pub tap_queues: Option<u32>,
    /// `IFF_NOARP` is set: the kernel neither asks nor answers for neighbours here.
    pub no_arp: bool,
    /// `IFF_ALLMULTI` is set: frames for every group come in.
    pub all_multicast: bool,
    /// Of a macvlan: the device that it is on.
    pub macvlan_on: Option<u32>,
    /// What kind of virtual device it is (`vlan`, `tun`); empty: none.
    pub kind: String,
    /// The device that it lies on or is tied to, in this network namespace.
    pub on: Option<u32>,
    /// The bridge, bond or VRF that it is a member of.
    pub controller: Option<u32>,
}

/// What a tap takes over from its port.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Appearance {
    /// The port's MAC.
    pub mac: MacAddress,
    /// Largest IP packet of the port, in octets.
    pub mtu: u32,
}

/// `IFLA_TUN_NUM_QUEUES` of `linux/if_link.h`.
const TUN_NUM_QUEUES: u16 = 8;

impl Netlink {
    /// All devices.
    ///
    /// # Errors
    /// [`NetlinkError`].
    pub async fn links(&self) -> Result<Vec<Link>, NetlinkError> {
        let dump = self.handle.link().get().execute();
        let found: Result<Vec<LinkMessage>, _> = dump.try_collect().await;
        let messages = found.map_err(|e| NetlinkError::new("links", "list", e))?;
        Ok(messages.iter().map(Link::from).collect())
    }

    /// The device called `name`; nothing if there is none.
    ///
    /// # Errors
    /// [`NetlinkError`], if the kernel does not tell.
    pub async fn link(&self, name: &str) -> Result<Option<Link>, NetlinkError> {
        let request = self.handle.link().get().match_name(name);
        let answer: Result<Vec<LinkMessage>, _> = request.execute().try_collect().await;
        match answer.map_err(|e| NetlinkError::new(name, "look up", e)) {
            Ok(found) => Ok(found.first().map(Link::from)),
            Err(error) if error.is_absent() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Make the tap `name` look like its port, and, unless it is to stay down, bring it up. Its
    /// addresses come next ([`Netlink::sync_addresses`]). Returns the tap's index.
    ///
    /// # Errors
    /// [`NetlinkError`], the tap being half made up.
    pub async fn dress_tap(
        &self,
        name: &str,
        as_port: Appearance,
        up: bool,
    ) -> Result<u32, NetlinkError> {
        let gone = || NetlinkError::new(name, "look up", rtnetlink::Error::RequestFailed);
        let link = self.link(name).await?.ok_or_else(gone)?;
        sysctl::prepare_tap(name)?;
        if link.mac != as_port.mac {
            self.set_mac(link.index, as_port.mac).await?;
        }
        if link.mtu != as_port.mtu {
            self.set_mtu(link.index, as_port.mtu).await?;
        }
        if up {
            self.set_up(link.index, true).await?;
        }
        Ok(link.index)
    }

    /// Whether filters of traffic hang from the device, in or out (tc(8), clsact).
    ///
    /// # Errors
    /// [`NetlinkError`].
    pub async fn has_filters(&self, index: u32) -> Result<bool, NetlinkError> {
        let failed = |e| NetlinkError::new(format_args!("device {index}"), "list filters", e);
        let filters = || self.handle.traffic_filter(index.try_into().unwrap_or_default()).get();
        for request in [filters().ingress(), filters().egress()] {
            let found: Result<Vec<_>, _> = request.execute().try_collect().await;
            if !found.map_err(failed)?.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Set the device's MAC.
    ///
    /// # Errors
    /// [`NetlinkError`].
    pub async fn set_mac(&self, index: u32, mac: MacAddress) -> Result<(), NetlinkError> {
        let attribute = LinkAttribute::Address(mac.octets().to_vec());
        self.set_attribute(index, attribute, "set MAC").await
    }

    /// Have the card let frames to one more MAC in, or not any more. That it does so, or does not,
    /// already is no error; nor is a device that lets all in and has no list.
    ///
    /// # Errors
    /// [`NetlinkError`].
    pub async fn set_filter(
        &self,
        index: u32,
        mac: MacAddress,
        on: bool,
    ) -> Result<(), NetlinkError> {
        // As `bridge fdb add MAC dev CARD self` does it.
        let mut request = self.handle.neighbours().add_bridge(index, &mac.octets());
        request.message_mut().header.flags = NeighbourFlags::Own;
        let done = if on {
            request.execute().await
        } else {
            let message = request.message_mut().clone();
            self.handle.neighbours().del(message).execute().await
        };
        match done.map_err(|e| NetlinkError::new(mac, "set filter", e)) {
            Err(error) if !error.is_absent() && !error.is_there() => Err(error),
            _ => Ok(()),
        }
    }

    /// Set the device's MTU, in octets.
    ///
    /// # Errors
    /// [`NetlinkError`].
    pub async fn set_mtu(&self, index: u32, mtu: u32) -> Result<(), NetlinkError> {
        self.set_attribute(index, LinkAttribute::Mtu(mtu), "set MTU").await
    }

    /// Give the device another name. One that is up can have it since Linux 6.2.
    ///
    /// # Errors
    /// [`NetlinkError`]; `EBUSY` before Linux 6.2.
    pub async fn rename(&self, index: u32, name: &str) -> Result<(), NetlinkError> {
        self.set_attribute(index, LinkAttribute::IfName(name.to_owned()), "rename").await
    }

    /// Delete a device; that it is gone already is no error.
    ///
    /// # Errors
    /// [`NetlinkError`].
    pub async fn delete(&self, index: u32) -> Result<(), NetlinkError> {
        let done = self.handle.link().del(index).execute().await;
        match done.map_err(|e| NetlinkError::new(format_args!("device {index}"), "delete", e)) {
            Err(error) if !error.is_absent() => Err(error),
            _ => Ok(()),
        }
    }

    /// Set the device up or down. Down, the kernel forgets its IPv6 addresses and all routes over
    /// it; they are to be given again after it is up.
    ///
    /// # Errors
    /// [`NetlinkError`].
    pub async fn set_up(&self, index: u32, up: bool) -> Result<(), NetlinkError> {
        self.set_flag(index, LinkFlags::Up, up, if up { "set up" } else { "set down" }).await
    }

    pub(super) async fn set_flag(
        &self,
        index: u32,
        flag: LinkFlags,
        on: bool,
        call: &'static str,
    ) -> Result<(), NetlinkError> {
        let mut message = LinkMessage::default();
        message.header.flags = if on { flag } else { LinkFlags::empty() };
        message.header.change_mask = flag;
        self.set_link(index, message, call).await
    }

    pub(super) async fn set_attribute(
        &self,
        index: u32,
        attribute: LinkAttribute,
        call: &'static str,
    ) -> Result<(), NetlinkError> {
        let mut message = LinkMessage::default();
        message.attributes.push(attribute);
        self.set_link(index, message, call).await
    }

    async fn set_link(
        &self,
        index: u32,
        mut message: LinkMessage,
        call: &'static str,
    ) -> Result<(), NetlinkError> {
        message.header.index = index;
        let done = self.handle.link().set(message).execute().await;
        done.map_err(|e| NetlinkError::new(format_args!("device {index}"), call, e))
    }
}

impl From<&LinkMessage> for Link {
    fn from(message: &LinkMessage) -> Self {
        let has = |flag| message.header.flags.contains(flag);
        let mut link = Self {
            index: message.header.index,
            name: String::new(),
            up: has(LinkFlags::Up),
            running: has(LinkFlags::Up | LinkFlags::Running),
            mtu: 0,
            mac: MacAddress::ZERO,
            alias: String::new(),
            tap_queues: None,
            no_arp: has(LinkFlags::Noarp),
            all_multicast: has(LinkFlags::Allmulti),
            macvlan_on: None,
            kind: String::new(),
            on: None,
            controller: None,
        };
        let mut is_elsewhere = false;
        for attribute in &message.attributes {
            match attribute {
                LinkAttribute::IfName(name) => link.name.clone_from(name),
                LinkAttribute::IfAlias(alias) => link.alias.clone_from(alias),
                LinkAttribute::Mtu(mtu) => link.mtu = *mtu,
                LinkAttribute::Address(octets) => {
                    link.mac = octets.as_slice().try_into().map_or(MacAddress::ZERO, MacAddress);
                }
                LinkAttribute::LinkInfo(infos) => {
                    link.tap_queues = infos.iter().find_map(queues);
                    link.kind = infos.iter().find_map(kind).unwrap_or_default();
                }
                LinkAttribute::Link(index) => link.on = Some(*index),
                LinkAttribute::LinkNetNsId(_) => is_elsewhere = true,
                LinkAttribute::Controller(index) => link.controller = Some(*index),
                _ => {}
            }
        }
        link.on = link.on.filter(|_| !is_elsewhere);
        link.macvlan_on = link.on.filter(|_| link.kind == InfoKind::MacVlan.to_string());
        link
    }
}

fn kind(info: &LinkInfo) -> Option<String> {
    match info {
        LinkInfo::Kind(kind) => Some(kind.to_string()),
        _ => None,
    }
}

fn queues(info: &LinkInfo) -> Option<u32> {
    let LinkInfo::Data(InfoData::Tun(attributes)) = info else { return None };
    attributes.iter().find_map(|attribute| {
        let InfoTun::Other(raw) = attribute else { return None };
        let mut octets = [0; 4];
        if raw.kind() != TUN_NUM_QUEUES || raw.value_len() != octets.len() {
            return None;
        }
        raw.emit_value(&mut octets);
        Some(u32::from_ne_bytes(octets))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_from_its_message() {
        let mut message = LinkMessage::default();
        message.header.index = 7;
        message.header.flags = LinkFlags::Up | LinkFlags::Running | LinkFlags::Noarp;
        message.attributes = vec![
            LinkAttribute::IfName("lan".into()),
            LinkAttribute::Mtu(1500),
            LinkAttribute::Address(vec![2, 0, 0, 0, 0, 1]),
        ];
        let link = Link::from(&message);
        assert_eq!((link.index, link.name.as_str(), link.mtu), (7, "lan", 1500));
        assert!(link.up && link.running && link.no_arp && !link.all_multicast);
        assert_eq!(link.mac, MacAddress([2, 0, 0, 0, 0, 1]));
        assert_eq!((link.tap_queues, link.macvlan_on), (None, None));
        for (kind, on) in [(InfoKind::MacVlan, Some(4)), (InfoKind::Vlan, None)] {
            message.attributes =
                vec![LinkAttribute::Link(4), LinkAttribute::LinkInfo(vec![LinkInfo::Kind(kind)])];
            assert_eq!(Link::from(&message).macvlan_on, on);
        }

        message.attributes = vec![LinkAttribute::Address(vec![0; 20])]; // InfiniBand
        assert_eq!(Link::from(&message).mac, MacAddress::ZERO);
    }
}
