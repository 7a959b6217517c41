//! How many ICMP errors may be sent: in all, and to one host (RFC 1812 4.3.2.8, RFC 4443 2.4 (f)).
//!
//! An error costs one token of the host that it goes to and one of the router.
//!
//! Hosts: each port has its own array of buckets, and a host's address, hashed with the router's
//! seed, chooses one. The memory is bounded whatever comes; two hosts share a bucket by chance, one
//! pair in `BUCKETS` (stochastic fairness: P. E. McKenney, INFOCOM 1990). Linux keeps a bucket for
//! each address instead (`inet_peer_xrlim_allow`). A host pays even if the router's part then
//! refuses, so the bucket of one that goes on asking stays empty.
//!
//! The router: half of its rate is for everybody. A quarter is kept for packet too big, without
//! which path MTU discovery is a black hole; Linux sends these without any limit. A quarter is kept,
//! in equal parts, for the ports, and there for hosts that have been quiet: those whose bucket is
//! still half full. It follows:
//!
//! - No more than rate and burst leave in all: the parts are theirs.
//! - Hosts that flood, however many, get half of the rate. A quiet host in another bucket than
//!   theirs shares its port's part with quiet hosts only.
//! - A flood of forged sources empties the buckets of the port that it comes in by and no others:
//!   a port cannot be forged. Behind the same port nothing tells a quiet host from it; each packet
//!   has the same chance, that of the budget to the flood (RFC 3704 is the remedy).
//!
//! Nothing here is random, unlike Linux's global bucket since CVE-2020-25705 (SAD DNS). There a
//! stranger learned from the bucket which UDP ports of a host are open. Whether this router sends
//! an error depends on no port: those of its own stack are refused by the kernel behind the tap,
//! with the kernel's own budget.
#![forbid(unsafe_code)]

use std::net::{IpAddr, Ipv6Addr};

use crate::id::PortId;
use crate::packet::flow::{Addresses, FlowKey};
use crate::table::meter::{Meter, Nanos};

/// Buckets for the hosts behind one port, of each kind of message: 32 KiB.
const BUCKETS: usize = 1024;

/// Redirects to one host: Linux's numbers (`ndisc_send_redirect`), for IPv4 too.
const REDIRECTS_PER_S: u64 = 1;
const REDIRECTS_BURST: u64 = 6;

/// What is sent. Each kind has its own buckets for hosts: whoever has used up one gets the others.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Fragmentation needed, packet too big.
    TooBig,
    /// There is a better first hop.
    Redirect,
    /// Every other error.
    Other,
}

/// Errors per second, and at once after a quiet time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// In all, per second.
    pub per_s: u64,
    /// In all, at once.
    pub burst: u64,
    /// To one host, per second.
    pub per_host_per_s: u64,
    /// To one host, at once.
    pub per_host_burst: u64,
}

impl Limits {
    /// Rate and burst of one of so many parts; a part that could never save one token is none.
    fn part(&self, parts: u64) -> (u64, u64) {
        let burst = self.burst / parts;
        if burst == 0 { (0, 0) } else { (self.per_s / parts, burst) }
    }
}

/// What one worker may send.
#[derive(Clone, Debug)]
pub struct ErrorBudget {
    everybody: Meter,
    too_big: Meter,
    ports: Box<[PortBudget]>,
    /// Tokens in the bucket of a host that is still quiet.
    quiet: u64,
}

#[derive(Clone, Debug)]
struct PortBudget {
    quiet_hosts: Meter,
    /// By [`Kind`].
    hosts: [Box<[Meter]>; 3],
}

impl ErrorBudget {
    /// The budget of a worker, for ports 0..`ports`.
    pub fn new(limits: Limits, ports: usize) -> Self {
        let ports_count = ports as u64;
        let too_big = limits.part(4);
        let each = limits.part(4 * ports_count.max(1));
        let everybody = Meter::new(
            limits.per_s - too_big.0 - each.0 * ports_count,
            limits.burst - too_big.1 - each.1 * ports_count,
        );
        let for_hosts = || buckets(limits.per_host_per_s, limits.per_host_burst);
        let port = PortBudget {
            quiet_hosts: Meter::new(each.0, each.1),
            hosts: [for_hosts(), buckets(REDIRECTS_PER_S, REDIRECTS_BURST), for_hosts()],
        };
        Self {
            everybody,
            too_big: Meter::new(too_big.0, too_big.1),
            ports: std::iter::repeat_n(port, ports).collect(),
            quiet: limits.per_host_burst / 2,
        }
    }

    /// Whether a message of this kind may go to `host` now, which sent its packet through `port`.
    /// `seed` makes it unknown to others which hosts share a bucket.
    pub fn take(&mut self, now: Nanos, kind: Kind, port: PortId, host: IpAddr, seed: u32) -> bool {
        let Some(port) = self.ports.get_mut(port.index()) else { return false };
        let bucket = &mut port.hosts[kind as usize][bucket(host, seed)];
        if !bucket.take(now, 1) {
            return false;
        }
        let quiet = kind != Kind::Redirect && bucket.ready_at(self.quiet) <= now;
        self.everybody.take(now, 1)
            || (kind == Kind::TooBig && self.too_big.take(now, 1))
            || (quiet && port.quiet_hosts.take(now, 1))
    }
}

fn buckets(per_s: u64, burst: u64) -> Box<[Meter]> {
    std::iter::repeat_n(Meter::new(per_s, burst), BUCKETS).collect()
}

fn bucket(host: IpAddr, seed: u32) -> usize {
    let source = match host {
        IpAddr::V4(host) => host.to_ipv6_mapped(),
        IpAddr::V6(host) => host,
    };
    let addresses = Addresses::V6 { source, destination: Ipv6Addr::UNSPECIFIED };
    let key = FlowKey { addresses, protocol: 0, source_port: 0, destination_port: 0, label: 0 };
    key.hash(seed) as usize % BUCKETS
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    const SEED: u32 = 7;
    const LIMITS: Limits =
        Limits { per_s: 1000, burst: 200, per_host_per_s: 10, per_host_burst: 20 };
    fn port(number: usize) -> PortId {
        PortId::new(number).unwrap()
    }

    fn host(number: u32) -> IpAddr {
        Ipv4Addr::from_bits(0x0a01_0000 + number).into()
    }

    /// A host whose bucket none of `others` has.
    fn apart_from(others: std::ops::Range<u32>) -> IpAddr {
        let taken: Vec<_> = others.map(|other| bucket(host(other), SEED)).collect();
        let free = |number: &u32| !taken.contains(&bucket(host(*number), SEED));
        host((0x8000..0x9000).find(free).unwrap())
    }

    /// From 0 to 200 us (Knuth's multiplicative hash): nobody keeps in step with the tokens.
    fn pause(step: u32) -> Duration {
        Duration::from_nanos(u64::from(step.wrapping_mul(0x9e37_79b1)) % 200_000)
    }

    /// Let a flood ask 10000 times in a second for two seconds, its sources chosen by `source`, and
    /// a quiet host three times in each half. How many of the flood's packets were answered, and
    /// how many of the quiet host's 12.
    fn flood(
        kind: Kind,
        source: impl Fn(u32) -> IpAddr,
        quiet: (Kind, PortId, IpAddr),
    ) -> (u32, u32) {
        let mut budget = ErrorBudget::new(LIMITS, 2);
        let (mut flooded, mut answered, mut now) = (0, 0, Nanos::from_secs(10));
        for step in 0..20_000u32 {
            now = now + pause(step);
            if matches!(step % 5_000, 4_000 | 4_111 | 4_222) {
                let (kind, port, host) = quiet;
                answered += u32::from(budget.take(now, kind, port, host, SEED));
                continue;
            }
            flooded += u32::from(budget.take(now, kind, port(0), source(step), SEED));
        }
        (flooded, answered)
    }

    #[test]
    fn one_host_gets_its_own_rate_and_harms_nobody() {
        let quiet = (Kind::Other, port(0), apart_from(0..1));
        assert_eq!(flood(Kind::Other, |_| host(0), quiet), (20 + 19, 12));
    }

    #[test]
    fn hosts_that_flood_share_half_and_a_quiet_one_gets_every_answer() {
        let quiet = (Kind::Other, port(0), apart_from(0..300));
        let (flooded, answered) = flood(Kind::Other, |step| host(step % 300), quiet);
        // The bursts of all are gone at once; from then on only the common half is left to them.
        assert!((1000..=1000 + 200).contains(&flooded), "{flooded}");
        assert_eq!(answered, 12);
    }

    #[test]
    fn forged_sources_harm_nobody_behind_another_port() {
        let quiet = (Kind::Other, port(1), host(0));
        let (flooded, answered) = flood(Kind::Other, |step| host(step * 7919), quiet);
        assert!(flooded <= 2 * 1000 + 200, "{flooded}");
        assert_eq!(answered, 12);
    }

    #[test]
    fn forged_sources_leave_a_host_behind_their_own_port_its_share() {
        let mut budget = ErrorBudget::new(LIMITS, 2);
        let (mut asked, mut answered, mut now) = (0, 0, Nanos::from_secs(10));
        for step in 0..100_000 {
            now = now + pause(step);
            // All are new, but every 17th is one of 50 hosts that ask rarely.
            let quiet = step % 17 == 0;
            let source = if quiet { host(step / 17 % 50) } else { host(step * 7919) };
            let passed = budget.take(now, Kind::Other, port(0), source, SEED);
            asked += u32::from(quiet);
            answered += u32::from(quiet && passed);
        }
        // Half of the rate and the port's part, 625 errors, for 10000 packets in a second.
        assert!((asked * 3 / 100..asked / 10).contains(&answered), "{answered} of {asked}");
    }

    #[test]
    fn packet_too_big_is_not_starved_not_even_that_of_the_host_that_floods() {
        let quiet = (Kind::TooBig, port(0), host(0));
        let (_, answered) = flood(Kind::Other, |step| host(step % 300), quiet);
        assert_eq!(answered, 12);
        let quiet = (Kind::TooBig, port(0), host(0));
        let (_, answered) = flood(Kind::Other, |step| host(step * 7919), quiet);
        assert_eq!(answered, 12);
    }

    #[test]
    fn redirects_are_few_and_have_no_part_kept_for_them() {
        let quiet = (Kind::Other, port(1), host(1));
        assert_eq!(flood(Kind::Redirect, |_| host(0), quiet), (6 + 1, 12));
        let (_, redirects) = flood(
            Kind::Other,
            |step| host(step * 7919),
            (Kind::Redirect, port(1), apart_from(0..1)),
        );
        assert!(redirects < 7, "{redirects}");
    }

    #[test]
    fn small_budgets_are_for_everybody() {
        let limits = Limits { per_s: 1, burst: 2, ..LIMITS };
        let mut budget = ErrorBudget::new(limits, 64);
        let mut take = |now| budget.take(now, Kind::Other, port(63), host(1), SEED);
        assert_eq!([0, 0, 0, 1].map(|s| take(Nanos::from_secs(s))), [true, true, false, true]);
    }

    proptest! {
        #[test]
        fn never_more_than_rate_and_burst(
            per_s in 1u64..2_000, burst in 1u64..300, ports in 1usize..9,
            asks in prop::collection::vec((0u64..3_000_000, 0usize..9, 0u32..40, 0usize..3), 1..400),
        ) {
            let limits = Limits { per_s, burst, per_host_per_s: 100, per_host_burst: 5 };
            let mut budget = ErrorBudget::new(limits, ports);
            let (mut now, mut passed) = (0u64, 0u64);
            for (wait, at, from, kind) in asks {
                now += wait;
                let kind = [Kind::TooBig, Kind::Redirect, Kind::Other][kind];
                let took = budget.take(Nanos::new(now), kind, port(at % ports), host(from), SEED);
                passed += u64::from(took);
                prop_assert!(passed <= burst + per_s * now / 1_000_000_000);
            }
        }
    }
}
