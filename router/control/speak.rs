//! The frames that control has the workers send: ARP and neighbour discovery of our own, and the
//! answers that the kernel behind the tap gets.
#![forbid(unsafe_code)]

use std::net::{IpAddr, Ipv4Addr};

use crate::packet::arp;
use crate::packet::ethernet::MacAddress;
use crate::packet::ndp::{self, Station};
use crate::table::interface::Interface;
use crate::worker::{SEND_MAX, SmallFrame};

const _: () = assert!(SEND_MAX >= ndp::FRAME_MAX && SEND_MAX >= arp::FRAME);

/// Ask who has `target`: all, or, as a probe, the one who had it. None without an address of that
/// family to ask from.
pub(super) fn solicitation(
    interface: &Interface,
    target: IpAddr,
    to: Option<MacAddress>,
) -> Option<SmallFrame> {
    match target {
        IpAddr::V4(target) => {
            let from = interface.source4(target)?;
            let ours = interface.mac_of(from.into());
            frame(|out| match to {
                None => arp::request(out, ours, from, target),
                Some(mac) => arp::unicast_request(out, ours, from, target, mac),
            })
        }
        IpAddr::V6(target) => {
            let address = interface.source6(target);
            let from = Station { mac: interface.mac_of(address.into()), address };
            frame(|out| match to {
                None => ndp::solicit(out, from, target),
                Some(mac) => ndp::probe(out, from, Station { mac, address: target }),
            })
        }
    }
}

/// Ask whether anybody on the link has `address`, which is ours (RFC 5227 2.1.1, RFC 4862 5.4.2).
pub(super) fn probe(interface: &Interface, address: IpAddr) -> Option<SmallFrame> {
    let (nobody, mac) = (Ipv4Addr::UNSPECIFIED, interface.mac_of(address));
    match address {
        IpAddr::V4(address) => frame(|out| arp::request(out, mac, nobody, address)),
        IpAddr::V6(address) => frame(|out| ndp::detect_duplicate(out, mac, address)),
    }
}

/// Tell everybody on the link that `address` is ours (RFC 5227 2.3, RFC 4861 7.2.6).
pub(super) fn announcement(interface: &Interface, address: IpAddr) -> Option<SmallFrame> {
    let mac = interface.mac_of(address);
    match address {
        IpAddr::V4(address) => frame(|out| arp::announcement(out, mac, address)),
        IpAddr::V6(address) => {
            let we = Station { mac, address };
            frame(|out| ndp::announce(out, we, true))
        }
    }
}

/// Tell the kernel behind the tap, as the neighbour would, that `address` is at `mac`.
pub(super) fn answer_to_kernel(
    interface: &Interface,
    address: IpAddr,
    mac: MacAddress,
) -> Option<SmallFrame> {
    match address {
        IpAddr::V4(address) => {
            let we = interface.source4(address)?;
            frame(|out| {
                let mut question = [0; arp::FRAME];
                arp::request(&mut question, interface.mac, we, address)?;
                let asked =
                    arp::View::new(question.get(crate::packet::ethernet::HEADER..)?).ok()?;
                arp::reply(out, mac, &asked)
            })
        }
        IpAddr::V6(address) => {
            let they = Station { mac, address };
            let we = Station { mac: interface.mac, address: interface.source6(address) };
            frame(|out| ndp::advertise(out, they, we, false))
        }
    }
}

fn frame(write: impl FnOnce(&mut [u8]) -> Option<usize>) -> Option<SmallFrame> {
    let mut octets = [0; SEND_MAX];
    let length = write(&mut octets)?;
    SmallFrame::try_from(octets.get(..length)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::PortId;
    use crate::packet::describe::describe;
    use crate::table::policy::PortPolicy;

    fn interface() -> Interface {
        Interface {
            port: PortId::new(0).unwrap(),
            mac: MacAddress([2, 0, 0, 0, 0, 1]),
            mtu: 1500,
            addresses4: vec!["10.1.0.1/24".parse().unwrap()],
            addresses6: vec!["2001:db8:1::1/64".parse().unwrap()],
            virtuals: Vec::new(),
            link_local: "fe80::ff:fe00:1".parse().unwrap(),
            groups: vec![],
            unfinished_checksums: false,
            policy: PortPolicy::default(),
        }
    }

    #[test]
    fn what_is_said_has_the_right_ends() {
        let mac = MacAddress([2, 0, 0, 0, 0, 9]);
        let peer4: IpAddr = "10.1.0.9".parse().unwrap();
        let peer6: IpAddr = "2001:db8:1::9".parse().unwrap();
        for peer in [peer4, peer6] {
            let asked = solicitation(&interface(), peer, None).unwrap();
            assert_eq!(asked[6..12], interface().mac.octets(), "{}", describe(&asked));
            let probe = solicitation(&interface(), peer, Some(mac)).unwrap();
            assert_eq!(probe[..6], mac.octets());
            let told = answer_to_kernel(&interface(), peer, mac).unwrap();
            assert_eq!(
                (&told[..6], &told[6..12]),
                (&interface().mac.octets()[..], &mac.octets()[..])
            );
        }
        for own in ["10.1.0.1", "2001:db8:1::1"].map(|own| own.parse().unwrap()) {
            let asked = describe(&probe(&interface(), own).unwrap());
            assert!(asked.contains(&own.to_string()), "{asked}");
            let announced = announcement(&interface(), own).unwrap();
            assert_eq!(announced[6..12], interface().mac.octets(), "{}", describe(&announced));
        }
    }

    #[test]
    fn a_virtual_routers_address_is_said_to_be_at_its_mac() {
        let virtual_mac = MacAddress([0, 0, 0x5e, 0, 1, 51]);
        let mut interface = interface();
        let own = ["10.9.0.1".parse().unwrap(), "2001:db8:9::1".parse().unwrap()];
        interface.addresses4.push("10.9.0.1/24".parse().unwrap());
        interface.addresses6.push("2001:db8:9::1/64".parse().unwrap());
        interface.virtuals = own.map(|address| (address, virtual_mac)).to_vec();
        let peers: [IpAddr; 2] = ["10.9.0.9".parse().unwrap(), "2001:db8:9::9".parse().unwrap()];
        let said = peers.map(|peer| solicitation(&interface, peer, None));
        let said = said.into_iter().chain(own.map(|own| announcement(&interface, own)));
        for frame in said.chain(own.map(|own| probe(&interface, own))).map(Option::unwrap) {
            assert_eq!(frame[6..12], virtual_mac.octets(), "{}", describe(&frame));
        }
        assert!(interface.takes(virtual_mac) && interface.takes(interface.mac));
        assert!(!interface.takes(MacAddress([2, 0, 0, 0, 0, 9])));
    }
}
