"""What every forwarder that is a program has in common."""

import os
import pathlib
import shutil
import signal
import subprocess
import time

import network
from network import ROUTER, Failed, inside, run, urgent

# The core of everything that is not in the sender's interrupt.
CORE = 1
# A million routes take some of them this long.
START_S = 240
# What the generator sends with.
SENT_TTL = 64


class Forwarder:
    """A context: entered, it forwards; left, the namespace is as before.

    Also what the report says of it. `routes`: the file of prefixes of each family; all lead to the
    host of the wan."""

    name, families, pid = "", network.FAMILIES, None
    # What it does not do, for the reader of its figure; the families whose TTL it leaves alone.
    lacks, keeps_ttl = "", ()
    # Does it look anything up in a table of our choice?
    takes_tables = True
    # A program it needs, and how to get that.
    needs, install = None, ""

    def __init__(self, programs, work, routes, family="IPv4"):
        self.programs, self.work, self.routes = programs, work, routes
        self.ttl = SENT_TTL - (family not in self.keeps_ttl)

    @classmethod
    def missing(cls):
        """Why it cannot run here; empty: it can."""
        there = cls.needs is None or shutil.which(cls.needs)
        return "" if there else f"not installed: {cls.install}"

    def prefixes(self, family):
        return pathlib.Path(self.routes[family]).read_text().split()


class Process(Forwarder):
    """A program in the router's namespace that ends with its context."""

    process = None

    @property
    def log(self):
        return self.work / "forwarder.log"

    @property
    def pid(self):
        return self.process.pid

    def __enter__(self):
        self.forwarded_before = network.kernel_forwarded()
        self.launch()
        return self

    def start(self, *words):
        with open(self.log, "w") as log:
            self.process = urgent("router", *words, stdout=log, stderr=log,
                                  stdin=subprocess.DEVNULL,
                                  env=os.environ | {"RUST_BACKTRACE": "0"})

    def start_until(self, word, *words):
        """Start it; it is ready once it has said so."""
        self.start(*words)
        self.wait_until(lambda: word in self.log.read_text(errors="replace"))

    def wait_until(self, ready):
        deadline = time.monotonic() + START_S
        while not ready():
            if self.process.poll() is not None or time.monotonic() > deadline:
                why = self.last_words()
                self.__exit__()
                raise Failed(f"{self.name} did not start: {why}")
            time.sleep(0.05)

    def last_words(self):
        said = self.log.read_text(errors="replace").split()
        return " ".join(said)[-200:] or "it says nothing"

    def check(self):
        """After a trial: neither has it ended, nor has the kernel forwarded in its place."""
        if self.process.poll() is not None:
            raise Failed(f"{self.name} ended: {self.last_words()}")
        if stood_in := network.kernel_forwarded() - self.forwarded_before:
            raise Failed(f"the kernel forwarded {stood_in} packets in place of {self.name}")

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        # DPDK leaves its XDP program behind when it is not given the time to end.
        for card in ROUTER:
            subprocess.run(inside("router", "ip", "link", "set", "dev", card, "xdp", "off"),
                           capture_output=True)
        wait_for_queues()


def wait_for_queues():
    """The kernel frees the queues of AF_XDP a while after their process has ended; until then the
    next one finds them in use."""
    deadline = time.monotonic() + 5
    while run(*inside("router", "ss", "-H", "--xdp")).strip():
        if time.monotonic() > deadline:
            raise Failed("an AF_XDP socket is left in the router's namespace")
        time.sleep(0.02)
