"""xrouter: with its workers only, and with the fast path in the XDP program."""

import json
import subprocess

from network import FAMILIES, GATEWAYS, NEIGHBOURS, ROUTER, ROUTER6, Failed

from .process import CORE, Process


class Xrouter(Process):
    """One worker, in copy mode, without the fast path."""

    name, lacks, fastpath, poll = "xrouter, fast path off", "-", "off", "busy"
    # What it has to have counted after a trial.
    counter = "transmitted"

    def launch(self):
        self.config = self.work / "router.toml"
        self.config.write_text(self.toml())
        self.start(self.programs.xrouter, "-c", self.config)
        self.wait_until(lambda: self.ask("ports").returncode == 0)

    def ask(self, *what):
        return subprocess.run([self.programs.xrouter, "show", *what, "-c", self.config, "--json"],
                              capture_output=True, text=True)

    def reload(self):
        """Have it read its configuration again."""
        socket = self.work / "xrouter.sock"
        return subprocess.run([self.programs.xrouter, "reload", "--socket", socket],
                              capture_output=True, text=True)

    def check(self):
        super().check()
        ports = json.loads(self.ask("counters").stdout)
        if not any(port.get(self.counter) for port in ports):
            raise Failed(f"{self.name}: its counters of `{self.counter}` are all 0")

    def toml(self):
        text = f'[router]\nworkers = [{CORE}]\nfastpath = "{self.fastpath}"\npoll = "{self.poll}"\n'
        text += f'[api]\nsocket = "{self.work}/xrouter.sock"\n'
        # The TCP measurements have the router itself as one end.
        text += "[police]\nother_per_s = 1000000\n"
        # Room for every table; it is not used until something is in it.
        text += "[tables]\nipv4_groups = 32767\nipv6_nodes = 262144\nipv6_skips = 1048576\n"
        text += "".join(map(port, ROUTER))
        return text + "".join(route(prefix, GATEWAYS[family]) for family in FAMILIES
                              for prefix in self.prefixes(family))


def port(card):
    name, (host, host6, mac) = card.rstrip("0"), NEIGHBOURS[card]
    text = f'[[port]]\nname = "{name}"\ndevice = "{card}"\nmode = "copy"\n'
    text += f'addresses = ["{ROUTER[card]}/24", "{ROUTER6[card]}/64"]\n'
    for address in (host, host6):
        text += f'[[neighbour]]\naddress = "{address}"\nmac = "{mac}"\nport = "{name}"\n'
    return text


def route(prefix, via):
    return f'[[route]]\nto = "{prefix}"\nvia = "{via}"\n'


class FastPath(Xrouter):
    """The XDP program forwards what is plain; the worker, with nothing to do, sleeps."""

    name, fastpath, counter = "xrouter, fast path on", "auto", "fast_path"
    poll = "adaptive"


class Adaptive(Xrouter):
    """As it is used where a core is not to be spent on waiting."""

    name, poll = "xrouter, fast path off, adaptive", "adaptive"


