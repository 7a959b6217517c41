//! The rules of RFC 826, 1122, 4861, 5227, one test each; whole days; attacks; and a model.
#![forbid(unsafe_code)]

mod attack;
mod model;

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use super::*;

pub(super) const A: MacAddress = MacAddress([2, 0, 0, 0, 0, 0xa]);
pub(super) const B: MacAddress = MacAddress([2, 0, 0, 0, 0, 0xb]);
const HOST: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 9));
const HOST6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 9));

const REQUEST: Message = Message::ArpRequest { for_us: true };
const REPLY: Message = Message::ArpReply { to_us: true };
const SOLICITATION: Message = Message::Solicitation { for_us: true };

/// An advertisement with the flags that are named: `advertisement("SO")`.
fn advertisement(flags: &str) -> Message {
    let has = |flag| flags.contains(flag);
    Message::Advertisement { router: has('R'), solicited: has('S'), overrides: has('O') }
}

/// A table, its clock, and what it did last.
pub(super) struct Lab {
    pub table: Neighbours,
    pub now: Nanos,
    pub done: Vec<Action>,
    pub port: PortId,
}

impl Lab {
    pub fn new() -> Self {
        Self::with(Limits::default())
    }

    pub fn with(limits: Limits) -> Self {
        let table = Neighbours::new(Timers::default(), limits, 7);
        let port = PortId::new(1).unwrap();
        Self { table, now: Nanos::from_secs(100), done: Vec::new(), port }
    }

    fn wanted(&mut self, address: IpAddr) -> Wanted {
        self.done.clear();
        self.table.wanted(self.port, address, self.now, &mut self.done)
    }

    fn wanted_by_kernel(&mut self, address: IpAddr) {
        self.done.clear();
        self.table.wanted_by_kernel(self.port, address, self.now, &mut self.done);
    }

    fn used(&mut self, address: IpAddr) {
        self.table.used(self.port, address, self.now);
    }

    fn hears(&mut self, address: IpAddr, mac: impl Into<Option<MacAddress>>, message: Message) {
        let (port, mac) = (self.port, mac.into());
        self.hears_all(Heard { port, address, mac, message, on_link: true, ours: false });
    }

    fn hears_all(&mut self, heard: Heard) {
        self.done.clear();
        self.table.heard(&heard, self.now, &mut self.done);
        self.table.cache.assert_consistent();
    }

    /// Time passes, second by second and deadline by deadline.
    fn passes(&mut self, time: Duration) {
        let end = self.now + time;
        self.done.clear();
        while let Some(next) = self.table.next_deadline().filter(|next| *next <= end) {
            self.now = self.now.max(next);
            self.table.tick(self.now, &mut self.done);
        }
        self.now = end;
        self.table.cache.assert_consistent();
    }

    fn seconds(&mut self, seconds: u64) {
        self.passes(Duration::from_secs(seconds));
    }

    fn state(&self, address: IpAddr) -> Option<State> {
        self.table.get(self.port, address, self.now).map(|row| row.state)
    }

    fn mac(&self, address: IpAddr) -> Option<MacAddress> {
        self.table.get(self.port, address, self.now).and_then(|row| row.mac)
    }

    /// A neighbour with MAC `A` in this state.
    fn bring(&mut self, address: IpAddr, state: State) {
        if state == State::Permanent {
            self.table.add_static(self.port, address, A, self.now, &mut self.done).unwrap();
            return;
        }
        assert_eq!(self.wanted(address), Wanted::Resolving);
        if state == State::Failed {
            return self.seconds(3);
        }
        if state == State::Incomplete {
            return;
        }
        self.hears(address, A, if address.is_ipv4() { REPLY } else { advertisement("SO") });
        if state == State::Reachable {
            return self.seconds(2);
        }
        self.seconds(46);
        if state == State::Stale {
            return;
        }
        self.used(address);
        if state == State::Probe {
            self.seconds(5);
        }
    }

    fn at(address: IpAddr, state: State) -> Self {
        let mut lab = Self::new();
        lab.bring(address, state);
        assert_eq!(lab.state(address), Some(state));
        lab.done.clear();
        lab
    }

    fn solicits(&self, target: IpAddr, to: Option<MacAddress>) -> Action {
        Action::SendSolicitation { port: self.port, target, to }
    }

    fn installs(&self, address: IpAddr, mac: MacAddress, state: State) -> Action {
        Action::Install { port: self.port, address, mac, state }
    }
}

const USABLE: [State; 4] = [State::Reachable, State::Stale, State::Delay, State::Probe];

/// Checklist C117, C118, C180.
#[test]
fn a_packet_for_an_unknown_neighbour_asks_once_a_second_three_times() {
    for host in [HOST, HOST6] {
        let mut lab = Lab::new();
        assert_eq!(lab.wanted(host), Wanted::Resolving);
        assert_eq!(lab.done, [lab.solicits(host, None)]);
        assert_eq!(lab.wanted(host), Wanted::Resolving);
        assert_eq!(lab.done, [], "RFC 1122 2.3.2.1: not once for each packet");
        lab.passes(Duration::from_millis(999));
        assert_eq!(lab.done, []);
        lab.passes(Duration::from_millis(1));
        assert_eq!(lab.done, [lab.solicits(host, None)]);
        lab.seconds(1);
        assert_eq!(lab.done, [lab.solicits(host, None)]);
        lab.seconds(1);
        assert_eq!(lab.done, [Action::Unresolvable { port: lab.port, address: host }]);
    }
}

/// Checklist C118.
#[test]
fn a_neighbour_that_does_not_answer_is_left_alone_for_a_while() {
    let mut lab = Lab::at(HOST, State::Failed);
    lab.seconds(2);
    assert_eq!(lab.wanted(HOST), Wanted::Unreachable);
    assert_eq!(lab.done, []);
    lab.now = lab.now + Duration::from_secs(1);
    assert_eq!(lab.wanted(HOST), Wanted::Resolving, "even before a tick has cleared it away");
    assert_eq!(lab.done, [lab.solicits(HOST, None)]);
    let mut lab = Lab::at(HOST, State::Failed);
    lab.seconds(3);
    assert_eq!((lab.state(HOST), lab.table.next_deadline()), (None, None));
}

#[test]
fn a_failed_neighbour_that_speaks_is_back_at_once() {
    for (message, state) in [(Message::ArpAnnouncement, State::Stale), (REPLY, State::Reachable)] {
        let mut lab = Lab::at(HOST, State::Failed);
        lab.hears(HOST, A, message);
        assert_eq!(lab.done, [lab.installs(HOST, A, state)]);
    }
}

#[test]
fn a_reachable_neighbour_turns_stale_between_half_and_one_and_a_half_of_the_time() {
    let mut ends = Vec::new();
    for last in 1..=200 {
        let host = IpAddr::from([10, 0, 0, last]);
        let mut lab = Lab::new();
        lab.table.random = u64::from(last);
        let _resolving = lab.wanted(host);
        lab.hears(host, A, REPLY);
        ends.push(lab.table.next_deadline().unwrap().since(lab.now));
        lab.seconds(45);
        assert_eq!(lab.state(host), Some(State::Stale));
        assert_eq!(lab.done, [], "it can still be sent to");
    }
    let (least, most) = (*ends.iter().min().unwrap(), *ends.iter().max().unwrap());
    assert!(least >= Duration::from_secs(15) && least < Duration::from_secs(17), "{least:?}");
    assert!(most <= Duration::from_secs(45) && most > Duration::from_secs(43), "{most:?}");
}

/// Checklist C119, C182.
#[test]
fn a_stale_neighbour_in_use_is_probed_by_unicast_and_deleted_if_silent() {
    let mut lab = Lab::at(HOST6, State::Stale);
    lab.used(HOST6);
    assert_eq!(lab.state(HOST6), Some(State::Delay));
    lab.passes(Duration::from_millis(4_999));
    assert_eq!(lab.done, []);
    for _ in 0..3 {
        lab.seconds(1);
        assert_eq!(lab.done, [lab.solicits(HOST6, Some(A))]);
        assert_eq!(lab.state(HOST6), Some(State::Probe));
        assert!(matches!(lab.wanted(HOST6), Wanted::Usable(A)), "packets go on meanwhile");
    }
    lab.seconds(1);
    assert_eq!(lab.done, [Action::Withdraw { port: lab.port, address: HOST6 }]);
    assert_eq!((lab.state(HOST6), lab.table.stats().lost), (None, 1));
}

#[test]
fn a_probe_that_is_answered_makes_it_reachable() {
    for (host, answer) in [(HOST, REPLY), (HOST6, advertisement("S"))] {
        let mut lab = Lab::at(host, State::Probe);
        lab.hears(host, A, answer);
        assert_eq!((lab.state(host), lab.done.len()), (Some(State::Reachable), 0));
    }
}

#[test]
fn a_stale_neighbour_that_nobody_uses_is_forgotten() {
    let mut lab = Lab::at(HOST, State::Stale);
    lab.hears(HOST, A, REQUEST);
    lab.seconds(4 * 3600 - 1);
    assert_eq!(lab.state(HOST), Some(State::Stale), "hearing it starts the time anew");
    lab.seconds(1);
    assert_eq!(lab.done, [Action::Withdraw { port: lab.port, address: HOST }]);
}

/// RFC 4861 appendix C, the rows "INCOMPLETE, NA".
#[test]
fn an_advertisement_for_an_incomplete_entry() {
    for (flags, state) in [("SO", State::Reachable), ("S", State::Reachable), ("O", State::Stale)] {
        let mut lab = Lab::at(HOST6, State::Incomplete);
        lab.hears(HOST6, A, advertisement(flags));
        assert_eq!(lab.done, [lab.installs(HOST6, A, state)], "{flags}");
    }
    let mut lab = Lab::at(HOST6, State::Incomplete);
    lab.hears(HOST6, None, advertisement("SO"));
    assert_eq!((lab.state(HOST6), lab.done.len()), (Some(State::Incomplete), 0), "no option");
}

/// RFC 4861 7.2.5 I: O clear, another MAC.
#[test]
fn an_advertisement_that_does_not_override_only_raises_doubt() {
    for state in USABLE {
        for flags in ["", "S", "SR"] {
            let mut lab = Lab::at(HOST6, state);
            lab.hears(HOST6, B, advertisement(flags));
            let then = if state == State::Reachable { State::Stale } else { state };
            assert_eq!((lab.state(HOST6), lab.mac(HOST6)), (Some(then), Some(A)), "{flags}");
            assert_eq!(lab.done, []);
            assert!(!lab.table.get(lab.port, HOST6, lab.now).unwrap().router, "not updated");
        }
    }
}

/// RFC 4861 7.2.5 II: O set, or the same MAC, or none.
#[test]
fn an_advertisement_that_overrides_or_agrees() {
    for state in USABLE {
        for (mac, flags, then) in [
            (Some(B), "SO", State::Reachable),
            (Some(B), "O", State::Stale),
            (Some(A), "S", State::Reachable),
            (Some(A), "SO", State::Reachable),
            (None, "S", State::Reachable),
            (Some(A), "", state),
            (Some(A), "O", state),
            (None, "O", state),
        ] {
            let mut lab = Lab::at(HOST6, state);
            lab.hears(HOST6, mac, advertisement(flags));
            assert_eq!(lab.state(HOST6), Some(then), "{state} {mac:?} {flags}");
            assert_eq!(lab.mac(HOST6), mac.or(Some(A)));
            assert_eq!(lab.done.len(), usize::from(mac == Some(B)));
        }
    }
}

#[test]
fn an_advertisement_sets_and_clears_the_router_flag() {
    let mut lab = Lab::at(HOST6, State::Reachable);
    for flags in ["R", "", "SRO"] {
        lab.hears(HOST6, A, advertisement(flags));
        let router = lab.table.get(lab.port, HOST6, lab.now).unwrap().router;
        assert_eq!(router, flags.contains('R'));
    }
    lab.hears(HOST6, B, SOLICITATION);
    assert!(lab.table.get(lab.port, HOST6, lab.now).unwrap().router, "7.2.3: left alone");
}

/// RFC 4861 7.2.3. Checklist C183.
#[test]
fn a_solicitation_teaches_its_source() {
    let mut lab = Lab::new();
    lab.hears(HOST6, A, SOLICITATION);
    assert_eq!(lab.done, [lab.installs(HOST6, A, State::Stale)]);
    for state in USABLE {
        let mut lab = Lab::at(HOST6, state);
        lab.hears(HOST6, A, SOLICITATION);
        assert_eq!((lab.state(HOST6), lab.done.len()), (Some(state), 0), "the same: unchanged");
        lab.hears(HOST6, B, SOLICITATION);
        assert_eq!(lab.done, [lab.installs(HOST6, B, State::Stale)]);
    }
    let mut lab = Lab::new();
    lab.hears(HOST6, None, SOLICITATION);
    lab.hears(HOST6, A, Message::Solicitation { for_us: false });
    assert_eq!(lab.table.len(), 0);
}

#[test]
fn strangers_are_learned_only_when_they_ask_for_us() {
    let not_for_us = [
        Message::ArpRequest { for_us: false },
        REPLY,
        Message::ArpAnnouncement,
        advertisement("SO"),
        advertisement("O"),
    ];
    for message in not_for_us {
        let mut lab = Lab::new();
        lab.hears(HOST, A, message);
        assert_eq!((lab.table.len(), lab.done.len()), (0, 0), "{message:?}");
    }
    let mut lab = Lab::new();
    lab.hears(HOST, A, REQUEST);
    assert_eq!(lab.done, [lab.installs(HOST, A, State::Stale)]);
}

/// RFC 826: "merge flag". RFC 1122 2.3.2.1.
#[test]
fn an_arp_request_for_somebody_else_updates_what_is_known() {
    let mut lab = Lab::at(HOST, State::Reachable);
    lab.hears(HOST, B, Message::ArpRequest { for_us: false });
    assert_eq!(lab.done, [lab.installs(HOST, B, State::Stale)]);
}

#[test]
fn of_several_arp_answers_the_first_counts() {
    let mut lab = Lab::at(HOST, State::Incomplete);
    lab.hears(HOST, A, REPLY);
    for message in [REPLY, Message::ArpRequest { for_us: false }] {
        lab.hears(HOST, B, message);
        assert_eq!((lab.mac(HOST), lab.state(HOST)), (Some(A), Some(State::Reachable)));
    }
    lab.seconds(1);
    lab.hears(HOST, B, REPLY);
    assert_eq!(lab.done, [lab.installs(HOST, B, State::Reachable)]);
}

#[test]
fn a_neighbour_that_asks_for_us_moves_at_once() {
    let mut lab = Lab::at(HOST, State::Incomplete);
    lab.hears(HOST, A, REPLY);
    lab.hears(HOST, B, REQUEST);
    assert_eq!(lab.done, [lab.installs(HOST, B, State::Stale)]);
}

/// Checklist C107, C120.
#[test]
fn an_announcement_moves_a_neighbour_at_once() {
    let mut lab = Lab::at(HOST, State::Incomplete);
    lab.hears(HOST, A, REPLY);
    lab.hears(HOST, B, Message::ArpAnnouncement);
    assert_eq!(lab.done, [lab.installs(HOST, B, State::Stale)]);
    lab.hears(HOST, B, Message::ArpReply { to_us: false });
    assert_eq!(lab.state(HOST), Some(State::Stale), "a broadcast reply is not an answer to us");
}

#[test]
fn senders_that_cannot_be_are_ignored() {
    let broadcast = IpAddr::from([255; 4]);
    for (address, mac) in [
        (HOST, MacAddress::BROADCAST),
        (HOST, MacAddress([1, 0, 0x5e, 0, 0, 1])),
        (HOST, MacAddress::ZERO),
        (IpAddr::from([0; 4]), A),
        (IpAddr::from([0; 16]), A),
        (IpAddr::from([224, 0, 0, 1]), A),
        (broadcast, A),
    ] {
        let mut lab = Lab::new();
        lab.hears(address, mac, REQUEST);
        assert_eq!((lab.table.len(), lab.table.stats().bogus), (0, 1), "{address} {mac}");
    }
}

/// Checklist C110.
#[test]
fn senders_of_another_subnet_are_not_learned_but_an_on_link_gateway_resolves() {
    let heard = Heard {
        port: PortId::new(1).unwrap(),
        address: HOST,
        mac: Some(A),
        message: REQUEST,
        on_link: false,
        ours: false,
    };
    let mut lab = Lab::new();
    lab.hears_all(heard);
    assert_eq!(lab.table.len(), 0);
    assert_eq!(lab.wanted(HOST), Wanted::Resolving);
    lab.hears_all(Heard { message: REPLY, ..heard });
    assert_eq!(lab.state(HOST), Some(State::Reachable), "we asked for it");
}

/// Checklist C114.
#[test]
fn an_answer_at_the_wrong_port_is_none() {
    let mut lab = Lab::at(HOST, State::Incomplete);
    let right = std::mem::replace(&mut lab.port, PortId::new(2).unwrap());
    lab.hears(HOST, A, REPLY);
    lab.port = right;
    assert_eq!((lab.state(HOST), lab.table.len()), (Some(State::Incomplete), 1));
}

/// RFC 5227 2.4 (c).
#[test]
fn our_address_is_defended_every_ten_seconds_and_never_learned() {
    let mut lab = Lab::new();
    let mut defences = 0;
    for _ in 0..30 {
        let (port, message) = (lab.port, Message::ArpAnnouncement);
        let heard = Heard { port, address: HOST, mac: Some(B), message, on_link: true, ours: true };
        lab.hears_all(heard);
        let defend = Action::Defend { port, address: HOST, claimant: B };
        assert!(lab.done.iter().all(|action| *action == defend));
        defences += lab.done.len();
        lab.seconds(1);
    }
    assert_eq!((defences, lab.table.stats().conflicts, lab.table.len()), (3, 30, 0));
}

/// Checklist C112.
#[test]
fn a_permanent_neighbour_is_moved_by_nothing_that_is_heard() {
    let mut lab = Lab::at(HOST, State::Permanent);
    for message in [REQUEST, REPLY, Message::ArpAnnouncement, SOLICITATION, advertisement("SO")] {
        lab.hears(HOST, B, message);
        assert_eq!(lab.mac(HOST), Some(A));
    }
    lab.used(HOST);
    lab.seconds(86_400);
    lab.table.link_changed(lab.port, &mut lab.done);
    lab.table.flush(None, &mut lab.done);
    assert_eq!((lab.state(HOST), lab.done.len()), (Some(State::Permanent), 0));
    assert!(lab.table.remove(lab.port, HOST, &mut lab.done));
    assert_eq!(lab.done, [Action::Withdraw { port: lab.port, address: HOST }]);
}

#[test]
fn a_permanent_neighbour_takes_the_place_of_what_was_learned() {
    let mut lab = Lab::at(HOST, State::Incomplete);
    lab.table.add_static(lab.port, HOST, B, lab.now, &mut lab.done).unwrap();
    assert_eq!(lab.done, [lab.installs(HOST, B, State::Permanent)]);
    let mut lab = Lab::at(HOST, State::Reachable);
    lab.table.add_static(lab.port, HOST, A, lab.now, &mut lab.done).unwrap();
    assert_eq!((lab.state(HOST), lab.done.len()), (Some(State::Permanent), 0));
}

/// Checklist C121.
#[test]
fn a_link_that_goes_down_takes_its_neighbours_along() {
    let mut lab = Lab::at(HOST, State::Reachable);
    lab.bring(HOST6, State::Incomplete);
    let other = PortId::new(2).unwrap();
    let _resolving = lab.table.wanted(other, HOST, lab.now, &mut lab.done);
    lab.done.clear();
    lab.table.link_changed(lab.port, &mut lab.done);
    let port = lab.port;
    let gone =
        [Action::Withdraw { port, address: HOST }, Action::Unresolvable { port, address: HOST6 }];
    assert_eq!(lab.done, gone);
    assert_eq!(lab.table.len(), 1);
}

#[test]
fn a_pause_of_the_router_condemns_nobody() {
    let pause = |lab: &mut Lab| {
        lab.now = lab.now + Duration::from_secs(2);
        lab.table.tick(lab.now, &mut lab.done);
    };
    for (state, answers) in
        [State::Incomplete, State::Probe].into_iter().flat_map(|s| [(s, true), (s, false)])
    {
        let mut lab = Lab::at(HOST, state);
        // The last solicitation is out, and its second has begun.
        lab.passes(Duration::from_millis(2_500));
        pause(&mut lab);
        assert_eq!(lab.state(HOST), Some(state));
        // Another neighbour's affairs are no occasion either.
        assert_eq!(lab.wanted(HOST6), Wanted::Resolving);
        assert_eq!(lab.state(HOST), Some(state));
        if answers {
            lab.hears(HOST, A, REPLY);
            assert_eq!(lab.state(HOST), Some(State::Reachable));
        } else {
            // However late we are: once is enough.
            pause(&mut lab);
            assert!(matches!(lab.state(HOST), None | Some(State::Failed)));
        }
    }
}

#[test]
fn a_link_that_comes_up_is_no_place_for_old_failures() {
    for state in [State::Incomplete, State::Failed] {
        let mut lab = Lab::at(HOST, state);
        lab.table.link_changed(lab.port, &mut lab.done);
        lab.done.clear();
        let wanted = lab.table.wanted(lab.port, HOST, lab.now, &mut lab.done);
        assert_eq!((wanted, &lab.done), (Wanted::Resolving, &vec![lab.solicits(HOST, None)]));
    }
}

#[test]
fn the_kernel_is_answered_for_the_known_and_the_wire_is_asked_for_others() {
    let mut lab = Lab::at(HOST, State::Reachable);
    let answer = Action::AnswerKernel { port: lab.port, address: HOST, mac: A };
    lab.wanted_by_kernel(HOST);
    assert_eq!(lab.done, [answer]);
    for state in [State::Stale, State::Delay] {
        let mut lab = Lab::at(HOST, state);
        lab.wanted_by_kernel(HOST);
        assert_eq!(lab.done, [answer, lab.solicits(HOST, Some(A))]);
        lab.wanted_by_kernel(HOST);
        assert_eq!(lab.done, [answer], "once a second is enough on the wire");
    }
    let mut lab = Lab::new();
    lab.wanted_by_kernel(HOST);
    assert_eq!(lab.done, [lab.solicits(HOST, None)]);
}

#[test]
fn a_target_is_never_asked_twice_in_a_second() {
    let mut lab = Lab::at(HOST, State::Stale);
    lab.wanted_by_kernel(HOST);
    lab.hears(HOST, A, REPLY);
    lab.hears(HOST, B, Message::ArpAnnouncement);
    lab.wanted_by_kernel(HOST);
    let answer = Action::AnswerKernel { port: lab.port, address: HOST, mac: B };
    assert_eq!((lab.state(HOST), &lab.done[..]), (Some(State::Probe), &[answer][..]));
    lab.seconds(1);
    assert_eq!(lab.done, [lab.solicits(HOST, Some(B))]);
}

/// A day of a neighbour that is in use and always answers: it is never lost, and asked about twice
/// a minute.
#[test]
fn a_day() {
    let mut lab = Lab::at(HOST6, State::Reachable);
    let mut asked = 0u64;
    for _ in 0..86_400 {
        lab.seconds(1);
        let solicitations = lab.done.len() as u64;
        assert!(lab.done.iter().all(|action| *action == lab.solicits(HOST6, Some(A))));
        lab.used(HOST6);
        if solicitations > 0 {
            lab.hears(HOST6, A, advertisement("SO"));
        }
        asked += solicitations;
    }
    let about = 86_400 / (30 + 5 + 1);
    assert!((about * 9 / 10..about * 11 / 10).contains(&asked), "{asked}");
}

#[test]
fn the_words_are_those_of_linux() {
    let words = [State::Incomplete, State::Reachable, State::Stale, State::Permanent];
    let words = words.map(|state| state.to_string());
    assert_eq!(words, ["INCOMPLETE", "REACHABLE", "STALE", "PERMANENT"]);
    assert_eq!(format!("{:<10}|", State::Probe), "PROBE     |");
}

#[test]
fn what_the_kernel_knew_is_used_at_once_and_asked_for() {
    let mut lab = Lab::new();
    let (port, now) = (lab.port, lab.now);
    lab.table.adopt(port, HOST, A, now, &mut lab.done);
    assert_eq!(lab.done, [Action::Install { port, address: HOST, mac: A, state: State::Stale }]);
    assert_eq!(lab.wanted(HOST), Wanted::Usable(A));
    assert_eq!(lab.table.get(port, HOST, now).unwrap().state, State::Delay);
    // What is known here already is not forgotten for it.
    lab.done.clear();
    lab.table.adopt(port, HOST, B, now, &mut lab.done);
    assert!(lab.done.is_empty());
    assert_eq!(lab.table.get(port, HOST, now).unwrap().mac, Some(A));
}
