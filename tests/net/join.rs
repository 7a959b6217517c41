//! Two networks that become one, with both routers in it.

use super::topology::{HOST_DEVICE, Host, Topology, ip};

/// The name of the switch of [`splice`].
pub const SWITCH: &str = "br0";
/// The last octet of a twin's MACs on links that it shares with the other.
const TWIN: &str = "99";

/// `host` gets the first device of `other`, by this name, without addresses and down.
pub fn take_link(host: &Host, other: &Host, device: &str) {
    let (host, other) = (&host.name, &other.name);
    ip(&format!("-n {other} link set {HOST_DEVICE} down"));
    ip(&format!("-n {other} link set {HOST_DEVICE} name {device}"));
    ip(&format!("-n {other} link set {device} netns {host}"));
}

/// Make one link of that of a host and that of its twin, which end at the routers' cards of this name.
/// The host becomes the switch between them, and has no address any more.
pub fn splice(net: &Topology, twin: &Topology, place: fn(&Topology) -> &Host, card: &str) {
    let (host, other) = (place(net), place(twin));
    take_link(host, other, "eth1");
    let name = &host.name;
    ip(&format!("-n {name} link add {SWITCH} type bridge mcast_snooping 0"));
    ip(&format!("-n {name} address flush dev {HOST_DEVICE}"));
    for device in [HOST_DEVICE, "eth1"] {
        ip(&format!("-n {name} link set {device} master {SWITCH} up"));
    }
    ip(&format!("-n {name} link set {SWITCH} up"));
    let mac = host.mac();
    let (link, _) = mac.rsplit_once(':').expect("a MAC has six octets");
    ip(&format!("-n {} link set {card} address {link}:{TWIN}", twin.router.name));
}
