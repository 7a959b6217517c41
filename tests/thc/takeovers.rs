//! What an attacker on the link achieves with either router: whether somebody else's traffic still
//! goes through while he is at it.

use std::time::Duration;

use super::attacks::start;
use super::crowd::{Member, gather};
use super::net::{Router, Topology, figure, kernel_is_router};

/// The host that attacks; each attack has the next one as its victim.
const ATTACKER: Member = Member(1);
/// How long an attack goes on before its effect is looked at.
const EFFECT: Duration = Duration::from_millis(1500);

/// What becomes of the victim's traffic.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Traffic {
    Flows,
    Stops,
}

use Traffic::{Flows, Stops};

/// An attack (`VICTIM` stands for the victim's address), and what becomes of the victim's traffic
/// with each router.
struct Takeover {
    line: &'static str,
    kernel: Traffic,
    xrouter: Traffic,
    reason: &'static str,
}

const TAKEOVERS: [Takeover; 6] = [
    Takeover {
        line: "redir6 IF ROUTER VICTIM 2001:db8:1::1 2001:db8:1::1:1",
        kernel: Flows,
        xrouter: Flows,
        reason: "RFC 4861 8.2: a router believes no redirect",
    },
    Takeover {
        line: "kill_router6 IF ROUTER",
        kernel: Flows,
        xrouter: Flows,
        reason: "RFC 4861 6.2.7: a router takes no routes from advertisements",
    },
    Takeover {
        line: "fake_router26 -i 0 -A 2001:db8:2::/64 -R 2001:db8:2::/64 IF",
        kernel: Flows,
        xrouter: Flows,
        reason: "RFC 4861 6.2.7: a router takes no routes from advertisements",
    },
    Takeover {
        line: "fake_advertise6 -w 0 IF VICTIM ROUTER 02:00:00:00:00:99",
        kernel: Stops,
        xrouter: Stops,
        reason: "RFC 4861 7.2.5: who overrides is believed",
    },
    Takeover {
        line: "parasite6 -l IF 02:00:00:00:00:99",
        kernel: Stops,
        xrouter: Stops,
        reason: "RFC 4861 7.2.5: who overrides is believed",
    },
    // The last one: the kernel's table stays full for a while.
    Takeover {
        line: "ndpexhaust26 IF 2001:db8:2::",
        kernel: Stops,
        xrouter: Flows,
        reason: "RFC 6583 7.1: neighbours in use stay; the kernel's table is full",
    },
];

#[test]
fn an_attacker_achieves_what_he_does_with_the_kernel() {
    let net = Topology::lan_wan();
    let twin = net.twin();
    let config = net.config();
    let _routers = [Router::start(&net, &config), Router::kernel(&twin, &config)];
    let victims = (ATTACKER.0 + 1..).map(Member);
    [&net, &twin].into_iter().for_each(|net| gather(&net.lan, ATTACKER.0 + 6));
    for (takeover, victim) in TAKEOVERS.iter().zip(victims) {
        let Takeover { line, reason, .. } = takeover;
        let line = &line.replace("VICTIM", &victim.address());
        let [xrouter, kernel] = std::thread::scope(|scope| {
            let look = |net| scope.spawn(move || traffic_under_attack(net, victim, line));
            [&net, &twin].map(look).map(|thread| thread.join().expect("the traffic is looked at"))
        });
        let measured = format!("{kernel:?}, {xrouter:?}: {reason}");
        let met = kernel == takeover.kernel && (xrouter == takeover.xrouter || kernel_is_router());
        let asked = format!("{:?}, {:?}", takeover.kernel, takeover.xrouter);
        figure(&format!("thc {}", takeover.line), &asked, measured, met);
    }
}

/// What becomes of the victim's pings to the wan host.
fn traffic_under_attack(net: &Topology, victim: Member, line: &str) -> Traffic {
    let (from, device) = (victim.address(), victim.device());
    let ping = format!("ping -6 -c 5 -i 0.2 -W 0.5 -I {device} -I {from} 2001:db8:2::2");
    net.lan.run(&ping).succeeds();
    let attack = start(net, ATTACKER, line);
    std::thread::sleep(EFFECT);
    let traffic = if net.lan.run(&ping).ok() { Flows } else { Stops };
    drop(attack);
    traffic
}
