"""The books of a soak: they balance where nothing is wrong, and name what is."""

import copy
import types
import unittest

import books
import soak

SLOW = {"cause": "connection lost", "code": 1006, "answered": False, "messages_sent": 3}
ORDERLY = {"cause": "client", "code": 1000, "answered": True, "messages_sent": 10}


def balanced():
    """Two clients that got ten messages each, and a slow one that was sent three."""
    totals = {"messages_received": 10, "messages_published": 10, "deliveries_due": 30, "deliveries_sent": 23}
    totals |= {"deliveries_dropped_backlog": 5, "deliveries_dropped_closed": 2, "backlog_messages": 0, "backlog_bytes": 0}
    totals |= {"sessions_opened": 3, "sessions_closed": 3}
    queue = {"dropped_tx_full": 1, "dropped_invalid": 0, "no_memory": 0}
    lcore = {"segments_in": 5000, "segments_out": 6001, "queues": [queue]}
    pools = [{"name": name, "mbufs": 1000, "in_use": 100} for name in ("rx_0_0", "tx_0_0", "messages_0")]
    stats = {"exact": True, "totals": totals, "flows": {"half_open": 0, "open": 0, "time_wait": 2}}
    stats |= {"lcores": [lcore], "drops": {"checksum": 1}, "mempools": pools}
    before = copy.deepcopy(stats)
    before["totals"] = dict.fromkeys(totals, 0)
    whole_run = {"messages_sent": 10, "messages_received": 20, "opened": 3, "opened_slow": 1, "closed": 2}
    segments = {"segments_out": 5003, "segments_in": 6000, "dropped_out": 2, "damaged": 0}
    clients = {"ok": True, "error": None, "examples": [], "whole_run": whole_run, "segments": segments}
    clients |= dict.fromkeys("lost duplicated reordered damaged unexpected protocol_errors disconnected".split(), 0)
    samples = [(second, 50_000_000, {pool["name"]: 120 for pool in pools}) for second in range(100)]
    return types.SimpleNamespace(
        path="dpdk", seconds=100, status=0, server_status=0, before=before, after=stats, clients=clients,
        ends=[ORDERLY, ORDERLY, SLOW], samples=samples,
    )


def wrong(run):
    """The first words of the checks that do not hold."""
    return [check.text.split(":")[0] for check in books.checks(run) if not check.holds]


class Books(unittest.TestCase):
    def setUp(self):
        self.run_ = balanced()

    def test_all_is_well_where_nothing_is_wrong(self):
        self.assertEqual(wrong(self.run_), [])
        self.run_.path = "kernel"
        self.assertEqual(wrong(self.run_), [])

    def test_a_message_that_the_server_never_got_is_missed(self):
        self.run_.clients["whole_run"]["messages_sent"] += 1
        self.assertEqual(wrong(self.run_), ["messages"])

    def test_a_delivery_that_nobody_accounts_for_is_missed(self):
        self.run_.after["totals"]["deliveries_due"] += 1
        self.assertEqual(wrong(self.run_), ["deliveries"])

    def test_a_delivery_that_was_sent_and_never_arrived_is_missed(self):
        self.run_.clients["whole_run"]["messages_received"] -= 1
        self.assertEqual(wrong(self.run_), ["arrivals"])

    def test_a_session_that_is_left_behind_is_named(self):
        self.run_.after["totals"]["sessions_closed"] -= 1
        self.run_.after["flows"]["open"] = 1
        self.run_.ends.pop()
        self.run_.after["totals"]["deliveries_sent"] -= 3
        self.run_.after["totals"]["deliveries_due"] -= 3
        self.assertEqual(wrong(self.run_), ["sessions", "closes", "rest"])

    def test_a_session_that_ended_for_another_reason_is_no_close(self):
        self.run_.ends[0] = {**ORDERLY, "answered": False}
        self.run_.clients["whole_run"]["messages_received"] -= 10
        self.assertEqual(wrong(self.run_), ["closes"])

    def test_segments_that_are_lost_are_counted_by_direction(self):
        self.run_.after["lcores"][0]["segments_in"] -= 6
        self.assertEqual(wrong(self.run_), ["segments, clients to server"])

    def test_an_mbuf_that_does_not_come_back_is_a_leak_unless_it_is_at_hand_to_send(self):
        for pool in self.run_.after["mempools"]:
            pool["in_use"] += 1
        self.assertEqual(wrong(self.run_), ["pool rx_0_0", "pool messages_0"])

    def test_what_grows_slowly_is_told_by_its_least(self):
        for second, _, pools in self.run_.samples:
            pools["rx_0_0"] += second
        self.assertEqual(wrong(self.run_), ["pool rx_0_0"])

    def test_memory_that_grows_is_told(self):
        self.run_.samples = [(second, resident * (100 + second / 10) / 100, pools) for second, resident, pools in self.run_.samples]
        self.assertEqual(wrong(self.run_), ["memory"])
        self.run_.samples = []
        self.assertIn("memory", wrong(self.run_))

    def test_what_the_clients_found_is_repeated(self):
        self.run_.status, self.run_.clients["lost"] = 1, 7
        self.run_.clients["ok"] = False
        [check] = [check for check in books.checks(self.run_) if not check.holds]
        self.assertIn("7 lost", check.text)


class Scenario(unittest.TestCase):
    def test_ten_rounds_take_the_time_that_they_are_given(self):
        text = soak.scenario(30)
        times = [int(line.split('"')[1].removesuffix("ms")) for line in text.splitlines() if line.startswith("duration")]
        self.assertEqual(sum(times), 30_000)
        self.assertEqual(text.count('name = "10 '), len(times) // 10)


if __name__ == "__main__":
    unittest.main()
