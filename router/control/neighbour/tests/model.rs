//! Whatever happens in whatever order: the limits hold, and control's view is the table's.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Input {
    Wanted(u8),
    Kernel(u8),
    Used(u8),
    Heard(u8, Option<MacAddress>, Message, bool),
    Pass(u64),
    LinkDown,
    Flush,
    Remove(u8),
}

const STATIC: u8 = 0;

fn message() -> impl Strategy<Value = Message> {
    prop_oneof![
        any::<bool>().prop_map(|for_us| Message::ArpRequest { for_us }),
        any::<bool>().prop_map(|to_us| Message::ArpReply { to_us }),
        Just(Message::ArpAnnouncement),
        any::<bool>().prop_map(|for_us| Message::Solicitation { for_us }),
        any::<(bool, bool, bool)>().prop_map(|(router, solicited, overrides)| {
            Message::Advertisement { router, solicited, overrides }
        }),
    ]
}

fn input() -> impl Strategy<Value = Input> {
    let mac = prop::option::of(prop_oneof![Just(A), Just(B), Just(MacAddress::BROADCAST)]);
    prop_oneof![
        6 => (0u8..40).prop_map(Input::Wanted),
        1 => (0u8..40).prop_map(Input::Kernel),
        2 => (0u8..40).prop_map(Input::Used),
        6 => (0u8..40, mac, message(), any::<bool>())
            .prop_map(|(who, mac, message, link)| Input::Heard(who, mac, message, link)),
        4 => (0u64..8_000).prop_map(Input::Pass),
        1 => Just(Input::LinkDown),
        1 => Just(Input::Flush),
        1 => (1u8..40).prop_map(Input::Remove),
    ]
}

fn host(number: u8) -> IpAddr {
    IpAddr::from([10, 0, 0, number])
}

fn feed(lab: &mut Lab, input: Input) {
    lab.done.clear();
    let (port, now) = (lab.port, lab.now);
    match input {
        Input::Wanted(who) => {
            let _whatever = lab.wanted(host(who));
        }
        Input::Kernel(who) => lab.wanted_by_kernel(host(who)),
        Input::Used(who) => lab.used(host(who)),
        Input::Heard(who, mac, message, on_link) => {
            lab.hears_all(Heard { port, address: host(who), mac, message, on_link, ours: false });
        }
        Input::Pass(milliseconds) => lab.passes(Duration::from_millis(milliseconds)),
        Input::LinkDown => lab.table.link_changed(port, &mut lab.done),
        Input::Flush => lab.table.flush(None, &mut lab.done),
        Input::Remove(who) => {
            let known = lab.table.get(port, host(who), now).is_some();
            assert_eq!(lab.table.remove(port, host(who), &mut lab.done), known);
        }
    }
}

/// What control does: installed adjacencies, and addresses that packets are held for.
#[derive(Default)]
struct Control {
    installed: BTreeMap<IpAddr, MacAddress>,
}

impl Control {
    fn obey(&mut self, actions: &[Action]) {
        for action in actions {
            match *action {
                Action::Install { address, mac, .. } => {
                    assert_ne!(self.installed.insert(address, mac), Some(mac), "told twice");
                }
                Action::Withdraw { address, .. } => {
                    assert!(self.installed.remove(&address).is_some(), "was never installed");
                }
                Action::Unresolvable { address, .. } => {
                    assert!(!self.installed.contains_key(&address));
                }
                Action::AnswerKernel { address, mac, .. } => {
                    assert_eq!(self.installed.get(&address), Some(&mac));
                }
                Action::SendSolicitation { .. } | Action::Defend { .. } => {}
            }
        }
    }
}

proptest! {
    #[test]
    fn control_sees_what_the_table_says(inputs in prop::collection::vec(input(), 1..300)) {
        let limits = Limits { incomplete_max: 5, ..Limits::for_neighbours(20) };
        let mut lab = Lab::with(limits);
        let mut control = Control::default();
        lab.table.add_static(lab.port, host(STATIC), A, lab.now, &mut lab.done).unwrap();
        control.obey(&lab.done);
        for input in inputs {
            feed(&mut lab, input);
            control.obey(&lab.done);
            lab.table.cache.assert_consistent();
            let rows: Vec<_> = lab.table.iter(lab.now).collect();
            let usable = rows.iter().filter_map(|row| row.mac.map(|mac| (row.address, mac)));
            prop_assert_eq!(usable.collect::<BTreeMap<_, _>>(), control.installed.clone());
            let incomplete = rows.iter().filter(|row| row.state == State::Incomplete).count();
            prop_assert!(rows.len() <= 20 && incomplete <= 5);
            prop_assert_eq!(lab.state(host(STATIC)), Some(State::Permanent));
            prop_assert_eq!(lab.mac(host(STATIC)), Some(A));
        }
    }
}
