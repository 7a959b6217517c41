//! What cannot be taken over, and what helps: a function of what was found.
#![forbid(unsafe_code)]

use super::AdoptError;
use super::survey::{Card, Survey};
use crate::packet::ethernet::MacAddress;

/// What stands in the alias of a card that an xrouter has.
const OURS: &str = "xrouter has this card";

/// Whether the machine is a router whose work xrouter can do, and the cards can be its ports. With
/// `ignore_netfilter`, packets that it forwards pass by netfilter from then on.
///
/// # Errors
/// The first reason why not, with its mend.
pub fn judge(survey: &Survey, ignore_netfilter: bool) -> Result<(), AdoptError> {
    survey.cards.iter().try_for_each(card)?;
    if !survey.forwards4 {
        return Err(no_router("net.ipv4.ip_forward"));
    }
    let has_ipv6 = |card: &Card| {
        card.addresses.iter().map(|a| a.net.addr()).any(|address| match address {
            std::net::IpAddr::V6(address) => !address.is_unicast_link_local(),
            std::net::IpAddr::V4(_) => false,
        })
    };
    if !survey.forwards6 && survey.cards.iter().any(has_ipv6) {
        return Err(no_router("net.ipv6.conf.all.forwarding"));
    }
    if let Some(priority) = survey.rules.first() {
        return Err(AdoptError::Rules { priority: *priority });
    }
    match survey.filters.first() {
        Some(filter) if !ignore_netfilter => {
            Err(AdoptError::Netfilter { filter: filter.clone(), count: survey.filters.len() })
        }
        _ => Ok(()),
    }
}

fn no_router(key: &'static str) -> AdoptError {
    AdoptError::NoRouter { key }
}

fn card(card: &Card) -> Result<(), AdoptError> {
    let name = card.link.name.clone();
    let refuse =
        |why: String, mend: String| Err(AdoptError::Unsuitable { name: name.clone(), why, mend });
    if let Some(controller) = &card.member_of {
        let mend = format!("`ip link set {name} nomaster`, or adopt other cards");
        return refuse(format!("a member of {controller}"), mend);
    }
    if let Some(above) = card.above.first() {
        return refuse(format!("carrying {above}"), format!("`ip link del {above}`"));
    }
    if card.link.kind == "tun" {
        return refuse("a tap or a tunnel".to_owned(), "name the card behind it".to_owned());
    }
    if card.link.mac == MacAddress::ZERO {
        return refuse(
            "not an Ethernet device".to_owned(),
            "name a card, see `ip link`".to_owned(),
        );
    }
    if card.link.alias.starts_with(OURS) || card.link.no_arp {
        let mend = format!("stop the xrouter that has it, or `ip link set {name} arp on`");
        return refuse("kept from ARP, as by another xrouter".to_owned(), mend);
    }
    if !card.link.up {
        return refuse("down".to_owned(), format!("`ip link set {name} up`"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use netlink_packet_route::link::{LinkAttribute, LinkFlags, LinkMessage};

    use super::*;
    use crate::adopt::survey::Settings;
    use crate::control::netlink::link::Link;

    fn good() -> Survey {
        let mut message = LinkMessage::default();
        message.header.flags = LinkFlags::Up;
        message.attributes = vec![
            LinkAttribute::IfName("eth1".into()),
            LinkAttribute::Address(vec![2, 0, 0, 0, 0, 1]),
        ];
        let card = Card {
            link: Link::from(&message),
            driver: String::new(),
            addresses: Vec::new(),
            routes: Vec::new(),
            counts: Default::default(),
            neighbours: Vec::new(),
            groups: 0,
            settings: Settings { rp_filter: 0, send_redirects: true, proxy_arp: false },
            above: Vec::new(),
            member_of: None,
        };
        Survey {
            cards: vec![card],
            belongings: Default::default(),
            forwards4: true,
            forwards6: true,
            rules: Vec::new(),
            filters: Vec::new(),
        }
    }

    #[test]
    fn each_reason_is_said_with_its_mend() {
        assert!(judge(&good(), false).is_ok());
        type Fault = fn(&mut Survey);
        let faults: [(Fault, &str); 9] = [
            (|s| s.cards[0].member_of = Some("br0".into()), "ip link set eth1 nomaster"),
            (|s| s.cards[0].above = vec!["eth1.5".into()], "ip link del eth1.5"),
            (|s| s.cards[0].link.kind = "tun".into(), "the card behind it"),
            (|s| s.cards[0].link.mac = MacAddress::ZERO, "see `ip link`"),
            (|s| s.cards[0].link.no_arp = true, "another xrouter"),
            (|s| s.cards[0].link.up = false, "ip link set eth1 up"),
            (|s| s.forwards4 = false, "sysctl -w net.ipv4.ip_forward=1"),
            (|s| s.rules = vec![100], "ip rule del priority 100"),
            (|s| s.filters = vec!["nft chain nat post".into()], "--ignore-netfilter"),
        ];
        for (fault, mend) in faults {
            let mut survey = good();
            fault(&mut survey);
            let said = judge(&survey, false).unwrap_err().to_string();
            assert!(said.contains(mend), "{said}");
        }
    }

    #[test]
    fn netfilter_can_be_passed_by_knowingly() {
        let survey = Survey { filters: vec!["iptables table nat".into()], ..good() };
        assert!(judge(&survey, true).is_ok());
    }

    #[test]
    fn ipv6_is_asked_for_only_where_it_is() {
        let mut survey = Survey { forwards6: false, ..good() };
        let address = |text: &str| crate::control::netlink::address::Address {
            net: text.parse().unwrap(),
            permanent: true,
            ours: false,
            usable: true,
        };
        survey.cards[0].addresses = vec![address("10.0.0.1/24"), address("fe80::1/64")];
        assert!(judge(&survey, false).is_ok());
        survey.cards[0].addresses.push(address("fd00::1/64"));
        let said = judge(&survey, false).unwrap_err().to_string();
        assert!(said.contains("sysctl -w net.ipv6.conf.all.forwarding=1"), "{said}");
    }
}
