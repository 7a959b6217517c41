"""The kernel's forwarding, and an XDP program that asks the kernel where to."""

import json
import re

import network
from network import FAMILIES, GATEWAYS, NEIGHBOURS, ROUTER, ROUTER6, Failed, inside, ip, run

from .process import CORE, Forwarder


class Kernel(Forwarder):
    """ip_forward=1. On veth all of it runs on the core of the sender."""

    name, lacks = "kernel", "-"

    def __enter__(self):
        network.forwarding(True)
        for card, (host, host6, mac) in NEIGHBOURS.items():
            ip("router", "address", "add", ROUTER[card] + "/24", "dev", card)
            ip("router", "address", "add", ROUTER6[card] + "/64", "nodad", "dev", card)
            for address in (host, host6):
                ip("router", "neighbour", "replace", address, "lladdr", mac, "dev", card)
        for family in FAMILIES:
            self.load(family)
        self.forwarded_before = network.kernel_forwarded()
        return self

    def load(self, family):
        batch, via = self.work / "routes.batch", GATEWAYS[family]
        batch.write_text("".join(f"route replace {prefix} via {via}\n"
                                 for prefix in self.prefixes(family)))
        ip("router", "-batch", batch)

    def __exit__(self, *_):
        for family in ("-4", "-6"):
            ip("router", family, "route", "flush", "via", GATEWAYS[f"IPv{family[1]}"])
        for card, (_, _, mac) in NEIGHBOURS.items():
            ip("router", "address", "flush", "scope", "global", "dev", card)
            ip("router", "neighbour", "flush", "dev", card, "nud", "permanent")
        network.forwarding(False)

    def check(self):
        if network.kernel_forwarded() == self.forwarded_before:
            raise Failed("the kernel has not forwarded a packet: it was another")


class KernelThread(Kernel):
    """The same with its receiving half in a thread on the other core: two cores, as the others."""

    name = "kernel, NAPI thread"

    def __enter__(self):
        super().__enter__()
        self.thread(1)
        found = re.search(r"^ *(\d+) napi/lan0", run("ps", "-eo", "pid,comm"), re.MULTILINE)
        if not found:
            self.__exit__()
            raise Failed("this kernel has no NAPI threads")
        run("taskset", "-p", "-c", CORE, found[1])
        run("renice", -20, found[1])
        return self

    def thread(self, wanted):
        # Needs the /sys of the namespace, which `ip netns exec` mounts.
        file = "/sys/class/net/lan0/threaded"
        run("ip", "netns", "exec", network.PREFIX + "router", "sh", "-c", f"echo {wanted} > {file}")

    def __exit__(self, *exception):
        self.thread(0)
        super().__exit__(*exception)


class XdpFib(Kernel):
    """An XDP program that asks the kernel's table: it needs the kernel's forwarding on."""

    name = "XDP bpf_fib_lookup"
    lacks = "no checksum check, no ICMP, no counters: what is not plain goes to the kernel"

    def __enter__(self):
        super().__enter__()
        for card in ROUTER:
            ip("router", "link", "set", "dev", card, "xdpdrv", "obj", self.programs.xdp_fib,
               "sec", "xdp")
        # After both are there: a card needs a program for another's map to lead to it.
        for card in ROUTER:
            self.fill(card)
        self.forwarded_before = network.kernel_forwarded()
        return self

    def fill(self, card):
        """Both cards into the map of the program at this card."""
        program = json.loads(ip("router", "-j", "link", "show", card))[0]["xdp"]["prog"]["id"]
        maps = json.loads(run("bpftool", "-j", "prog", "show", "id", program))["map_ids"]
        for other in ROUTER:
            link = json.loads(ip("router", "-j", "link", "show", other))[0]
            key = [str(octet) for octet in link["ifindex"].to_bytes(4, "little")]
            run(*inside("router", "bpftool", "map", "update", "id", maps[0], "key", *key,
                        "value", *key))

    def check(self):
        if passed := network.kernel_forwarded() - self.forwarded_before:
            raise Failed(f"{passed} packets went to the kernel instead")

    def __exit__(self, *exception):
        for card in ROUTER:
            ip("router", "link", "set", "dev", card, "xdpdrv", "off")
        super().__exit__(*exception)
