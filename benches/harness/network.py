"""The network of the benchmark: two hosts, and between them the place of the forwarder.

    xrbench-lan            xrbench-router            xrbench-wan
    eth0 ----------------- lan0      wan0 ----------- eth0
    10.1.0.2               (10.1.0.1)(10.2.0.1)       10.2.0.2
    fd01::2                (fd01::1) (fd02::1)        fd02::2
    direct0 ----------------------------------------- direct1

The forwarder's cards have no addresses until the kernel is the forwarder. `direct` is the cable
that says what sender and sink can do without a forwarder.
"""

import pathlib
import subprocess

PREFIX = "xrbench-"
ROLES = ("lan", "router", "wan")
MACS = {
    ("lan", "eth0"): "02:00:00:00:01:02",
    ("router", "lan0"): "02:00:00:00:01:01",
    ("router", "wan0"): "02:00:00:00:02:01",
    ("wan", "eth0"): "02:00:00:00:02:02",
    ("lan", "direct0"): "02:00:00:00:04:01",
    ("wan", "direct1"): "02:00:00:00:04:02",
}
# What is connected through the middle, from the hosts' and from the middle's side.
CARDS = (("lan", "eth0"), ("wan", "eth0"), ("router", "lan0"), ("router", "wan0"))
HOSTS = {"lan": "10.1.0.2", "wan": "10.2.0.2"}
ROUTER = {"lan0": "10.1.0.1", "wan0": "10.2.0.1"}
HOSTS6 = {"lan": "fd01::2", "wan": "fd02::2"}
ROUTER6 = {"lan0": "fd01::1", "wan0": "fd02::1"}
# What each card of the middle can reach without asking: (IPv4, IPv6, MAC).
NEIGHBOURS = {card: (HOSTS[role], HOSTS6[role], MACS[role, "eth0"])
              for card, role in (("lan0", "lan"), ("wan0", "wan"))}
FAMILIES = ("IPv4", "IPv6")
# The way out of the middle, and a network behind it: where the test packets go.
GATEWAYS = {"IPv4": HOSTS["wan"], "IPv6": HOSTS6["wan"]}
FAR = {"IPv4": "10.3.0.0/24", "IPv6": "fd03::/32"}


class Failed(Exception):
    """Something that the user should read, in one line."""


def run(*words):
    """Run a command that has to succeed; its output."""
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True)
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise Failed(f"{' '.join(map(str, words))}: {said[-1] if said else done.returncode}")
    return done.stdout


def inside(role, *words):
    """The words of a command that runs in a namespace. Not `ip netns exec`: it mounts a /sys."""
    return ["nsenter", f"--net=/run/netns/{PREFIX}{role}", "--", *map(str, words)]


def urgent(role, *words, **options):
    """Start a program that what else runs on the machine shall not take its core from.

    Its own session, so that Ctrl-C ends the harness and the harness ends it, and so that its
    scheduling group, where the kernel makes one for each session, can be put first too."""
    words = inside(role, "nice", "-n", "-20", *words)
    process = subprocess.Popen(words, start_new_session=True, **options)
    group = pathlib.Path(f"/proc/{process.pid}/autogroup")
    if group.exists():
        group.write_text("-20")
    return process


def ip(role, *words):
    return run("ip", "-n", PREFIX + role, *words)


def settings(role, **values):
    words = [f"net.{key}={value}" for key, value in values.items()]
    run(*inside(role, "sysctl", "-q", "-w", *words))


def forwarding(wanted):
    """Only a forwarder that needs it switches it on: else the kernel would stand in for others."""
    settings("router", **{"ipv4.ip_forward": int(wanted), "ipv6.conf.all.forwarding": int(wanted)})


def kernel_forwarded():
    """Packets that the kernel in the middle has forwarded."""
    read = run(*inside("router", "cat", "/proc/net/snmp", "/proc/net/snmp6"))
    names, numbers = (line.split() for line in read.splitlines() if line.startswith("Ip: "))
    sixth = next(line.split()[1] for line in read.splitlines() if "Ip6OutForwDatagrams" in line)
    return int(dict(zip(names, numbers))["ForwDatagrams"]) + int(sixth)


def up():
    for role in ROLES:
        run("ip", "netns", "add", PREFIX + role)
        ip(role, "link", "set", "lo", "up")
        if role != "router":
            settings(role, **{"ipv6.conf.all.disable_ipv6": 1, "ipv6.conf.default.disable_ipv6": 1})
    forwarding(False)
    link("lan", "eth0", "router", "lan0")
    link("wan", "eth0", "router", "wan0")
    link("lan", "direct0", "wan", "direct1")
    for role, device in (("lan", "lan0"), ("wan", "wan0")):
        ip(role, "address", "add", HOSTS[role] + "/24", "dev", "eth0")
        ip(role, "route", "add", "default", "via", ROUTER[device])
        mac = MACS["router", device]
        ip(role, "neighbour", "add", ROUTER[device], "lladdr", mac, "dev", "eth0")


def link(role, device, other, peer):
    """A veth pair of one queue: native XDP wants as many to receive as its peer has to transmit."""
    queues = ["numtxqueues", "1", "numrxqueues", "1"]
    near = [device, "address", MACS[role, device], *queues]
    far = [peer, "address", MACS[other, peer], "netns", PREFIX + other, *queues]
    ip(role, "link", "add", *near, "type", "veth", "peer", "name", *far)
    ip(role, "link", "set", device, "up")
    ip(other, "link", "set", peer, "up")


def gro(*cards):
    """Switch GRO on, and NAPI with it: a frame without an skb can only be sent to a veth that has
    NAPI. Works once the card is up."""
    for role, device in cards:
        run(*inside(role, "ethtool", "-K", device, "gro", "on"))


def napi(program):
    """NAPI for the hosts' cards without GRO: an XDP program that passes everything."""
    for role, device in CARDS[:2]:
        ip(role, "link", "set", "dev", device, "xdpdrv", "obj", program, "sec", "xdp/host")


OFFLOADS = ("rx", "tx", "sg", "tso", "gso", "gro")
# What a new veth has: GRO is off, since NAPI is.
DEFAULTS = {name: "off" if name == "gro" else "on" for name in OFFLOADS}


def offloads(wanted):
    """All hosts and cards as a new veth is, or without any offload, as between real cards."""
    for role, device in CARDS:
        values = [word for name in OFFLOADS for word in (name, DEFAULTS[name] if wanted else "off")]
        # Not all that is asked for can be changed while an XDP program is there.
        subprocess.run(inside(role, "ethtool", "-K", device, *values), capture_output=True)


def down():
    for role in ROLES:
        if not pathlib.Path("/run/netns", PREFIX + role).exists():
            continue
        pids = run("ip", "netns", "pids", PREFIX + role).split()
        subprocess.run(["kill", "-9", *pids], capture_output=True)
        run("ip", "netns", "del", PREFIX + role)
