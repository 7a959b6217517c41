"""The least that a forwarder over AF_XDP can do."""

from network import FAMILIES, MACS

from .process import CORE, Process


class BareLoop(Process):
    """AF_XDP and nothing else: new MAC addresses, no lookup, no TTL, no checksum."""

    name, keeps_ttl, takes_tables = "bare AF_XDP loop", FAMILIES, False
    lacks = "no lookup, no TTL, no check of any kind, one direction"

    def launch(self):
        macs = MACS["router", "wan0"], MACS["wan", "eth0"]
        self.start_until("ready", self.programs.bare_loop, CORE, "lan0", "wan0", *macs)


class BareLoopAgain(BareLoop):
    """The same a second time: what the two differ by is noise."""

    name = "bare AF_XDP loop, again"
