"""DPDK over AF_XDP: testpmd, l3fwd and l3fwd-graph of Debian's packages, without huge pages."""

from network import FAMILIES, MACS, ROUTER

from .process import CORE, Process

# For the largest tables; without huge pages none of it is taken before it is used.
MEMORY_MB = 2048
# Both cards' rings of 2048 and what is on its way; by itself testpmd takes 155,000.
BUFFERS = 16384


def environment(cores):
    """The options of DPDK's environment: both cards in copy mode, as everybody here has them."""
    cards = [("--vdev", f"net_af_xdp{n},iface={card},force_copy=1")
             for n, card in enumerate(ROUTER)]
    return ["-l", cores, "--no-huge", "-m", MEMORY_MB, "--no-pci", "--no-telemetry",
            *(word for card in cards for word in card)]


class Dpdk(Process):
    install = "apt-get install dpdk dpdk-dev libdpdk-dev dpdk-doc"
    needs = "dpdk-testpmd"

    def hosts(self):
        """The MAC address that each card sends to."""
        return [MACS[role, "eth0"] for role in ("lan", "wan")]


class Testpmd(Dpdk):
    """What DPDK's driver can do: packets from one card to the other with new MAC addresses."""

    name, keeps_ttl, takes_tables = "DPDK testpmd, mac", FAMILIES, False
    lacks = "no lookup, no TTL, no check of any kind"

    def launch(self):
        peers = [f"--eth-peer={n},{mac}" for n, mac in enumerate(self.hosts())]
        # The first core only shows statistics, now and then: without them it ends with its input.
        self.start_until("Port statistics", "stdbuf", "-oL", self.needs, *environment(f"0,{CORE}"),
                         "--", "--forward-mode=mac", "--auto-start", "--stats-period=600",
                         "--disable-link-check", "--no-mlockall",
                         f"--total-num-mbufs={BUFFERS}", *peers)


class L3fwd(Dpdk):
    """The example that DPDK is measured by, with its longest-prefix match."""

    name = "DPDK l3fwd, LPM"
    lacks = "no TTL check (IPv6: not even counted down), no checksum check, no ARP, no ICMP"
    keeps_ttl = ("IPv6",)
    program, cores = "l3fwd", CORE

    def launch(self):
        peers = [f"--eth-dest={n},{mac}" for n, mac in enumerate(self.hosts())]
        self.start_until("ntering main loop", getattr(self.programs, self.program),
                         *environment(self.cores), "--", "-p", "0x3", "-P",
                         f"--config=(0,0,{CORE}),(1,0,{CORE})", *peers, *self.options())

    def options(self):
        return ["--parse-ptype", *(f"--rule_{family.lower()}={self.rules(family)}"
                                   for family in FAMILIES)]

    def rules(self, family):
        """All to the second card. It does not take a route for everything."""
        file = self.work / f"l3fwd-{family}.rules"
        file.write_text("".join(f"R{prefix} 1\n" for prefix in self.prefixes(family)
                                if not prefix.endswith("/0")))
        return file


class L3fwdGraph(L3fwd):
    """The same over DPDK's graph library; its routes are in its text (benches/dpdk/build)."""

    name, program = "DPDK l3fwd-graph", "l3fwd_graph"
    # The first sleeps: it wants one for its statistics.
    cores = f"0,{CORE}"
    families, takes_tables = ("IPv4",), False
    lacks = "IPv4 only, eight routes in its text, no ARP, no ICMP"

    def options(self):
        return []
