"""The search for the best rates, against a forwarder of which they are known."""

import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

import search


class Model:
    """Loses nothing up to `clean`, a little up to `capacity`, and all that is above; can be sent
    no more than `sender`."""

    def __init__(self, capacity, clean=None, sender=6e6, collapse=1.0):
        self.capacity, self.clean, self.sender = capacity, clean or capacity, sender
        self.collapse, self.asked = collapse, []

    def __call__(self, rate, seconds):
        self.asked.append((rate, seconds))
        offered = min(rate or self.sender, self.sender)
        loss = 0.001 if offered > self.clean else 0
        if offered > self.capacity:
            loss = 1 - self.capacity * self.collapse / offered
        return {"offered_pps": offered, "loss": loss, "steal": 0, "waited": 0}


class Search(unittest.TestCase):
    def best(self, model):
        trials = search.trials(model, 1)
        return [search.best(trials, goal / 100) for goal in search.GOALS]

    def near(self, found, known, share=0.03):
        self.assertLessEqual(found, known * 1.006)
        self.assertGreaterEqual(found, known * (1 - share))

    def test_capacity_is_found_whatever_it_is(self):
        for capacity in (5e4, 3.3e5, 9.3e5, 2.9e6, 5.5e6):
            for found in self.best(Model(capacity)):
                self.near(found, capacity)

    def test_each_goal_has_a_rate_of_its_own(self):
        little, none = self.best(Model(1e6, clean=9e5))
        self.near(little, 1e6)
        self.near(none, 9e5, 0.06)

    def test_a_forwarder_that_collapses_under_overload_is_not_thought_slow(self):
        for found in self.best(Model(1e6, collapse=0.3)):
            self.near(found, 1e6, 0.08)

    def test_the_sender_may_be_the_limit(self):
        model = Model(9e6)
        self.assertEqual(self.best(model), [6e6, 6e6])
        self.assertEqual(model.asked, [(None, 0.5), (None, 1)])

    def test_no_more_trials_than_allowed_and_the_last_ones_are_long(self):
        model = Model(9.3e5, clean=7e5)
        self.best(model)
        self.assertLessEqual(len(model.asked), search.TRIALS)
        self.assertEqual(model.asked[0], (None, 0.5))
        self.assertEqual(model.asked[-1][1], 1)

    def test_nothing_is_found_where_all_is_lost(self):
        self.assertEqual(self.best(Model(1)), [0, 0])

    def test_what_a_disturbed_trial_lost_is_tried_again(self):
        model = Model(1e6)
        disturbed = iter([False, True])

        def run(rate, seconds):
            result = model(rate, seconds)
            if next(disturbed, False):
                result |= {"loss": 0.2, "steal": 0.05}
            return result

        for found in self.best(run):
            self.near(found, 1e6)
        self.assertEqual(model.asked[1], model.asked[2])

    def test_what_passes_above_a_loss_does_not_count(self):
        done = [{"rate": rate, "loss": loss, "seconds": 1}
                for rate, loss in ((100, 0), (200, 0.1), (300, 0))]
        self.assertEqual(search.best(done, 0), 100)


if __name__ == "__main__":
    unittest.main()
