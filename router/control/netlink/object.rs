//! The kernel's next-hop objects (`ip nexthop`), which routes name instead of telling their next
//! hops.
//!
//! A route tells its next hops all the same as long as `net.ipv4.nexthop_compat_mode` is 1; what
//! stands here is for the others. A resilient group is taken for a plain one: here every group
//! moves the flows of the member that fails, and no others.
#![forbid(unsafe_code)]

use std::net::IpAddr;

use rtnetlink::packet_core::{DecodeError, NlasIterator, parse_ip, parse_u32};

use super::routes::KernelHop;

/// A next-hop object.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Object {
    /// One next hop.
    Hop(KernelHop),
    /// Others, each by its number with its weight.
    Group(Vec<(u32, u8)>),
    /// Packets are dropped.
    Blackhole,
}

// Message types of `linux/rtnetlink.h`.
pub(super) const RTM_NEWNEXTHOP: u16 = 104;
pub(super) const RTM_DELNEXTHOP: u16 = 105;
pub(super) const RTM_GETNEXTHOP: u16 = 106;

/// Octets of `struct nhmsg`, and where two of its members stand.
const HEADER: usize = 8;
const SCOPE: usize = 1;
const FLAGS: usize = 4;
/// `RTNH_F_ONLINK`.
const ONLINK: u32 = 4;
/// Octets of `struct nexthop_grp`.
const MEMBER: usize = 8;

// Attributes, of `linux/nexthop.h`.
const ID: u16 = 1;
const GROUP: u16 = 2;
const BLACKHOLE: u16 = 4;
const DEVICE: u16 = 5;
const GATEWAY: u16 = 6;
const ENCAP: u16 = 8;

impl Object {
    /// The number and the object that stand in a message of the types `RTM_NEWNEXTHOP` and
    /// `RTM_DELNEXTHOP`.
    ///
    /// # Errors
    /// It makes no sense.
    pub fn parse(payload: &[u8]) -> Result<(u32, Self), DecodeError> {
        let attributes = payload.get(HEADER..).ok_or("next-hop object: too short")?;
        let (mut id, mut group, mut is_blackhole) = (None, None, false);
        let (mut device, mut via, mut encapsulated) = (0, None, false);
        for attribute in NlasIterator::new(attributes) {
            let attribute = attribute?;
            let value = attribute.value();
            match attribute.kind() {
                ID => id = Some(parse_u32(value)?),
                GROUP => group = Some(members(value)?),
                BLACKHOLE => is_blackhole = true,
                DEVICE => device = parse_u32(value)?,
                GATEWAY => via = Some(parse_ip(value)?),
                ENCAP => encapsulated = true,
                _ => {}
            }
        }
        let object = match (group, is_blackhole) {
            (Some(members), _) => Self::Group(members),
            (None, true) => Self::Blackhole,
            (None, false) => Self::Hop(hop(device, via, encapsulated)),
        };
        Ok((id.ok_or("next-hop object: no number")?, object))
    }
}

/// The object in the message `payload`, behind the device that takes the place of its own: the body of
/// a message that replaces it. None: it is behind none of these (`moves`: from, to).
pub(super) fn moved(payload: &[u8], moves: &[(u32, u32)]) -> Option<Vec<u8>> {
    let mut body = payload.to_vec();
    // The scope is the kernel's to say; of the flags `RTNH_F_ONLINK` is the operator's.
    *body.get_mut(SCOPE)? = 0;
    let flags = body.get_mut(FLAGS..HEADER)?;
    let onlink = u32::from_ne_bytes((&*flags).try_into().ok()?) & ONLINK;
    flags.copy_from_slice(&onlink.to_ne_bytes());
    let mut offset = HEADER;
    while let Some((length, kind)) = body.get(offset..offset + 4).and_then(header_of) {
        let value = offset + 4..offset + 8;
        if kind == DEVICE {
            let device = parse_u32(body.get(value.clone())?).ok()?;
            let (_, to) = moves.iter().find(|(from, _)| *from == device)?;
            body[value].copy_from_slice(&to.to_ne_bytes());
            return Some(body);
        }
        offset += usize::from(length.max(4)).next_multiple_of(4);
    }
    None
}

/// Length and kind of an attribute.
fn header_of(octets: &[u8]) -> Option<(u16, u16)> {
    let (length, kind) = octets.split_first_chunk::<2>()?;
    Some((u16::from_ne_bytes(*length), u16::from_ne_bytes(*kind.first_chunk()?)))
}

fn hop(device: u32, via: Option<IpAddr>, encapsulated: bool) -> KernelHop {
    KernelHop { via, device, weight: 1, dead: false, encapsulated }
}

fn members(value: &[u8]) -> Result<Vec<(u32, u8)>, DecodeError> {
    let member = |member: &[u8]| {
        let weight = member[4].saturating_add(1); // the weight less one
        Ok((parse_u32(&member[..4])?, weight))
    };
    value.chunks_exact(MEMBER).map(member).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(attributes: &[(u16, &[u8])]) -> Vec<u8> {
        let mut octets = vec![2, 0, 0, 0, 0, 0, 0, 0];
        for (kind, value) in attributes {
            let length = u16::try_from(value.len() + 4).unwrap();
            octets.extend(length.to_ne_bytes());
            octets.extend(kind.to_ne_bytes());
            octets.extend_from_slice(value);
            octets.resize(octets.len().next_multiple_of(4), 0);
        }
        octets
    }

    #[test]
    fn a_gateway_a_group_and_a_black_hole() {
        let id = 7u32.to_ne_bytes();
        let gateway = message(&[(ID, &id), (DEVICE, &[3, 0, 0, 0]), (GATEWAY, &[10, 0, 0, 1])]);
        let via = "10.0.0.1".parse().ok();
        let device = u32::from_ne_bytes([3, 0, 0, 0]);
        assert_eq!(Object::parse(&gateway).unwrap(), (7, Object::Hop(hop(device, via, false))));

        let member = |id: u32, less_one: u8| [id.to_ne_bytes(), [less_one, 0, 0, 0]].concat();
        let both = [member(1, 0), member(2, 255)].concat();
        let group = message(&[(ID, &id), (GROUP, &both)]);
        assert_eq!(Object::parse(&group).unwrap(), (7, Object::Group(vec![(1, 1), (2, 255)])));

        let hole = message(&[(ID, &id), (BLACKHOLE, &[])]);
        assert_eq!(Object::parse(&hole).unwrap(), (7, Object::Blackhole));
        assert!(Object::parse(&message(&[(BLACKHOLE, &[])])).is_err(), "no number");
    }

    #[test]
    fn an_object_behind_another_device() {
        let id = 7u32.to_ne_bytes();
        let behind = |device: u32| {
            message(&[(ID, &id), (GATEWAY, &[10, 0, 0, 1]), (DEVICE, &device.to_ne_bytes())])
        };
        let mut told = behind(3);
        told[SCOPE] = 253;
        told[FLAGS..HEADER].copy_from_slice(&(ONLINK | 16).to_ne_bytes());
        let mut wanted = behind(9);
        wanted[FLAGS..HEADER].copy_from_slice(&ONLINK.to_ne_bytes());
        assert_eq!(moved(&told, &[(2, 8), (3, 9)]), Some(wanted));
        assert_eq!(moved(&told, &[(2, 8)]), None);
        assert_eq!(moved(&message(&[(ID, &id), (BLACKHOLE, &[])]), &[(3, 9)]), None);
        for length in 0..told.len() {
            assert_eq!(moved(&told[..length], &[(3, 9)]), None, "{length}");
        }
    }

    #[test]
    fn whatever_is_cut_off_is_no_object_or_another() {
        let whole = message(&[(GROUP, &[0; 16]), (GATEWAY, &[0; 16]), (ID, &[7, 0, 0, 0])]);
        for length in 0..whole.len() {
            assert!(Object::parse(&whole[..length]).is_err(), "{length} octets");
        }
        assert!(Object::parse(&whole).is_ok());
    }
}
