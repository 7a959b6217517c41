"""Tables and the destinations drawn from them."""

import ipaddress
import pathlib
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

import routes
from network import Failed

DRAWN = 10000


class Tables(unittest.TestCase):
    def table(self, text):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        file = pathlib.Path(folder.name, "list")
        file.write_text(text)
        return routes.Table(file, pathlib.Path(folder.name), DRAWN)

    def test_only_prefixes_that_are_not_the_harness_own(self):
        table = self.table("# a list\n192.0.2.0/24 7\n10.2.0.0/16\n\n198.51.100.0/25\n")
        self.assertEqual((table.family, table.count), ("IPv4", 2))
        self.assertEqual(table.routes["IPv4"].read_text(), "192.0.2.0/24\n198.51.100.0/25\n")

    def test_destinations_are_covered_and_can_be_sent_to(self):
        for prefix, family in (("192.0.2.0/23", "IPv4"), ("2001:db8::/33", "IPv6")):
            table = self.table(prefix + "\n")
            network = ipaddress.ip_network(prefix, strict=False)
            drawn = table.destinations.read_text().split()
            self.assertEqual((table.family, len(drawn)), (family, DRAWN))
            self.assertTrue(all(ipaddress.ip_address(one) in network for one in drawn))

    def test_a_default_route_does_not_lead_to_the_harness_itself(self):
        for address in self.table("0.0.0.0/0\n").destinations.read_text().split():
            self.assertFalse(address.startswith(("10.", "127.", "0.", "224.", "255.")))

    def test_a_file_without_a_prefix_is_refused(self):
        with self.assertRaisesRegex(Failed, "no prefixes"):
            self.table("hello\n")


if __name__ == "__main__":
    unittest.main()
