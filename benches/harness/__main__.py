"""Runs the trials of scripts/bench, round by round, and reports them."""

import argparse
import pathlib
import signal
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True

import forwarders
import network
import output
import parts
import routes
from network import Failed
from progress import Progress


class Bench:
    """What all parts use, and their trials: part -> (scene, forwarder) -> a trial of each round."""

    def __init__(self, options, work):
        self.programs, self.work, self.is_quick = options, work, options.quick
        self.one_route = routes.one(work)
        self.tables = [routes.Table(file, work) for file in options.table]
        chosen = [part for part in parts.ALL if not options.only or part.name in options.only]
        self.parts = [part(self) for part in ([parts.Smoke] if options.smoke else chosen)]

    def installed(self, wanted):
        return [forwarder for forwarder in wanted if not forwarder.missing()]

    def run(self):
        # A part's first round says what the others are.
        planned = {part: part.jobs() for part in self.parts}
        seconds = sum(part.rounds * sum(job.seconds for job in jobs)
                      for part, jobs in planned.items())
        with Progress(seconds) as progress:
            return {part: self.run_part(part, jobs, progress) for part, jobs in planned.items()}

    def run_part(self, part, jobs, progress):
        results = {(job.scene, name(job)): [] for job in jobs}
        for n in range(part.rounds):
            network.down()
            network.up()
            part.prepare()
            # There and back again: what drifts does not favour the first.
            for job in jobs[:: -1 if n % 2 else 1]:
                progress.begin(f"{part.name}, round {n + 1} of {part.rounds}: "
                               f"{job.scene}, {name(job)}")
                trial = self.trial(job)
                results[job.scene, name(job)].append(trial)
                progress.end(trial, part, job.seconds)
        return results

    def trial(self, job):
        """The figure, or the reason why there is none."""
        try:
            if not job.forwarder:
                return job.run(None)
            with job.forwarder(self.programs, self.work, job.routes, job.family) as running:
                return job.run(running)
        except (Failed, OSError, subprocess.SubprocessError) as reason:
            first, *_ = str(reason).splitlines() or [repr(reason)]
            return {"reason": first}


def name(job):
    return job.forwarder.name if job.forwarder else parts.FLOOR


def arguments():
    parser = argparse.ArgumentParser(
        prog="scripts/bench", description="xrouter beside the kernel, XDP, bare AF_XDP and DPDK, "
        "on this machine, in network namespaces.")
    parser.add_argument("where", nargs="?", choices=["veth"], default="veth",
                        help="what cards: veth pairs of its own")
    parser.add_argument("--quick", action="store_true", help="fewer and shorter trials")
    parser.add_argument("--smoke", action="store_true",
                        help="only whether every forwarder forwards; less than two minutes")
    parser.add_argument("--only", action="append", choices=[part.name for part in parts.ALL],
                        help="this part; may be repeated")
    parser.add_argument("--table", type=pathlib.Path, metavar="FILE", action="append", default=[],
                        help="routes for the part `table`, a prefix at the beginning of each line, "
                        "instead of tables like the Internet's; one for IPv4 and one for IPv6")
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="every trial")
    parser.add_argument("--markdown", metavar="FILE",
                        help="the tables in Markdown; -: standard output")
    parser.add_argument("--svg", type=pathlib.Path, metavar="DIR", help="plots of rate and latency")
    for program in ("xrouter", "bare-loop", "generator", "xdp-fib", "l3fwd", "l3fwd-graph"):
        parser.add_argument(f"--{program}", required=True, help=argparse.SUPPRESS)
    return parser.parse_args()


def main():
    options, before = arguments(), output.facts()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory(prefix="xrbench.") as work:
        try:
            results = Bench(options, pathlib.Path(work)).run()
        except KeyboardInterrupt:
            sys.exit(130)
        except Failed as reason:
            sys.exit(f"scripts/bench: {reason}")
        finally:
            network.down()
    output.write(options, before, results)
    sys.exit(any("reason" in trial for trial in output.trials(results)))


main()
