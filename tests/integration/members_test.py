# SPDX-License-Identifier: Apache-2.0
"""Members that come and go, on a real Kafka: evicted, leaving, rejoining, with a lost disk."""
import shutil
import unittest

from cluster import QUICK, Cluster, wait_until
from shared_broker import shared_broker, shared_relays
from writers import Writer, versions


def member(node, name):
    """How `node` sees the newest incarnation of `name`."""
    rows = [m for m in node.call("GET", "/v1/members").json()["members"] if m["node"] == name]
    present = [m for m in rows if m["state"] != "over"]
    return (present or rows)[0]


class Ends(unittest.TestCase):
    """Each test ends with three active members again."""

    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster(shared_broker(), config=QUICK, relays=shared_relays())
        cls.addClassCleanup(cls.cluster.close)
        cls.cluster.start()
        cls.eu, cls.us, cls.ap = cls.cluster

    def order(self, node, name, order, body=None, status=200):
        answer = node.call("POST", f"/v1/members/{name}/{order}?timeout=40s", body)
        self.assertEqual(answer.status, status, answer.body)
        return answer.json()

    def wait_active(self, name, but="", seconds=90):
        for node in (n for n in self.cluster if n.name != but):
            wait_until(lambda n=node: member(n, name)["state"] == "active", seconds, f"{name} is active for {node.name}")

    def fenced(self, node):
        checks = node.try_call("GET", "/health/ready")
        return checks.status == 503 and '"fenced"' in checks.body.decode()

    def test_what_makes_no_sense_is_refused_with_a_word_that_helps(self):
        for name, body, status, word in (("us", None, 400, "was heard"), ("eu", None, 400, "refrain member leave"),
                                         ("nobody", None, 404, "refrain member ls")):
            answer = self.eu.call("POST", f"/v1/members/{name}/evict", body)
            self.assertEqual(answer.status, status)
            self.assertIn(word, answer.json()["detail"])
        for order in ("leave", "rejoin"):
            answer = self.eu.call("POST", f"/v1/members/us/{order}")
            self.assertEqual((answer.status, answer.code), (421, "wrong_node"))
            self.assertIn(self.us.url, answer.json()["detail"])
        answer = self.eu.call("POST", "/v1/members/eu/rejoin")
        self.assertEqual(answer.status, 400)
        self.assertIn("active member", answer.json()["detail"])
        self.assertEqual([member(self.eu, name)["state"] for name in ("eu", "us", "ap")], ["active"] * 3)
        for words in (("member", "evict", "eu"), ("member", "evict", "us"), ("member", "rejoin")):
            cli = self.eu.cli(*words)
            self.assertEqual(cli.returncode, 2, (words, cli.stderr))

    def test_an_evicted_node_says_so_keeps_what_is_void_and_rejoins(self):
        self.assertEqual(self.us.put("ends", "before", "1", "?ack=all&timeout=20s").status, 200)
        with self.cluster.apart("us"):
            void = self.us.put("ends", "void", "1").json()["commit"]
            cli = self.eu.cli("member", "evict", "us", "--yes", "--wait", "50s")
            self.assertEqual(cli.returncode, 0, cli.stderr)
            self.assertIn(b"evicted", cli.stderr)
            # ack=all no longer waits for it
            self.assertEqual(self.eu.put("ends", "after", "1", "?ack=all&timeout=20s").status, 200)
        wait_until(lambda: self.fenced(self.us), 60, "us says that it is fenced")
        self.assertEqual(self.us.put("ends", "refused", "1").code, "fenced")
        self.assertEqual(self.us.get("ends", "before").body, b"1")  # its old rows can be read
        self.assertIn("evicted", self.us.call("GET", "/health/ready").body.decode())
        wait_until(lambda: self.us.status()["void_commits"] >= 1, 60, "what is void is kept aside")
        self.us.kill()  # and still after a restart
        self.us.start(ready=False)
        wait_until(lambda: self.fenced(self.us), 60, "us is fenced after a restart")
        self.assertGreaterEqual(self.us.status()["void_commits"], 1)
        self.assertEqual(self.us.call("GET", f"/v1/events/{void}").json()["state"], "void")
        cli = self.us.cli("member", "rejoin", "--wait", "50s")
        self.assertEqual(cli.returncode, 0, cli.stderr)
        self.us.wait_ready(90)
        self.wait_active("us")
        self.assertGreaterEqual(self.us.status()["void_commits"], 1)
        self.assertEqual(self.us.get("ends", "void").status, 404)
        self.assertEqual(self.us.get("ends", "after").body, b"1")
        self.assertEqual(self.us.put("ends", "again", "1", "?ack=all&timeout=20s").status, 200)
        self.cluster.wait_in_sync()

    def test_a_node_that_leaves_loses_nothing_and_can_come_back(self):
        last = self.ap.put("ends", "last", "1").headers["etag"]
        left = self.order(self.ap, "ap", "leave")
        self.assertEqual(left["state"], "over")
        for node in (self.eu, self.us):
            self.assertEqual(node.get("ends", "last").headers["etag"], last)
        self.assertEqual(self.ap.put("ends", "late", "1").code, "fenced")
        self.assertEqual(self.order(self.ap, "ap", "leave")["state"], "over")  # asked twice
        self.assertEqual(self.eu.put("ends", "without", "1", "?ack=all&timeout=20s").status, 200)
        self.assertEqual(self.order(self.ap, "ap", "rejoin")["state"], "joining")
        self.ap.wait_ready(90)
        self.wait_active("ap")
        self.assertEqual(self.ap.get("ends", "without").body, b"1")

    def test_serve_leave_ends_with_zero_once_all_have_what_it_wrote(self):
        self.assertEqual(self.ap.put("ends", "goodbye", "1").status, 200)
        self.assertEqual(self.ap.stop(), 0)
        self.ap.start(ready=False, extra=("--leave",))
        self.assertEqual(self.ap.wait_ended(90), 0, self.ap.log_text()[-2000:])
        self.assertEqual(member(self.eu, "ap")["state"], "over")
        self.assertEqual(self.eu.get("ends", "goodbye").body, b"1")
        shutil.rmtree(self.ap.data)
        self.ap.start(seconds=90)  # the name is free for a new disk
        self.wait_active("ap")
        self.assertEqual(self.ap.get("ends", "goodbye").body, b"1")

    def test_a_disk_that_is_lost_under_load_is_made_anew_from_the_others(self):
        with Writer(self.eu, "disk") as writer:
            writer.wait(50)
            self.assertEqual(self.us.put("disk", "from-us", "1", "?ack=all&timeout=20s").status, 200)
            before = member(self.eu, "us")["incarnation"]
            self.us.kill()
            shutil.rmtree(self.us.data)
            self.us.start(seconds=90)
            writer.wait(50)
        self.wait_active("us")
        self.assertNotEqual(member(self.eu, "us")["incarnation"], before)
        self.cluster.wait_same("disk", f"k{writer.acknowledged[-1]}")
        self.assertLessEqual(writer.keys(), set(versions(self.us, "disk")))
        self.assertEqual(self.us.get("disk", "from-us").body, b"1")
        self.assertEqual(self.us.put("disk", "anew", "1", "?ack=all&timeout=20s").status, 200)
        self.cluster.wait_in_sync()

    def test_a_second_process_under_a_name_that_lives_is_refused(self):
        thief = self.cluster.add("ap-2")
        try:
            thief.config.write_text(thief.config.read_text().replace("name: ap-2", "name: ap"))
            thief.start(ready=False)
            self.assertEqual(thief.wait_ended(60), 1)
            self.assertIn("name_in_use", thief.log_text())
            self.assertEqual(member(self.eu, "ap")["state"], "active")
        finally:
            thief.kill()
            del self.cluster.nodes["ap-2"]


if __name__ == "__main__":
    unittest.main()
