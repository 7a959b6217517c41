"""Figures from what the sink counted."""

import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

import measure
from network import Failed


def counted(time, received, following, lost=0, histogram=(), **others):
    """What the sink says."""
    return {"time": time, "received": received, "octets": received * 60, "next": following,
            "lost": lost, "reordered": 0, "duplicated": 0, "latency_ns": list(histogram),
            "wrong": {"TTL": 0, "checksum": 0}, **others}


START = counted(1, 1000, 1100, lost=100, histogram=[[50, 1000]])
END = counted(3, 5000, 5200, lost=200, histogram=[[50, 1000], [1000, 3990], [9000, 10]])


class Figures(unittest.TestCase):
    def test_what_was_lost_in_the_warm_up_does_not_count(self):
        figures = measure.figures(START, END, END, 5200)
        self.assertEqual(figures["loss"], 100 / 4100)
        self.assertEqual((figures["sent"], figures["received"]), (4100, 4000))
        self.assertEqual((figures["offered_pps"], figures["mpps"]), (2050, 0.002))

    def test_what_was_sent_last_and_never_came_is_lost_too(self):
        self.assertEqual(measure.figures(START, END, END, 6200)["loss"], 1100 / 5100)

    def test_what_comes_after_the_end_is_not_lost(self):
        last = counted(3.1, 5100, 5300, lost=200, histogram=[])
        figures = measure.figures(START, END, last, 5300)
        self.assertEqual((figures["loss"], figures["mpps"]), (100 / 4200, 0.002))

    def test_a_forwarder_that_corrupts_has_no_figure(self):
        last = counted(3, 5000, 5200, wrong={"TTL": 2, "checksum": 0})
        with self.assertRaisesRegex(Failed, "corrupts: 2 frames' TTL"):
            measure.figures(START, END, last, 5200)

    def test_nor_has_one_that_does_not_forward(self):
        with self.assertRaisesRegex(Failed, "does not forward: 5200 sent"):
            measure.figures(START, START, START, 5200)

    def test_latency_is_of_the_measured_time(self):
        latency = measure.figures(START, END, END, 5200)["latency_us"]
        self.assertEqual(latency, {"p50": 1, "p99": 1, "p999": 9, "max": 9})


class Percentiles(unittest.TestCase):
    def test_each_is_the_value_that_so_many_do_not_exceed(self):
        histogram = [(value * 1000, 1) for value in range(1, 1001)]
        self.assertEqual(measure.percentiles(histogram),
                         {"p50": 500, "p99": 990, "p999": 999, "max": 1000})

    def test_one_value_is_all_of_them(self):
        self.assertEqual(set(measure.percentiles([(2000, 1)]).values()), {2})


class Cost(unittest.TestCase):
    def test_all_cores_together(self):
        cost = measure.cost(START, END, {"busy": [1.0, 0.5]})
        self.assertEqual(cost["cpu_ns_per_packet"], 1.5e9 / 2000)


class Options(unittest.TestCase):
    plain = measure.Traffic("IPv4", "live", 64, 1, None, "10.1.0.2", "10.3.0.2")

    def size(self, **changes):
        return measure.frame(self.plain._replace(**changes), "a", "b")[8:]

    def test_sizes_count_the_check_sequence_that_no_veth_has(self):
        self.assertEqual(self.size(size=1518), ["--size", 1514])
        self.assertEqual(self.size(size=64), ["--size", 60])
        self.assertEqual(self.size(size=64, family="IPv6"), ["--size", 74])
        self.assertEqual(self.size(size="imix"), ["--imix"])

    def test_the_stream_is_as_fast_as_can_be_unless_it_has_a_rate(self):
        self.assertEqual(measure.stream(self.plain, None), ["--flows", 1, "--rate", 0])
        many = self.plain._replace(flows=9, destinations="file")
        self.assertEqual(measure.stream(many, 1e6),
                         ["--flows", 9, "--rate", 1000000, "--destinations", "file"])


if __name__ == "__main__":
    unittest.main()
