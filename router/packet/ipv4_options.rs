//! The options of an IPv4 header (RFC 791 3.1): where each one is, what they ask of a router, and
//! what a router writes into them (RFC 1812 5.2.4.1, 5.3.13).
//!
//! Where the RFCs leave room, an option is right or wrong as it is for Linux.
#![forbid(unsafe_code)]

use std::net::Ipv4Addr;

use super::{octets_at, put};

/// Option types (IANA "IP Option Numbers") that have a meaning here. The highest bit is the copied
/// flag.
pub mod kind {
    /// Nothing follows.
    pub const END: u8 = 0;
    /// Padding between options.
    pub const NO_OPERATION: u8 = 1;
    /// Each router writes its address down.
    pub const RECORD_ROUTE: u8 = 7;
    /// Each router writes the time down, and its address if it is asked for.
    pub const TIMESTAMP: u8 = 68;
    /// The sender chooses some of the routers.
    pub const LOOSE_SOURCE_ROUTE: u8 = 131;
    /// The sender chooses all of the routers.
    pub const STRICT_SOURCE_ROUTE: u8 = 137;
    /// Routers shall look closer (RFC 2113).
    pub const ROUTER_ALERT: u8 = 148;
}

// Where the parts of an option are, in octets from its start.
const LENGTH: usize = 1;
const POINTER: usize = 2;
/// Of a timestamp: how often there was no room (upper half), and the [`mode`] (lower half).
const OVERFLOW_AND_MODE: usize = 3;

const ROUTE_HEADER: usize = 3;
const TIMESTAMP_HEADER: usize = 4;
const ROUTER_ALERT_OPTION: usize = 4;
const ADDRESS: usize = 4;
const TIME: usize = 4;
const OVERFLOW_MAX: u8 = 15;

/// What a timestamp option asks for (RFC 791 3.1).
mod mode {
    pub const TIME_ONLY: u8 = 0;
    pub const WITH_ADDRESS: u8 = 1;
    /// The sender has named the routers: only these write the time.
    pub const PRESPECIFIED: u8 = 3;
}

/// Where an option is among those of its header, in octets from their start. It has at least two
/// octets, and it ends where they end or before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    /// Its type; see [`kind`].
    pub kind: u8,
    /// Its first octet.
    pub start: usize,
    /// The octet after its last.
    pub end: usize,
}

/// A walk over the options of a header, one step for each that is more than one octet long.
#[derive(Clone, Copy, Debug, Default)]
pub struct Walk {
    /// Where the next step begins; after the last one, where the list ends.
    at: usize,
}

impl Walk {
    /// The next of `options`, the same in every step; nothing after the last one.
    ///
    /// # Errors
    /// Where an option begins whose length is wrong. The walk cannot go on from there.
    pub fn step(&mut self, options: &[u8]) -> Result<Option<Place>, usize> {
        while options.get(self.at) == Some(&kind::NO_OPERATION) {
            self.at += 1;
        }
        let start = self.at;
        let Some(&kind) = options.get(start).filter(|&&kind| kind != kind::END) else {
            return Ok(None);
        };
        let length = options.get(start + LENGTH).map_or(0, |&length| usize::from(length));
        if length < POINTER || length > options.len() - start {
            return Err(start);
        }
        self.at += length;
        Ok(Some(Place { kind, start, end: self.at }))
    }
}

/// Whether a source route stands among `options`, as far as they can be walked over.
pub fn has_source_route(options: &[u8]) -> bool {
    let mut walk = Walk::default();
    let places = std::iter::from_fn(|| walk.step(options).ok().flatten());
    places.into_iter().any(|place| is_source_route(place.kind))
}

fn is_source_route(kind: u8) -> bool {
    matches!(kind, kind::LOOSE_SOURCE_ROUTE | kind::STRICT_SOURCE_ROUTE)
}

/// What the options of a header ask of a router.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Requests {
    /// To send the packet where the option says.
    pub source_route: Option<Place>,
    record_route: Option<Place>,
    timestamp: Option<Place>,
    /// Where the list ends: at an end of options, or behind all of them.
    end: usize,
}

impl Requests {
    /// Read `options`, all that stands behind the first 20 octets of a header.
    ///
    /// # Errors
    /// The place of the first octet that is wrong, from the start of `options`: what a parameter
    /// problem points at.
    pub fn read(options: &[u8]) -> Result<Self, usize> {
        let (mut requests, mut walk) = (Self::default(), Walk::default());
        while let Some(place) = walk.step(options)? {
            let option = &options[place.start..place.end];
            requests.add(place, option).map_err(|wrong| place.start + wrong)?;
        }
        requests.end = walk.at;
        Ok(requests)
    }

    fn add(&mut self, place: Place, option: &[u8]) -> Result<(), usize> {
        match place.kind {
            kind::RECORD_ROUTE => {
                only_one(&mut self.record_route, place)?;
                check_record_route(option)
            }
            kind::TIMESTAMP => {
                only_one(&mut self.timestamp, place)?;
                check_timestamp(option)
            }
            kind if is_source_route(kind) => {
                slot(option, ROUTE_HEADER)?;
                only_one(&mut self.source_route, place)
            }
            kind::ROUTER_ALERT if option.len() < ROUTER_ALERT_OPTION => Err(LENGTH),
            _ => Ok(()), // RFC 1812 5.3.13.1: unknown options are passed unchanged
        }
    }
}

/// RFC 1812 5.2.4.1 for source routes; and two records of one route would contradict each other.
fn only_one(known: &mut Option<Place>, place: Place) -> Result<(), usize> {
    known.replace(place).map_or(Ok(()), |_| Err(0))
}

/// Where an option with a pointer is to be written next, in octets from its start. The pointer
/// counts from 1; beyond the option it says that there is no room left.
fn slot(option: &[u8], header: usize) -> Result<usize, usize> {
    if option.len() < header {
        return Err(LENGTH);
    }
    let slot = usize::from(option[POINTER]).checked_sub(1);
    slot.filter(|&slot| slot >= header).ok_or(POINTER)
}

fn check_record_route(option: &[u8]) -> Result<(), usize> {
    let slot = slot(option, ROUTE_HEADER)?;
    full_or_room(option, slot, ADDRESS)
}

/// RFC 791 3.1: some room, but not enough of it, is an error.
fn full_or_room(option: &[u8], slot: usize, wanted: usize) -> Result<(), usize> {
    if slot < option.len() && slot + wanted > option.len() { Err(POINTER) } else { Ok(()) }
}

fn check_timestamp(option: &[u8]) -> Result<(), usize> {
    let slot = slot(option, TIMESTAMP_HEADER)?;
    let (overflow, mode) = overflow_and_mode(option);
    if slot >= option.len() && mode != mode::PRESPECIFIED && overflow == OVERFLOW_MAX {
        return Err(OVERFLOW_AND_MODE); // RFC 791 3.1: the count itself overflows
    }
    let wanted = match mode {
        mode::WITH_ADDRESS | mode::PRESPECIFIED => ADDRESS + TIME,
        _ => TIME,
    };
    full_or_room(option, slot, wanted)
}

fn overflow_and_mode(option: &[u8]) -> (u8, u8) {
    let octet = option[OVERFLOW_AND_MODE];
    (octet >> 4, octet & 0x0f)
}

/// Write into `options`, all that stands behind the first 20 octets of a header, what they ask
/// for: `address`, the router's own on the packet's way out, and `time`, in milliseconds since
/// midnight UT. Prespecified timestamps are for whom `is_own` says so. What stands behind the end
/// of the list is cleared. Options that are wrong stay as they are; the header's checksum is the
/// caller's.
pub fn fill(
    options: &mut [u8],
    address: Ipv4Addr,
    time: u32,
    is_own: impl FnOnce(Ipv4Addr) -> bool,
) {
    let Ok(requests) = Requests::read(options) else { return };
    options[requests.end..].fill(kind::END);
    if let Some(place) = requests.record_route {
        record_route(&mut options[place.start..place.end], address);
    }
    if let Some(place) = requests.timestamp {
        timestamp(&mut options[place.start..place.end], address, time, is_own);
    }
}

/// `option` has been checked.
fn record_route(option: &mut [u8], address: Ipv4Addr) {
    let slot = usize::from(option[POINTER]) - 1;
    if slot < option.len() {
        write(option, slot, &address.octets());
    }
}

/// `option` has been checked.
fn timestamp(
    option: &mut [u8],
    address: Ipv4Addr,
    time: u32,
    is_own: impl FnOnce(Ipv4Addr) -> bool,
) {
    let slot = usize::from(option[POINTER]) - 1;
    let (_, mode) = overflow_and_mode(option);
    let with = |address: Ipv4Addr| u64::from(address.to_bits()) << 32 | u64::from(time);
    if slot >= option.len() {
        if mode != mode::PRESPECIFIED {
            option[OVERFLOW_AND_MODE] += 1 << 4;
        }
        return;
    }
    match mode {
        mode::TIME_ONLY => write(option, slot, &time.to_be_bytes()),
        mode::WITH_ADDRESS => write(option, slot, &with(address).to_be_bytes()),
        mode::PRESPECIFIED => {
            let named = Ipv4Addr::from_octets(octets_at(option, slot));
            if is_own(named) {
                write(option, slot, &with(named).to_be_bytes());
            }
        }
        _ => {}
    }
}

/// Fill the slot and point at the next one.
fn write<const N: usize>(option: &mut [u8], slot: usize, octets: &[u8; N]) {
    put(option, slot, octets);
    #[expect(clippy::cast_possible_truncation, reason = "an option has at most 40 octets")]
    let next = (slot + N + 1) as u8;
    option[POINTER] = next;
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::packet::ipv4;

    const ROUTER: Ipv4Addr = Ipv4Addr::new(10, 2, 0, 1);
    const TIME: u32 = 0x0102_0304;

    fn filled(options: &[u8]) -> Vec<u8> {
        let mut options = options.to_vec();
        fill(&mut options, ROUTER, TIME, |address| address == ROUTER);
        options
    }

    #[test]
    fn walk_passes_no_operations_and_stops_at_the_end() {
        let options = [1, 1, 148, 4, 0, 0, 1, 130, 3, 0, 0, 7];
        let mut walk = Walk::default();
        let first = Place { kind: kind::ROUTER_ALERT, start: 2, end: 6 };
        assert_eq!(walk.step(&options), Ok(Some(first)));
        assert_eq!(walk.step(&options), Ok(Some(Place { kind: 130, start: 7, end: 10 })));
        assert_eq!((walk.step(&options), walk.step(&options)), (Ok(None), Ok(None)));
        assert_eq!(Walk::default().step(&[]), Ok(None));
    }

    #[test]
    fn a_wrong_length_ends_the_walk() {
        for wrong in [&[1, 7][..], &[1, 7, 0], &[1, 7, 1], &[1, 7, 3]] {
            assert_eq!(Walk::default().step(wrong), Err(1), "{wrong:?}");
        }
    }

    #[test]
    fn source_routes_are_found_as_far_as_the_walk_goes() {
        assert!(has_source_route(&[1, 148, 4, 0, 0, 131, 3, 4]));
        assert!(has_source_route(&[137, 2]));
        assert!(!has_source_route(&[7, 1, 131, 3, 4]));
        assert!(!has_source_route(&[0, 131, 3, 4]));
    }

    #[test]
    fn a_route_and_a_time_are_recorded_together() {
        let before = [7, 7, 4, 0, 0, 0, 0, 1, 68, 12, 5, 1, 9, 9, 9, 9, 9, 9, 9, 9, 0, 5, 5, 5];
        let after = [7, 7, 8, 10, 2, 0, 1, 1, 68, 12, 13, 1, 10, 2, 0, 1, 1, 2, 3, 4, 0, 0, 0, 0];
        assert_eq!(filled(&before), after);
    }

    #[test]
    fn what_is_wrong_is_not_filled() {
        let wrong = [7, 7, 4, 0, 0, 0, 0, 68, 3, 5, 0, 9];
        assert_eq!(Requests::read(&wrong), Err(8));
        assert_eq!(filled(&wrong), wrong);
    }

    /// An option whose octets may all be right, or octets that may be anything.
    fn piece() -> impl Strategy<Value = Vec<u8>> {
        let kinds = vec![
            kind::RECORD_ROUTE,
            kind::TIMESTAMP,
            kind::LOOSE_SOURCE_ROUTE,
            kind::ROUTER_ALERT,
            kind::NO_OPERATION,
            0x99,
        ];
        let option = (prop::sample::select(kinds), 3u8..21, 4u8..18, any::<u8>());
        prop_oneof![
            4 => option.prop_map(|(kind, length, pointer, mode)| {
                let mut octets = vec![7; usize::from(length)];
                let header = [kind, length, pointer, mode & 0xf3];
                let shown = octets.len().min(header.len());
                octets[..shown].copy_from_slice(&header[..shown]);
                octets
            }),
            1 => prop::collection::vec(any::<u8>(), 1..5),
        ]
    }

    fn options() -> impl Strategy<Value = Vec<u8>> {
        (prop::collection::vec(piece(), 0..5), 0usize..11).prop_map(|(pieces, words)| {
            let mut octets = pieces.concat();
            octets.resize(words * 4, kind::NO_OPERATION);
            octets
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(100_000))]

        /// A mistake lies in the header; only the options that ask for it are written to, and no
        /// length changes.
        #[test]
        fn any_options_stay_options(before in options()) {
            let after = filled(&before);
            let _ = has_source_route(&before);
            match Requests::read(&before) {
                Err(wrong) => {
                    prop_assert!(wrong < before.len());
                    prop_assert_eq!(after, before);
                }
                Ok(requests) => {
                    prop_assert!(after[requests.end..].iter().all(|&octet| octet == kind::END));
                    let written = [requests.record_route, requests.timestamp];
                    for at in (0..requests.end).filter(|&at| before[at] != after[at]) {
                        prop_assert!(written.iter().flatten().any(|p| (p.start..p.end).contains(&at)));
                    }
                    prop_assert_eq!(places(&before), places(&after));
                }
            }
        }
    }

    fn places(options: &[u8]) -> Vec<Place> {
        let mut walk = Walk::default();
        std::iter::from_fn(|| walk.step(options).unwrap()).collect()
    }

    #[test]
    fn an_option_has_at_most_40_octets() {
        const { assert!(ipv4::HEADER_MAX - ipv4::HEADER == 40) };
        let mut full = [0; 40];
        full[..3].copy_from_slice(&[kind::RECORD_ROUTE, 39, 36]);
        assert_eq!(filled(&full)[2..39], [&[40][..], &[0; 32], &ROUTER.octets()].concat());
    }
}
