//! Control-plane policing (RFC 6192): how many packets of each class the kernel's stack gets from
//! each port. A flood of one class does not take from another, and all together leave the worker
//! most of its core for forwarding.
//!
//! `tests/loom/` tries every order of two workers' steps.
#![forbid(unsafe_code)]

use super::meter::Nanos;
use crate::id::PortId;
use crate::sync::AtomicU64;
use crate::sync::Ordering::Relaxed;

/// What a packet for the router itself is about.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Class {
    /// ARP and neighbour discovery, router solicitations among it.
    Neighbour,
    /// OSPF, BGP, BFD, VRRP, IGMP, MLD and their like.
    Routing,
    /// Ports that the operator calls management: ssh, web pages, SNMP, NTP, DHCP.
    Management,
    /// ICMP and ICMPv6, all but neighbour discovery and MLD.
    Icmp,
    /// Everything else, fragments of TCP and UDP among it.
    Other,
}

impl Class {
    /// All classes, in the order of their counters.
    pub const ALL: [Self; 5] =
        [Self::Neighbour, Self::Routing, Self::Management, Self::Icmp, Self::Other];

    /// The name, as in the keys of `[police]`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Neighbour => "neighbour",
            Self::Routing => "routing",
            Self::Management => "management",
            Self::Icmp => "icmp",
            Self::Other => "other",
        }
    }

    /// The place of this class in an array of all.
    #[inline]
    pub fn index(self) -> usize {
        self as usize
    }
}

/// What each class may have, at each port.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Packets per second, by [`Class::index`]; 1..=[`RATE_MAX`].
    pub per_s: [u32; Class::ALL.len()],
    /// TCP and UDP ports, sorted, whose packets are [`Class::Management`].
    pub management_ports: Vec<u16>,
}

/// The highest rate, in packets per second: beyond it a nanosecond is too coarse a unit.
pub const RATE_MAX: u32 = 1_000_000;

impl Default for Limits {
    /// All classes flooded at once take 42,000 packets per second: less than a tenth of a core.
    fn default() -> Self {
        Self {
            per_s: [1_000, 10_000, 20_000, 1_000, 10_000],
            // ssh, DNS, DHCP, web, NTP, SNMP, DHCPv6, NETCONF
            management_ports: vec![22, 53, 67, 68, 80, 123, 161, 443, 546, 547, 830],
        }
    }
}

/// The share of a second's packets that may come at once after a quiet time: a tenth.
const BURST_PER_S: u32 = 10;
/// Tries to write what other workers write too, before a packet is refused for it.
const TRIES: usize = 8;

/// One limit, shared by all workers: the virtual scheduling form of the generic cell rate
/// algorithm (ITU-T I.371), since its whole state is one number.
#[derive(Debug)]
struct Policer {
    /// From one packet to the next, in nanoseconds.
    interval: u64,
    /// How far ahead of its time a packet may come, in nanoseconds.
    tolerance: u64,
    /// When the next packet would be due if they came evenly, in nanoseconds since the start. All
    /// workers write it. Relaxed: there is nothing else that has to be seen with it.
    due: AtomicU64,
}

impl Policer {
    fn new(per_s: u32) -> Self {
        let interval = 1_000_000_000 / u64::from(per_s.clamp(1, RATE_MAX));
        let burst = u64::from((per_s / BURST_PER_S).max(1));
        Self { interval, tolerance: (burst - 1) * interval, due: AtomicU64::new(0) }
    }

    fn admits(&self, now: Nanos) -> bool {
        let mut due = self.due.load(Relaxed);
        for _ in 0..TRIES {
            let at = due.max(now.get());
            if at - now.get() > self.tolerance {
                return false;
            }
            match self.due.compare_exchange_weak(due, at + self.interval, Relaxed, Relaxed) {
                Ok(_) => return true,
                Err(other) => due = other,
            }
        }
        false
    }
}

/// The limits of all ports, as the workers keep them together: which worker a flood meets is the
/// card's choice, and must not change what the kernel gets. Asked for packets to the router only.
#[derive(Debug)]
pub struct Policers {
    limits: Limits,
    ports: Vec<[Policer; Class::ALL.len()]>,
}

impl Policers {
    /// Limits for so many ports.
    pub fn new(limits: Limits, ports: usize) -> Self {
        let port = |_| limits.per_s.map(Policer::new);
        Self { ports: (0..ports).map(port).collect(), limits }
    }

    /// Whether one more packet of `class` from `port` may go to the kernel; if so, it is counted in.
    pub fn admits(&self, port: PortId, class: Class, now: Nanos) -> bool {
        let port = self.ports.get(port.index());
        port.is_some_and(|classes| classes[class.index()].admits(now))
    }

    /// What the limits are.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn admitted(policer: &Policer, from: u64, packets: u64, every: u64) -> u64 {
        let admits = |n| u64::from(policer.admits(Nanos::new(from + n * every)));
        (0..packets).map(admits).sum()
    }

    #[test]
    fn in_the_long_run_the_rate_and_once_the_burst() {
        let policer = Policer::new(1000);
        // Ten seconds of a flood of 100,000 packets per second.
        let passed = admitted(&policer, 0, 1_000_000, SECOND / 100_000);
        assert!((10_000..=10_101).contains(&passed), "{passed}");
        // Saved up for again, and no more than that.
        assert_eq!(admitted(&policer, 20 * SECOND, 1000, 0), 100);
    }

    #[test]
    fn who_keeps_to_the_rate_loses_nothing() {
        let policer = Policer::new(1000);
        assert_eq!(admitted(&policer, 0, 10_000, SECOND / 1000), 10_000);
    }

    #[test]
    fn several_workers_share_one_limit() {
        let policer = Policer::new(1000);
        let passed: u64 = std::thread::scope(|scope| {
            let flood = || admitted(&policer, SECOND, 10_000, 0);
            let workers = [scope.spawn(flood), scope.spawn(flood), scope.spawn(flood)];
            workers.map(|worker| worker.join().unwrap()).iter().sum()
        });
        assert_eq!(passed, 100);
    }

    #[test]
    fn classes_and_ports_do_not_take_from_each_other() {
        let policers = Policers::new(Limits { per_s: [1; 5], ..Limits::default() }, 2);
        let (lan, wan) = (PortId::new(0).unwrap(), PortId::new(1).unwrap());
        assert!(policers.admits(lan, Class::Icmp, Nanos::ZERO));
        assert!(!policers.admits(lan, Class::Icmp, Nanos::ZERO));
        assert!(policers.admits(lan, Class::Routing, Nanos::ZERO));
        assert!(policers.admits(wan, Class::Icmp, Nanos::ZERO));
        assert!(!policers.admits(PortId::new(2).unwrap(), Class::Icmp, Nanos::ZERO));
    }
}
