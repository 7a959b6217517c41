//! What an attacker on the link achieves with either router: whether somebody else still hears from
//! the wan host while he is at it. How the kernel fares at the same time is the measure.

use std::time::Duration;

use super::attacks::{ATTACKER, frames, start};
use super::compare::{Finding, Pair, ROUNDS, ask, judge};
use super::crowd::{Member, gather};
use super::net::{Router, Topology, eventually, ip, seconds};

/// How long an attack goes on before its effect is looked at.
const EFFECT: Duration = Duration::from_millis(800);
const FLOWS: &str = "traffic flows";
const STOPS: &str = "traffic stops";

/// Attacks on the traffic of a victim. The router knows whom the line names as `VICTIM` before the
/// attack begins; where it names none, the router has to ask for the victim while it goes on.
pub const TAKEOVERS: [&str; 13] = [
    // RFC 4861 8.2, 6.2.7: a router believes no redirect and takes no routes from advertisements.
    "redir6 IF ROUTER VICTIM 2001:db8:1::1 2001:db8:1::1:1",
    "kill_router6 IF ROUTER",
    "fake_router26 -i 0 -A 2001:db8:2::/64 -R 2001:db8:2::/64 IF",
    // RFC 4861 7.2.5: who overrides is believed; RFC 6980 5: not if his message is fragmented.
    "fake_advertise6 -w 1 IF VICTIM ROUTER 02:00:00:00:00:99",
    "fake_advertise6 -w 1 -s IF VICTIM ROUTER 02:00:00:00:00:99",
    "fake_advertise6 -w 1 -O IF VICTIM ROUTER 02:00:00:00:00:99",
    "fake_advertise6 -w 1 -f IF VICTIM ROUTER 02:00:00:00:00:99",
    "fake_advertise6 -w 1 -D IF VICTIM ROUTER 02:00:00:00:00:99",
    "fake_advertise6 -w 1 -H IF VICTIM ROUTER 02:00:00:00:00:99",
    // The router's own address, and one that is not on this link.
    "fake_advertise6 -w 1 IF ROUTER ROUTER 02:00:00:00:00:99",
    "fake_advertise6 -w 1 IF WAN ROUTER 02:00:00:00:00:99",
    // RFC 4861 7.2.3: so is who asks, and who answers last.
    "fake_solicitate6 IF ROUTER ROUTER 02:00:00:00:00:99 VICTIM",
    "parasite6 -l IF 02:00:00:00:00:99",
];

#[test]
fn an_attacker_achieves_what_he_does_with_the_kernel() {
    let net = Topology::lan_wan();
    let twin = net.twin();
    let config = net.config();
    let _routers = [Router::start(&net, &config), Router::kernel(&twin, &config)];
    // Each time a new one: a victim does not recover at once.
    let last = ATTACKER.0 + u8::try_from(TAKEOVERS.len() * ROUNDS).expect("few");
    [&net, &twin].into_iter().for_each(|net| gather(&net.lan, last));
    let mut victims = (ATTACKER.0 + 1..=last).map(Member);
    let mut attack = |line: &String| {
        let victim = victims.next().expect("as many as looks");
        let found = std::thread::scope(|scope| {
            let look = |net| scope.spawn(move || under_attack(net, line, victim));
            [&twin, &net].map(look).map(|thread| thread.join().expect("it is looked at"))
        });
        Pair::new(line.clone(), found)
    };
    let lines = TAKEOVERS.map(str::to_owned).to_vec();
    let pairs = ask(lines, |lines| lines.iter().map(&mut attack).collect());
    let stopped = pairs.iter().filter(|pair| pair.kernel_says(STOPS)).count();
    assert!((3..10).contains(&stopped), "the attacks have no effect, or there is no traffic");
    let measured = format!("{} attacks, {stopped} succeed with the kernel", pairs.len());
    judge("thc takeovers", &pairs, &measured);
}

/// What becomes of the wan host's pings to the victim.
fn under_attack(net: &Topology, line: &str, victim: Member) -> Finding {
    let (lan, address) = (&net.lan.name, victim.address());
    // So that the victim, who is not what is attacked, never asks, and tells the router who it is.
    let router = "2001:db8:1::1 lladdr 02:00:0a:01:00:01 nud permanent";
    ip(&format!("-n {lan} neigh replace {router} dev {}", victim.device()));
    let is_named = line.contains("VICTIM");
    if is_named {
        net.wan.run(&format!("ping -6 -c 1 -w 5 {address}")).succeeds();
    }
    let before = frames(net);
    let attack = start(net, ATTACKER, &line.replace("VICTIM", &address));
    // parasite6 sends nothing of its own accord, but says that it listens.
    let has_begun = || frames(net) > before || attack.stdout().contains("Started");
    eventually(seconds(10), "the attack begins", has_begun);
    std::thread::sleep(EFFECT);
    let ping = format!("ping -6 -c 3 -i 0.2 -W 0.5 {address}");
    if !is_named {
        let _asked_for = net.wan.run(&ping);
    }
    let flows = net.wan.run(&ping).ok();
    Finding::new(vec![if flows { FLOWS } else { STOPS }.to_owned()], Vec::new())
}
