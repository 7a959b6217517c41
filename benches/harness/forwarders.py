"""What is compared. Each is a context: entered, it forwards; left, the namespace is as before."""

import os
import pathlib
import signal
import subprocess
import time

import network
from network import (FAR, HOSTS, HOSTS6, MACS, NEIGHBOURS, ROUTER, ROUTER6, Failed, inside, ip,
                     run, urgent)

# The core of everything that is not in the sender's interrupt.
CORE = 1


class Process:
    """A program in the router's namespace that ends with its context."""

    def __init__(self, name, log):
        self.name, self.log, self.process = name, log, None

    def start(self, *words):
        with open(self.log, "w") as log:
            self.process = urgent("router", *words, stdout=log, stderr=log,
                                  stdin=subprocess.DEVNULL,
                                  env=os.environ | {"RUST_BACKTRACE": "0"})

    def wait_until(self, ready):
        deadline = time.monotonic() + 30
        while not ready():
            if self.process.poll() is not None or time.monotonic() > deadline:
                why = self.last_words()
                self.__exit__()
                raise Failed(f"{self.name} did not start: {why}")
            time.sleep(0.05)

    def last_words(self):
        said = pathlib.Path(self.log).read_text(errors="replace").split()
        return " ".join(said)[-200:] or "it says nothing"

    @property
    def pid(self):
        return self.process.pid

    def check(self):
        """A forwarder that ended would let another have its figure."""
        if self.process.poll() is not None:
            raise Failed(f"{self.name} ended: {self.last_words()}")

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Kernel:
    """ip_forward=1. On veth all of it runs on the core of the sender."""

    name, ttl, pid = "kernel", 63, None

    def __enter__(self):
        run(*inside("router", "sysctl", "-q", "-w", "net.ipv4.ip_forward=1"))
        for device, address in ROUTER.items():
            ip("router", "address", "add", address + "/24", "dev", device)
            neighbour, mac = NEIGHBOURS[device]
            ip("router", "neighbour", "replace", neighbour, "lladdr", mac, "dev", device)
        ip("router", "route", "replace", FAR, "via", HOSTS["wan"])
        return self

    def __exit__(self, *_):
        ip("router", "route", "flush", FAR)
        for device in ROUTER:
            ip("router", "address", "flush", "dev", device)
            ip("router", "neighbour", "flush", "dev", device)
        run(*inside("router", "sysctl", "-q", "-w", "net.ipv4.ip_forward=0"))

    def check(self):
        pass


class KernelThread(Kernel):
    """The same with its receiving half in a thread on the other core: two cores, as the others."""

    name = "kernel, NAPI thread"

    def __enter__(self):
        super().__enter__()
        self.thread(1)
        for line in run("ps", "-eo", "pid,comm").splitlines():
            pid, name = line.split(None, 1)
            if name.startswith("napi/lan0"):
                run("taskset", "-p", "-c", CORE, pid)
                run("renice", -20, pid)
                return self
        self.__exit__()
        raise Failed("this kernel has no NAPI threads")

    def thread(self, wanted):
        # Needs the /sys of the namespace, which `ip netns exec` mounts.
        file = "/sys/class/net/lan0/threaded"
        run("ip", "netns", "exec", network.PREFIX + "router", "sh", "-c", f"echo {wanted} > {file}")

    def __exit__(self, *exception):
        self.thread(0)
        super().__exit__(*exception)


class BareLoop(Process):
    """AF_XDP and nothing else: new MAC addresses, no lookup, no TTL, no checksum."""

    # It does not route, so the TTL arrives as it was sent.
    name, ttl = "bare AF_XDP loop", 64

    def __init__(self, program, work):
        super().__init__(self.name, work / "bare-loop.log")
        self.program = program

    def __enter__(self):
        macs = MACS["router", "wan0"], MACS["wan", "eth0"]
        self.start(self.program, CORE, "lan0", "wan0", *macs)
        self.wait_until(lambda: "ready" in pathlib.Path(self.log).read_text())
        return self


class Xrouter(Process):
    """xrouter with one worker, in copy mode, without the fast path in the XDP program."""

    name, ttl = "xrouter", 63

    def __init__(self, program, work, poll):
        super().__init__(self.name, work / "xrouter.log")
        self.program, self.config = program, work / "router.toml"
        self.text = self.toml(work / "xrouter.sock", poll)

    @staticmethod
    def toml(socket, poll):
        text = f'[router]\nworkers = [{CORE}]\nfastpath = "off"\npoll = "{poll}"\n'
        text += f'[api]\nsocket = "{socket}"\n'
        # The TCP measurements have the router itself as one end.
        text += "[police]\nother_per_s = 1000000\n"
        for device, address in ROUTER.items():
            name = device.rstrip("0")
            neighbour, mac = NEIGHBOURS[device]
            text += f'[[port]]\nname = "{name}"\ndevice = "{device}"\nmode = "copy"\n'
            text += f'addresses = ["{address}/24", "{ROUTER6[device]}/64"]\n'
            for host in (neighbour, HOSTS6[name]):
                text += f'[[neighbour]]\naddress = "{host}"\nmac = "{mac}"\nport = "{name}"\n'
        return text + f'[[route]]\nto = "{FAR}"\nvia = "{HOSTS["wan"]}"\n'

    def __enter__(self):
        self.config.write_text(self.text)
        self.start(self.program, "-c", self.config)
        self.wait_until(self.answers)
        return self

    def answers(self):
        show = [self.program, "show", "ports", "-c", self.config]
        return subprocess.run(show, capture_output=True).returncode == 0
