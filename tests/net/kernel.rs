//! A router.toml in the words of the kernel: what `ip` and `sysctl` are to be told. What has no
//! counterpart there is left out.

use toml::{Table, Value};

/// Addresses, MTUs, static neighbours and routes, as `ip -batch` takes them.
pub(super) fn ip_commands(config: &Table) -> String {
    let ports = tables(config, "port").flat_map(port);
    let neighbours = tables(config, "neighbour").map(|neighbour| {
        let (address, mac) = (text(neighbour, "address"), text(neighbour, "mac"));
        let device = device_of(config, neighbour);
        format!("neigh replace {address} lladdr {mac} nud permanent{device}")
    });
    let routes = tables(config, "route").map(|entry| route(config, entry));
    ports.chain(neighbours).chain(routes).map(|line| line + "\n").collect()
}

/// Where the kernel can do either, it does as xrouter: the strong host model (RFC 1122 3.3.4.2), and
/// what the keys of the ports and of the policy say. Answers for others wait for nothing.
pub(super) fn settings(config: &Table) -> Vec<String> {
    let ingress = config.get("policy").is_some_and(|p| text(p, "icmp_error_source") == "ingress");
    let inbound = format!("icmp_errors_use_inbound_ifaddr={}", u8::from(ingress));
    let of_all = ["arp_ignore=1", "arp_announce=2", "accept_redirects=0", "bc_forwarding=1"];
    // What a port's own setting could not take back.
    let off = ["send_redirects=0", "shared_media=0", "rp_filter=0", "proxy_arp=0"];
    let of_all = of_all.into_iter().chain(off).map(|setting| format!("conf.all.{setting}"));
    let of_ports = tables(config, "port").flat_map(|port| {
        // The kernel asks the port that a directed broadcast comes in by, not that of the subnet.
        let broadcast = tables(config, "port")
            .any(|other| other != port && is(other, "directed_broadcast") == Some(true));
        settings_of(port, broadcast)
    });
    let all = of_all.chain(of_ports).chain([inbound]);
    all.map(|setting| format!("net.ipv4.{setting}")).collect()
}

fn settings_of(port: &Value, broadcast: bool) -> Vec<String> {
    let device = text(port, "device");
    let validation = match text(port, "source_validation") {
        "strict" => 1,
        "loose" => 2,
        _ => 0,
    };
    let settings = [
        ("rp_filter", validation),
        ("send_redirects", u8::from(is(port, "redirects") != Some(false))),
        ("shared_media", 0),
        ("proxy_arp", u8::from(is(port, "proxy_arp") == Some(true))),
        ("bc_forwarding", u8::from(broadcast)),
    ];
    let settings = settings.map(|(key, value)| format!("conf.{device}.{key}={value}"));
    settings.into_iter().chain([format!("neigh.{device}.proxy_delay=0")]).collect()
}

/// Source validation for IPv6, for `nft`: the kernel has no `rp_filter` for it, but netfilter asks its
/// routes the same. What is exempt is what xrouter exempts: groups, the unspecified and link-local
/// sources, and discovery for the router itself.
pub(super) fn filter(config: &Table) -> Option<String> {
    let rules = tables(config, "port").filter_map(|port| {
        let way_back = match text(port, "source_validation") {
            "strict" => "saddr . iif",
            "loose" => "saddr",
            _ => return None,
        };
        Some(format!("iifname {} fib {way_back} oif missing drop\n", text(port, "device")))
    });
    let rules = rules.collect::<String>();
    let discovery = "icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert }";
    let filter = format!(
        "table ip6 validation {{ chain arrives {{\n\
         type filter hook prerouting priority raw\n\
         ip6 daddr ff00::/8 accept\nip6 saddr {{ ::, fe80::/10 }} accept\n\
         fib daddr type local {discovery} accept\n{rules}}}; }}"
    );
    (!rules.is_empty()).then_some(filter)
}

fn port(port: &Value) -> Vec<String> {
    let device = text(port, "device");
    let mtu = port.get("mtu").map(|mtu| format!("link set {device} mtu {mtu}"));
    let addresses = port.get("addresses").and_then(Value::as_array);
    let addresses = addresses.into_iter().flatten().filter_map(Value::as_str);
    let addresses = addresses.map(|address| format!("addr replace {address} dev {device}"));
    mtu.into_iter().chain(addresses).collect()
}

fn route(config: &Table, route: &Value) -> String {
    let to = text(route, "to");
    match (route.get("type").and_then(Value::as_str), &route.get("via")) {
        (Some(kind), _) => format!("route replace {kind} {to}"),
        (None, Some(Value::Array(ways))) => {
            let ways = ways.iter().map(|way| format!(" nexthop{}", next_hop(config, to, way)));
            format!("route replace {to}{}", ways.collect::<String>())
        }
        (None, _) => format!("route replace {to}{}", next_hop(config, to, route)),
    }
}

/// A next hop; an IPv6 one of an IPv4 route says its family (RFC 8950).
fn next_hop(config: &Table, to: &str, way: &Value) -> String {
    let via = text(way, "via");
    let family = if via.contains(':') && !to.contains(':') { " inet6" } else { "" };
    let weight = way.get("weight").map(|weight| format!(" weight {weight}")).unwrap_or_default();
    let onlink = if is(way, "onlink") == Some(true) { " onlink" } else { "" };
    format!(" via{family} {via}{}{weight}{onlink}", device_of(config, way))
}

/// The device of the port that `entry` names, if it does.
fn device_of(config: &Table, entry: &Value) -> String {
    let Some(name) = entry.get("port").and_then(Value::as_str) else { return String::new() };
    let port = tables(config, "port").find(|port| text(port, "name") == name);
    format!(" dev {}", text(port.expect("a port of this name"), "device"))
}

fn tables<'a>(config: &'a Table, name: &str) -> impl Iterator<Item = &'a Value> {
    config.get(name).and_then(Value::as_array).into_iter().flatten()
}

fn text<'a>(table: &'a Value, key: &str) -> &'a str {
    table.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn is(table: &Value, key: &str) -> Option<bool> {
    table.get(key).and_then(Value::as_bool)
}
