"""Runs the trials of scripts/bench, round by round, and reports them."""

import argparse
import json
import os
import pathlib
import platform
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True

import adversary
import measure
import network
import report
from forwarders import BareLoop, Kernel, KernelThread, Xrouter
from network import Failed

SENDERS = {"live frames": "live", "packet socket": "socket"}
CABLE = "(none: a cable)"
PARTS = ("forwarding", "adversary", "tcp", "ping", "idle")


class Plan:
    """How many rounds of what length."""

    def __init__(self, quick):
        self.rounds, self.seconds, self.warm_up = (3, 1, 0.3) if quick else (7, 2, 0.5)
        self.tcp_rounds, self.tcp_seconds = (2, 1) if quick else (3, 2)
        self.ping_rounds, self.pings = (3, 100) if quick else (3, 500)
        # The bare loop twice shows what two equal forwarders differ by.
        self.all_forwarders = not quick


class Bench:
    def __init__(self, options, work):
        self.programs, self.work = options, work
        self.plan, self.parts = Plan(options.quick), options.only or PARTS
        self.start, self.all_trials = time.monotonic(), []

    def trial(self, into, title, key, unit, run):
        """One trial: into the list, and a line for the one who waits."""
        try:
            result = run()
            said = f"{result[key]:8.2f} {unit}"
        except (Failed, OSError, subprocess.SubprocessError) as reason:
            result, said = {"reason": str(reason)}, f"no figure: {reason}"
        into.append(result)
        self.all_trials.append(result)
        mark = "   disturbed" if report.disturbed(result) else ""
        elapsed = time.monotonic() - self.start
        print(f"  {elapsed:4.0f} s  {title:52} {said}{mark}", file=sys.stderr, flush=True)

    def router(self, poll="busy"):
        return Xrouter(self.programs.xrouter, self.work, poll)

    def forwarders(self):
        bare = [BareLoop(self.programs.bare_loop, self.work) for _ in range(2)]
        bare[1].name += ", again"
        if self.plan.all_forwarders:
            return [Kernel(), KernelThread(), bare[0], self.router(), bare[1]]
        return [Kernel(), bare[0], self.router()]

    def forwarding(self):
        results = {}
        for n in range(self.plan.rounds):
            self.new_network()
            network.napi(True)
            for sender in SENDERS:
                forwarders = [None, *self.forwarders()]
                empty = {f.name if f else CABLE: [] for f in forwarders}
                by_name = results.setdefault(sender, empty)
                # There and back again: what drifts does not favour the first.
                for forwarder in forwarders[:: -1 if n % 2 else 1]:
                    self.rate(by_name, sender, forwarder, n)
        return results

    def rate(self, by_name, sender, forwarder, n):
        name = forwarder.name if forwarder else CABLE
        plan, generator = self.plan, self.programs.generator

        def run():
            arguments = (generator, SENDERS[sender], forwarder, plan.warm_up, plan.seconds)
            if not forwarder:
                return measure.rate(*arguments)
            with forwarder:
                return measure.rate(*arguments)

        title = f"round {n + 1} of {plan.rounds}: {sender}, {name}"
        self.trial(by_name[name], title, "mpps", "Mpps", run)

    def adversary(self):
        results = {flow: {case: [] for case in adversary.CASES} for flow in adversary.FLOWS}
        for n in range(self.plan.rounds):
            self.new_network()
            network.napi(True)
            for flow, by_case in results.items():
                for case in list(by_case)[:: -1 if n % 2 else 1]:
                    self.attack(by_case, flow, case, n)
        return results

    def attack(self, by_case, flow, case, n):
        plan, programs = self.plan, self.programs
        is_large, spread = adversary.CASES[case]
        traffic = adversary.FLOWS[flow]._replace(spread=spread)
        router = adversary.Attacked(programs.xrouter, self.work, adversary.routes(flow, is_large))

        def run():
            with router:
                return measure.rate(programs.generator, "live", router, plan.warm_up, plan.seconds,
                                    traffic)

        title = f"round {n + 1} of {plan.rounds}: {flow}, {case}"
        self.trial(by_case[case], title, "mpps", "Mpps", run)

    def tcp(self):
        results = {state: {path: {"kernel": [], "xrouter": []} for path in measure.PATHS}
                   for state in ("on", "off")}
        for n in range(self.plan.tcp_rounds):
            self.new_network()
            for state in results:
                network.offloads(state == "on")
                pair = [Kernel(), self.router("adaptive")]
                for forwarder in pair[:: -1 if n % 2 else 1]:
                    self.tcp_paths(results[state], state, forwarder)
        return results

    def tcp_paths(self, paths, state, forwarder):
        def run(path):
            with forwarder:
                return measure.tcp(path, self.plan.tcp_seconds)

        for path, by_name in paths.items():
            title = f"TCP, offloads {state}, {path}, {forwarder.name}"
            self.trial(by_name[forwarder.name], title, "gbps", "Gbit/s", lambda: run(path))

    def ping(self):
        names = {"kernel": Kernel, "xrouter, adaptive": lambda: self.router("adaptive"),
                 "xrouter, busy": lambda: self.router("busy")}
        results = {name: [] for name in names}

        def run(forwarder):
            with forwarder:
                return measure.ping(self.plan.pings)

        for n in range(self.plan.ping_rounds):
            self.new_network()
            for name in list(names)[:: -1 if n % 2 else 1]:
                forwarder = names[name]()
                self.trial(results[name], f"ping, {name}", "median_us", "us",
                           lambda: run(forwarder))
        return results

    def idle(self):
        results, seconds = [], 10
        self.new_network()

        def run():
            with self.router("adaptive") as router:
                return {"seconds": seconds, **measure.idle(router.pid, seconds)}

        self.trial(results, f"idle, {seconds} s", "share", "of a core", run)
        return results

    def new_network(self):
        network.down()
        network.up()

    def run(self):
        return {part: getattr(self, part)() for part in self.parts}


def facts():
    processor = re.search(r"model name\s*:\s*(.*)", pathlib.Path("/proc/cpuinfo").read_text())
    git = ["git", "-C", pathlib.Path(__file__).parent, "describe", "--always", "--dirty"]
    version = ""
    if shutil.which("git"):
        version = subprocess.run(git, capture_output=True, text=True).stdout
    return {"processor": processor[1] if processor else platform.machine(), "cores": os.cpu_count(),
            "kernel": platform.release(), "load": round(os.getloadavg()[0], 2),
            "version": version.strip() or "unknown", "date": time.strftime("%F %T %z")}


def arguments():
    parser = argparse.ArgumentParser(prog="scripts/bench", description="xrouter beside a bare "
                                     "AF_XDP loop and the kernel, on this machine, in network "
                                     "namespaces.")
    parser.add_argument("--quick", action="store_true", help="fewer and shorter trials: 3 minutes")
    parser.add_argument("--only", action="append", choices=PARTS, help="this part; may be repeated")
    parser.add_argument("--json", metavar="FILE", help="every trial, for programs")
    parser.add_argument("--markdown", metavar="FILE",
                        help="the tables in Markdown; -: standard output")
    for program in ("xrouter", "bare-loop", "generator"):
        parser.add_argument(f"--{program}", required=True, help=argparse.SUPPRESS)
    return parser.parse_args()


def write(options, before, trials, results):
    heading = report.machine(before, trials)
    tables = [getattr(report, part)(result) for part, result in results.items()]
    verdict = report.verdict(results.get("forwarding", {}))
    verdict += report.withstood(results.get("adversary", {}))
    print("\n" + "\n".join([heading, *(table.text() for table in tables), verdict]))
    if options.json:
        everything = {"machine": before, **results}
        pathlib.Path(options.json).write_text(json.dumps(everything, indent=1) + "\n")
    if options.markdown:
        quoted = "```text\n" + heading + "```\n"
        text = "\n".join([quoted, *(table.markdown() for table in tables), verdict])
        print(text) if options.markdown == "-" else pathlib.Path(options.markdown).write_text(text)


def main():
    options, before = arguments(), facts()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory(prefix="xrbench.") as work:
        bench = Bench(options, pathlib.Path(work))
        try:
            results = bench.run()
        except KeyboardInterrupt:
            sys.exit(130)
        except Failed as reason:
            sys.exit(f"scripts/bench: {reason}")
        finally:
            network.down()
    write(options, before, bench.all_trials, results)
    sys.exit(any("reason" in trial for trial in bench.all_trials))


main()
