"""The verdicts on the goals, from trials with known figures."""

import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

import figures
import goals
from forwarders import FastPath, Kernel, L3fwd, XdpFib
from parts import FLOOR


def forwarding(**rates):
    """Results of the part `forwarding`: two rounds of the same rate for each."""
    return {"forwarding": {("live frames", name): [{"mpps": rate}] * 2
                           for name, rate in rates.items()}}


def verdicts(results):
    return {goal.text: goal.verdict() for goal in goals.all_of(results)}


class Verdicts(unittest.TestCase):
    def test_a_part_that_did_not_run_is_not_judged(self):
        self.assertEqual(set(verdicts({}).values()), {goals.OPEN})

    def test_each_peer_has_its_own_bar(self):
        found = verdicts(forwarding(**{FLOOR: 5.0, Kernel.name: 1.0, L3fwd.name: 1.0,
                                       XdpFib.name: 2.5, FastPath.name: 3.6}))
        self.assertEqual(found["fast path: rate, of kernel"], goals.HELD)
        self.assertEqual(found["fast path: rate, of DPDK l3fwd, LPM"], goals.MISSED)
        self.assertEqual(found["fast path: rate, of XDP bpf_fib_lookup"], goals.HELD)

    def test_less_time_added_is_better(self):
        name = "fast path: time added to the floor, of kernel"
        # 200 ns are the floor; the kernel adds 800.
        for rate, wanted in ((1 / 0.29, goals.HELD), (1 / 0.31, goals.MISSED)):
            rates = {FLOOR: 5.0, Kernel.name: 1.0, FastPath.name: rate}
            self.assertEqual(verdicts(forwarding(**rates))[name], wanted)

    def test_a_trial_without_a_figure_is_no_miss_and_no_hit(self):
        results = forwarding(**{Kernel.name: 1.0})
        results["forwarding"]["live frames", FastPath.name] = [{"reason": "ended"}] * 2
        self.assertEqual(verdicts(results)["fast path: rate, of kernel"], goals.OPEN)


class Figures(unittest.TestCase):
    def test_a_ratio_is_of_trials_of_one_round(self):
        ours = [{"mpps": 2.0}, {"reason": "ended"}, {"mpps": 6.0}]
        theirs = [{"mpps": 1.0}, {"mpps": 1.0}, {"mpps": 2.0}]
        self.assertEqual(figures.ratios(ours, theirs, "mpps"), [2.0, 3.0])

    def test_disturbed_trials_count_only_if_most_are(self):
        calm, disturbed = {"mpps": 1.0}, {"mpps": 2.0, "steal": 0.5}
        self.assertEqual(figures.values([calm, disturbed], "mpps"), [1.0])
        self.assertEqual(figures.values([calm, disturbed, disturbed], "mpps"), [1.0, 2.0, 2.0])

    def test_what_remains_is_of_the_most_that_was_seen(self):
        trial = {"trials": [{"mpps": 2.0}, {"mpps": 4.0}], "overload": {"mpps": 3.0}}
        self.assertEqual(figures.remains(trial), 0.75)


if __name__ == "__main__":
    unittest.main()
