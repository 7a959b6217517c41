//! Scans and floods (RFC 6583): what must hold when somebody wants the table full.
#![forbid(unsafe_code)]

use super::*;

const REFILL: Duration = Duration::from_micros(20);

fn random_host(lab: &mut Lab) -> IpAddr {
    let [a, b, c, ..] = lab.table.next_random().to_le_bytes();
    IpAddr::from([10, a | 0x80, b, c])
}

fn small() -> Lab {
    Lab::with(Limits::for_neighbours(1_024))
}

/// Two hundred neighbours in use, which answer when they are asked.
fn population(lab: &mut Lab) -> Vec<IpAddr> {
    let hosts: Vec<_> = (1..=200).map(|last| IpAddr::from([10, 0, 0, last])).collect();
    for host in &hosts {
        lab.passes(Duration::from_millis(1));
        assert_eq!(lab.wanted(*host), Wanted::Resolving);
        lab.hears(*host, A, REPLY);
    }
    hosts
}

/// What everybody on the link does with the solicitations: those that exist answer.
fn answer(lab: &mut Lab, hosts: &[IpAddr]) -> usize {
    let actions = std::mem::take(&mut lab.done);
    let mut solicitations = 0;
    for action in actions {
        match action {
            Action::SendSolicitation { target, .. } => {
                solicitations += 1;
                if hosts.contains(&target) {
                    lab.hears(target, A, REPLY);
                }
            }
            Action::Withdraw { address, .. } => assert!(!hosts.contains(&address)),
            _ => {}
        }
    }
    solicitations
}

/// 50,000 addresses a second of 10.128.0.0/9, for twenty seconds.
#[test]
fn a_scan_neither_loses_the_known_nor_keeps_out_the_new() {
    let mut lab = small();
    let mut hosts = population(&mut lab);
    let start = lab.now;
    let (mut solicitations, mut slowest) = (0, Duration::ZERO);
    let mut newcomer: Option<(IpAddr, Nanos)> = None;
    for step in 0u32..1_000_000 {
        lab.now = lab.now + REFILL;
        let target = random_host(&mut lab);
        let _whatever = lab.wanted(target);
        solicitations += answer(&mut lab, &hosts);
        if step.is_multiple_of(50) {
            lab.table.tick(lab.now, &mut lab.done);
            solicitations += answer(&mut lab, &hosts);
            assert!(lab.table.len() <= 1_024);
        }
        if step.is_multiple_of(50_000) {
            hosts[..200].iter().for_each(|host| lab.used(*host));
            lab.table.cache.assert_consistent();
        }
        // Every five seconds a genuine host turns up; ten packets a second are sent to it.
        if step.is_multiple_of(250_000) {
            assert_eq!(newcomer, None, "still unresolved after five seconds");
            let host = IpAddr::from([10, 1, 0, u8::try_from(step / 250_000).unwrap()]);
            hosts.push(host);
            newcomer = Some((host, lab.now));
        }
        if let Some((host, since)) = newcomer.filter(|_| step.is_multiple_of(5_000)) {
            if let Wanted::Usable(_) = lab.wanted(host) {
                slowest = slowest.max(lab.now.since(since));
                newcomer = None;
            }
            solicitations += answer(&mut lab, &hosts);
        }
    }
    let seconds = usize::try_from(lab.now.since(start).as_secs()).unwrap();
    assert!(solicitations <= 1_000 * seconds + 100, "{solicitations}");
    assert!(slowest <= Duration::from_secs(3), "{slowest:?}");
    assert!(hosts[..200].iter().all(|host| lab.mac(*host) == Some(A)));

    lab.seconds(5);
    let fresh = IpAddr::from([10, 2, 0, 1]);
    assert_eq!(lab.wanted(fresh), Wanted::Resolving);
    assert_eq!(lab.done, [lab.solicits(fresh, None)], "recovered");
}

#[test]
fn the_same_two_thousand_addresses_are_asked_for_once_a_second_at_most() {
    let mut lab = small();
    let mut last = HashMap::new();
    for step in 0u32..500_000 {
        lab.now = lab.now + REFILL;
        let [_, _, high, low] = (step % 2_000).to_be_bytes();
        let _whatever = lab.wanted(IpAddr::from([10, 9, high, low]));
        lab.table.tick(lab.now, &mut lab.done);
        for action in lab.done.drain(..) {
            let Action::SendSolicitation { target, .. } = action else { continue };
            if let Some(before) = last.insert(target, lab.now) {
                assert!(lab.now.since(before) >= Duration::from_secs(1), "{target}");
            }
        }
    }
}

/// Strangers that ask for us come and go, and do not keep us from resolving.
#[test]
fn a_flood_of_senders_does_not_touch_what_is_wanted() {
    let mut lab = small();
    let hosts = population(&mut lab);
    for step in 0u32..500_000 {
        lab.now = lab.now + REFILL;
        let stranger = random_host(&mut lab);
        let (port, message) = (lab.port, REQUEST);
        let heard =
            Heard { port, address: stranger, mac: Some(B), message, on_link: true, ours: false };
        lab.table.heard(&heard, lab.now, &mut lab.done);
        answer(&mut lab, &hosts);
        if step.is_multiple_of(100_000) {
            let wanted = IpAddr::from([10, 1, 0, u8::try_from(step / 100_000).unwrap()]);
            assert_eq!(lab.wanted(wanted), Wanted::Resolving);
            lab.hears(wanted, A, REPLY);
        }
        assert!(lab.table.len() <= 1_024);
    }
    assert!(hosts.iter().all(|host| lab.mac(*host) == Some(A)));
    assert!(lab.table.stats().learned <= 11_000, "{:?}", lab.table.stats());
}

#[test]
fn a_table_full_of_neighbours_in_use_refuses_and_says_so() {
    let mut lab = Lab::with(Limits::for_neighbours(16));
    for last in 1..=16 {
        let host = IpAddr::from([10, 0, 0, last]);
        let _resolving = lab.wanted(host);
        lab.hears(host, A, REPLY);
    }
    assert_eq!(lab.wanted(HOST6), Wanted::Refused);
    let full = lab.table.add_static(lab.port, HOST6, A, lab.now, &mut lab.done);
    assert_eq!((full, lab.table.stats().refused), (Err(TableFull), 1));
    lab.seconds(51);
    assert_eq!(lab.wanted(HOST6), Wanted::Resolving, "some have not been used for a while");
    assert!(matches!(lab.done[0], Action::Withdraw { .. }));
}
