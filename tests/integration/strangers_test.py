# SPDX-License-Identifier: Apache-2.0
"""What goes wrong when members come, go and are copied: each is refused with a word that helps, the right exit code, and
nothing lost."""
import http.server
import shutil
import unittest

from cluster import QUICK, Cluster, wait_until
from program import Served
from shared_broker import shared_broker, shared_relays
from writers import versions


class SnapshotSpoiler(Served):
    """Stands before a node and hands everything on; of its snapshots the next ones are spoiled, one for each of
    `ways`: a function of the whole stream's bytes."""

    def __init__(self, node, ways):
        spoiled = self.spoiled = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                answer = node.call("GET", self.path, headers={k: v for k, v in self.headers.items() if k.lower() != "host"})
                body = answer.body
                if self.path.startswith("/v1/snapshot") and answer.status == 200 and ways:
                    body = ways.pop(0)(body)
                    spoiled.append(len(body))
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    if name not in ("transfer-encoding", "content-length", "connection"):
                        self.send_header(name, value)
                self.send_header("Connection", "close")  # HTTP/1.0: the body ends with the connection
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        super().__init__(Handler)


def flipped(at):
    """With one bit another, at that part of the stream."""

    def spoil(body):
        place = int(len(body) * at)
        return body[:place] + bytes([body[place] ^ 1]) + body[place + 1:]

    return spoil


class Joining(unittest.TestCase):
    def test_a_snapshot_that_is_cut_short_corrupt_or_no_snapshot_is_dropped_and_taken_again(self):
        ways = [lambda body: body[:len(body) // 2], lambda body: body[:-1], lambda body: b"", flipped(0.5), flipped(0.01),
                flipped(0.999), lambda _: b"<html>not a node</html>"]
        wanted = len(ways)
        with Cluster(shared_broker(), names=("eu",), config=QUICK) as cluster:
            eu = cluster["eu"]
            with SnapshotSpoiler(eu, ways) as spoiler:
                eu.config.write_text(eu.config.read_text().replace(f'advertise: "{eu.url}"', f'advertise: "{spoiler.url}"'))
                cluster.start()
                for number in range(200):
                    self.assertEqual(eu.put("shop", f"k{number}", "v" * 500).status, 200)
                us = cluster.add("us").start(ready=False)
                wait_until(lambda: len(spoiler.spoiled) == wanted, 60, "all bad snapshots were given")
                us.wait_ready(60)
                self.assertEqual(versions(us, "shop"), versions(eu, "shop"))
                for why in ("ended before its last block", "a block's checksum does not fit"):
                    self.assertIn(why, us.log_text())
                self.assertEqual(eu.put("shop", "after", "1", "?ack=all&timeout=20s").status, 200)

    def test_a_joiner_gives_no_snapshot_takes_no_calls_and_says_for_whom_it_waits(self):
        with Cluster(shared_broker(), names=("eu", "us"), config=QUICK).start() as cluster:
            eu, us = cluster
            self.assertEqual(eu.put("shop", "a", "1", "?ack=all&timeout=20s").status, 200)
            us.kill()  # an active member, which the joiner has to wait for
            ap = cluster.add("ap").start(ready=False)
            wait_until(lambda: "waits until us shows" in ap.try_call("GET", "/v1/status").body.decode(), 60, "ap names us")
            for refused in (ap.call("GET", "/v1/snapshot"), ap.get("shop", "a"), ap.put("shop", "a", "2"), ap.begin("pay", "r")):
                self.assertEqual((refused.status, refused.code), (503, "joining"))
            for words in (("member", "leave"), ("member", "rejoin", "--yes"), ("member", "evict", "us", "--yes"), ("backup", f"{cluster.directory}/b")):
                self.assertIn(ap.cli(*words).returncode, (1, 2), words)
            self.assertEqual(eu.get("shop", "a").body, b"1")
            us.start()
            ap.wait_ready(60)
            self.assertEqual(ap.get("shop", "a").body, b"1")
            cluster.wait_in_sync()

    def test_a_directory_of_another_cluster_is_refused_by_name_and_by_id(self):
        with Cluster(shared_broker(), names=("eu", "us"), config=QUICK).start() as ours, \
                Cluster(shared_broker(), names=("us",), config=QUICK).start() as theirs:
            self.assertEqual(ours["eu"].put("shop", "a", "1", "?ack=all&timeout=20s").status, 200)
            before = ours["eu"].call("GET", "/v1/members").json()["hash"]
            thief = theirs["us"]
            self.assertEqual(thief.stop(), 0)
            thief.config.write_text(thief.config.read_text().replace(f"cluster: {theirs.cluster}", f"cluster: {ours.cluster}"))
            thief.start(ready=False)
            self.assertEqual(thief.wait_ended(30), 1)
            self.assertIn(f"belongs to cluster '{theirs.cluster}', not to '{ours.cluster}'", thief.log_text())
            # By its id: the marker is made to fit, as a stranger might try it.
            marker = thief.data / "FORMAT"
            marker.write_text(marker.read_text().replace(theirs.cluster, ours.cluster))
            thief.start(ready=False)


            def named():
                return "of another cluster" in thief.try_call("GET", "/v1/status").body.decode()

            wait_until(lambda: thief.process.poll() is not None or named(), 30, "it ends, or names the other cluster")
            self.assertEqual(ours["eu"].call("GET", "/v1/members").json()["hash"], before)
            thief.kill()
            ours.wait_in_sync()
            self.assertEqual(ours["eu"].call("GET", "/v1/sync").json()["parked"], [])


class LastMember(unittest.TestCase):
    def test_the_last_active_member_cannot_leave_be_evicted_or_rejoin_and_goes_on_writing(self):
        with Cluster(shared_broker(), names=("eu",), config=QUICK).start() as cluster:
            eu = cluster["eu"]
            self.assertEqual(eu.put("shop", "a", "1").status, 200)
            for words, code, said in ((("member", "leave"), 2, "last active member"), (("member", "evict", "eu", "--yes"), 2, "member leave"),
                                      (("member", "rejoin", "--yes"), 2, "No other member is active"), (("member", "evict", "us"), 4, "no member")):
                ran = eu.cli(*words)
                self.assertEqual(ran.returncode, code, (words, ran.stderr))
                self.assertIn(said, ran.stderr.decode())
                self.assertEqual(eu.put("shop", "b", "1").status, 200, words)
            self.assertEqual(eu.stop(), 0)
            eu.start(ready=False, extra=("--leave",))
            self.assertEqual(eu.wait_ended(30), 1)
            self.assertIn("last active member", eu.log_text())
            eu.start()
            self.assertEqual(eu.get("shop", "a").body, b"1")

    def test_a_last_member_whose_directory_is_older_goes_on_with_it_by_backup_and_restore(self):
        with Cluster(shared_broker(), names=("eu",), config=QUICK).start() as cluster:
            eu = cluster["eu"]
            self.assertEqual(eu.put("shop", "kept", "1").status, 200)
            self.assertEqual(eu.stop(), 0)
            shutil.copytree(eu.data, f"{eu.data}.copy")
            eu.start()
            self.assertEqual(eu.put("shop", "lost", "1", "?ack=log&timeout=20s").status, 200)
            eu.kill()
            shutil.rmtree(eu.data)
            shutil.move(f"{eu.data}.copy", eu.data)
            eu.start(ready=False)
            wait_until(lambda: b"rolled back" in eu.try_call("GET", "/v1/status").body, 60, "eu finds it")
            for words in (("member", "rejoin"), ("member", "rejoin", "--yes")):
                ran = eu.cli(*words)
                self.assertEqual(ran.returncode, 2)
                self.assertIn("refrain restore --found", ran.stderr.decode())
            made = f"{cluster.directory}/made"
            self.assertEqual(eu.cli("backup", made).returncode, 0)
            self.assertEqual(eu.stop(), 0)
            full = eu.cli("restore", "--from", made, "--data-dir", str(eu.data), "--found")
            self.assertEqual(full.returncode, 1)
            self.assertIn("is not empty", full.stderr.decode())
            shutil.rmtree(eu.data)
            with cluster.broker.client() as client:
                for topic in (cluster.journal("eu"), cluster.members_topic):
                    client.delete_topic(topic)
            restored = eu.cli("restore", "--from", made, "--data-dir", str(eu.data), "--found")
            self.assertEqual(restored.returncode, 0, restored.stderr)
            eu.start()
            self.assertEqual((eu.get("shop", "kept").body, eu.get("shop", "lost").status), (b"1", 404))
            self.assertEqual(eu.put("shop", "new", "1", "?ack=log&timeout=20s").status, 200)

    def test_a_node_that_has_left_and_finds_nobody_waits_for_a_member_and_loses_nothing(self):
        with Cluster(shared_broker(), names=("eu", "us"), config=QUICK, relays=shared_relays()).start() as cluster:
            eu, us = cluster
            self.assertEqual(us.put("shop", "a", "1", "?ack=all&timeout=20s").status, 200)
            self.assertEqual(us.cli("member", "leave").returncode, 0)
            eu.kill()
            ran = us.cli("member", "rejoin", "--wait", "2s")
            self.assertEqual(ran.returncode, 3, ran.stderr)
            self.assertRegex(ran.stderr.decode(), "rejoins: (looks for an active member|waits until the members have agreed)")
            self.assertEqual(us.get("shop", "a").body, b"1", "its old rows are there")
            eu.start()
            us.wait_ready(90)
            self.assertEqual(us.get("shop", "a").body, b"1")
            self.assertEqual(us.put("shop", "b", "1", "?ack=all&timeout=30s").status, 200)


class Garbage(unittest.TestCase):
    def test_garbage_is_not_imported_and_each_line_is_named(self):
        with Cluster(names=("eu",)).start() as cluster:
            eu = cluster["eu"]
            newest = eu.status()["newest"]
            ran = eu.cli("events", "import", "-", stdin=b'garbage\n{"commit": 1}\n\x00\xff\n')
            self.assertEqual(ran.returncode, 1)
            for number in (1, 2, 3):
                self.assertIn(f"-:{number}: ", ran.stderr.decode())
            self.assertIn("0 imported", ran.stderr.decode())
            self.assertEqual(eu.status()["newest"], newest)
            self.assertEqual(eu.cli("events", "import", "/no/such").returncode, 1)

    def test_a_backup_that_was_cut_is_refused_when_it_is_restored_or_served(self):
        with Cluster(names=("eu",), config="store: {write_buffer: 4MiB}\n").start() as cluster:
            eu = cluster["eu"]
            for number in range(60):
                self.assertEqual(eu.put("shop", f"k{number}", "v" * 200_000).status, 200)
            made = f"{cluster.directory}/backup"
            self.assertEqual(eu.cli("backup", made).returncode, 0)
            again = eu.cli("backup", made)
            self.assertEqual(again.returncode, 2)
            self.assertIn("exists", again.stderr.decode())
            self.assertEqual(eu.stop(), 0)
            tables = sorted((eu.data / "db").parent.parent.glob("backup/**/*.sst"))
            self.assertTrue(tables)
            shutil.copyfile(tables[0], f"{tables[0]}.short")
            with open(f"{tables[0]}.short", "r+b") as file:
                file.truncate(1000)
            shutil.move(f"{tables[0]}.short", tables[0])  # a file of its own: the store's is linked
            data = f"{cluster.directory}/new"
            restored = cluster["eu"].cli("restore", "--from", made, "--data-dir", data, "--found")
            words = restored.stdout.decode() + restored.stderr.decode()
            if restored.returncode == 0:
                self.fail(f"restored from a cut backup: {words}")
            self.assertEqual(restored.returncode, 1, words)
            self.assertIn("Copy it again", words)
            eu.start()
            self.assertEqual(eu.get("shop", "k59").status, 200)


if __name__ == "__main__":
    unittest.main()
