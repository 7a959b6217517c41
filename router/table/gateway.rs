//! Whose next hop it is: the neighbour's address, for those who have to name it (a redirect does).
//! Forwarding needs its MAC only, which is in the adjacency.
#![forbid(unsafe_code)]

use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::id::{NEXT_HOP_ID_MAX, NextHopId};

/// The addresses of all next hops that are neighbours. Control writes one before any route leads to
/// it; the number is not used again before its readers have passed, so nobody sees half of one.
/// Relaxed is enough: the route is stored with release, and whoever asks has loaded it with acquire.
#[derive(Debug)]
pub struct Gateways(Box<[[AtomicU64; 2]]>);

impl Default for Gateways {
    fn default() -> Self {
        let none = || [const { AtomicU64::new(0) }; 2];
        Self(std::iter::repeat_with(none).take(usize::from(NEXT_HOP_ID_MAX) + 1).collect())
    }
}

impl Gateways {
    /// The address of the neighbour that this next hop stands for, if it stands for one.
    pub fn get(&self, id: NextHopId) -> Option<IpAddr> {
        let [high, low] = &self.0[usize::from(id.get())];
        let [high, low] = [high, low].map(|word| u128::from(word.load(Ordering::Relaxed)));
        let address = Ipv6Addr::from_bits(high << 64 | low);
        // No neighbour has an IPv4-mapped address.
        (!address.is_unspecified()).then(|| address.to_canonical())
    }

    pub(super) fn set(&self, id: NextHopId, address: IpAddr) {
        let bits = match address {
            IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
            IpAddr::V6(address) => address.to_bits(),
        };
        let [high, low] = &self.0[usize::from(id.get())];
        #[expect(clippy::cast_possible_truncation, reason = "one half after the other")]
        let halves = [(high, (bits >> 64) as u64), (low, bits as u64)];
        halves.iter().for_each(|(word, half)| word.store(*half, Ordering::Relaxed));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_comes_back_as_it_was() {
        let gateways = Gateways::default();
        let id = NextHopId::new(NEXT_HOP_ID_MAX).unwrap();
        assert_eq!(gateways.get(id), None);
        for address in ["10.1.0.3", "fe80::3", "2001:db8:ffff:ffff:ffff:ffff:ffff:fffe"] {
            let address = address.parse().unwrap();
            gateways.set(id, address);
            assert_eq!(gateways.get(id), Some(address));
        }
        assert_eq!(gateways.get(NextHopId::new(1).unwrap()), None);
    }
}
