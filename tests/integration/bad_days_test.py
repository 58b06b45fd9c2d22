# SPDX-License-Identifier: Apache-2.0
"""Real processes, real Kafka, bad days: nothing acknowledged is lost, nothing counted twice, the others go on, and
status names the cause."""
import os
import shutil
import subprocess
import tempfile
import threading
import unittest

from cluster import Cluster, Node, PROGRAM, free_ports, wait_until
from kafka_broker import KafkaBroker
from shared_broker import shared_broker


class Writer(threading.Thread):
    """Puts numbered keys until told to stop, and remembers which were acknowledged."""

    def __init__(self, node, ns="load"):
        super().__init__(daemon=True)
        self.node, self.ns, self.acknowledged, self.stopping = node, ns, [], threading.Event()

    def run(self):
        number = 0
        while not self.stopping.is_set():
            number += 1
            if self.node.try_call("PUT", f"/v1/kv/{self.ns}/k{number}", str(number)).status == 200:
                self.acknowledged.append(number)

    def finish(self):
        self.stopping.set()
        self.join()


def assert_has(test, node, writer):
    for number in writer.acknowledged:
        answer = node.get(writer.ns, f"k{number}")
        test.assertEqual((answer.status, answer.body), (200, str(number).encode()), f"{node.name} k{number}")


class NodesDie(unittest.TestCase):
    def test_a_node_killed_under_load_comes_back_with_everything_and_nobody_misses_anything(self):
        with Cluster(shared_broker(), names=("eu", "us")).start() as cluster:
            writer = Writer(cluster["us"])
            writer.start()
            wait_until(lambda: len(writer.acknowledged) > 300, 60, "300 writes")
            cluster["us"].kill()
            writer.finish()
            cluster["us"].start()
            assert_has(self, cluster["us"], writer)
            last = f"k{writer.acknowledged[-1]}"
            cluster.wait_same(writer.ns, last)
            cluster.wait_in_sync()
            assert_has(self, cluster["eu"], writer)

    def test_sigterm_ends_with_0_and_loses_nothing(self):
        with Cluster(shared_broker(), names=("eu", "us")).start() as cluster:
            writer = Writer(cluster["eu"])
            writer.start()
            wait_until(lambda: len(writer.acknowledged) > 100, 60, "100 writes")
            code = cluster["eu"].stop()
            writer.finish()
            self.assertEqual(code, 0, cluster["eu"].log_text()[-1000:])
            cluster["eu"].start()
            assert_has(self, cluster["eu"], writer)


class KafkaAway(unittest.TestCase):
    def test_writes_go_on_while_kafka_is_dead_and_all_is_delivered_in_order_once_it_is_back(self):
        with KafkaBroker() as broker, Cluster(broker, names=("eu", "us")).start() as cluster:
            broker.kill()
            for number in range(50):
                self.assertEqual(cluster["eu"].put("shop", f"k{number}", str(number)).status, 200)
            cause = wait_until(
                lambda: (s := cluster["eu"].status())["kafka_reachable"] is False and s["cause"], 60, "status names Kafka"
            )
            self.assertIn("Kafka", cause)
            ready = cluster["eu"].call("GET", "/health/ready")
            self.assertEqual(ready.status, 200, ready.body)
            self.assertEqual(cluster["eu"].cli("status").returncode, 10)
            self.assertEqual(cluster["us"].get("shop", "k1").status, 404)
            broker.start()
            self.assertEqual(cluster.wait_same("shop", "k49", 90), b"49")
            for number in range(50):
                self.assertEqual(cluster["us"].get("shop", f"k{number}").body, str(number).encode())
            cluster.wait_in_sync(90)

    def test_a_member_restarted_without_kafka_serves_at_once(self):
        with KafkaBroker() as broker, Cluster(broker, names=("eu", "us")).start() as cluster:
            cluster["us"].put("shop", "before", "1")
            cluster["us"].stop()
            broker.kill()
            cluster["us"].start()
            self.assertEqual(cluster["us"].get("shop", "before").body, b"1")
            self.assertEqual(cluster["us"].put("shop", "during", "1").status, 200)
            broker.start()
            self.assertEqual(cluster.wait_same("shop", "during", 90), b"1")


class Members(unittest.TestCase):
    def test_a_node_without_a_founder_waits_and_says_so(self):
        with Cluster(shared_broker(), names=("eu",)) as cluster:
            cluster["eu"].found = False
            cluster["eu"].start(ready=False)

            def refused():
                answer = cluster["eu"].try_call("PUT", "/v1/kv/shop/a", "1")
                return answer if answer.status == 503 and answer.code == "no_founder" else None

            answer = wait_until(refused, 30, "503 no_founder")
            self.assertIn("--found", answer.json()["detail"])
            self.assertEqual(cluster["eu"].call("GET", "/health/ready").status, 503)
            self.assertEqual(cluster["eu"].call("GET", "/health/live").status, 200)

    def test_two_founders_at_once_make_one_cluster(self):
        with Cluster(shared_broker(), names=("eu", "us")) as cluster:
            cluster["us"].found = True
            cluster.start()
            ids = {node.call("GET", "/v1/members").json()["cluster_id"] for node in cluster}
            self.assertEqual(len(ids), 1)
            cluster["eu"].put("shop", "one", "1")
            cluster.wait_same("shop", "one")

    def test_a_new_directory_under_an_active_name_refuses_to_start(self):
        with Cluster(shared_broker(), names=("eu", "us")).start() as cluster:
            thief = Node(tempfile.mkdtemp(dir=cluster.directory), "us", [f"127.0.0.1:{cluster.broker.port}"], cluster.cluster)
            thief.start(ready=False)
            try:
                self.assertNotEqual(thief.wait_ended(60), 0)
                self.assertIn("name_in_use", thief.log_text())
            finally:
                thief.kill()
            self.assertEqual(cluster["us"].put("shop", "still", "1").status, 200)

    def test_the_members_log_is_written_again_when_its_topic_is_gone(self):
        with Cluster(shared_broker(), names=("eu", "us")).start() as cluster:
            before = cluster["eu"].call("GET", "/v1/members").json()
            with cluster.broker.client() as client:
                client.delete_topic(cluster.members_topic)

            def rebuilt():
                with cluster.broker.client() as client:
                    if cluster.members_topic not in client.topics():
                        return False
                    return len(list(client.records(cluster.members_topic))) >= before["n"]

            wait_until(rebuilt, 60, "the members log is whole again")
            self.assertEqual(cluster["eu"].call("GET", "/v1/members").json()["hash"], before["hash"])

    def test_garbage_on_the_members_log_is_passed_over(self):
        with Cluster(shared_broker(), names=("eu", "us", "ap")) as cluster:
            cluster["eu"].start()
            with cluster.broker.client() as client:
                client.produce(cluster.members_topic, b"not an entry", b"{}", b"\x00" * 1000)
            cluster["us"].start()
            cluster["ap"].start()
            cluster["eu"].put("shop", "a", "1")
            cluster.wait_same("shop", "a")


class BadRecords(unittest.TestCase):
    def parked(self, node, journal, reason):
        def look():
            rows = node.call("GET", "/v1/sync").json()["parked"]
            return next((row for row in rows if row["journal"] == journal and row["reason"] == reason), None)

        return wait_until(look, 30, f"{node.name} parks {journal} as {reason}")

    def hurt(self, value, reason):
        with Cluster(shared_broker()).start() as cluster:
            cluster["us"].put("shop", "before", "1")
            cluster.wait_same("shop", "before")
            with cluster.broker.client() as client:
                offset = client.produce(cluster.journal("us"), value(client, cluster))
            row = self.parked(cluster["eu"], "us", reason)
            self.assertEqual(row["offset"], offset)
            self.assertIn("refrain sync resume us", row["help"])
            self.assertIn("us", cluster["eu"].status()["cause"])
            self.assertEqual(cluster["eu"].call("GET", "/health/ready").status, 200)
            cluster["ap"].put("shop", "others", "1")  # the other journals go on
            read = wait_until(lambda: cluster["eu"].get("shop", "others").status == 200, 20, "ap's write in eu")
            self.assertTrue(read)
            cluster["us"].put("shop", "after", "1")
            self.assertEqual(cluster["eu"].get("shop", "after").status, 404)
            for name in ("eu", "ap"):
                self.parked(cluster[name], "us", reason)
                resumed = cluster[name].cli("sync", "resume", "us", "--skip", str(offset))
                self.assertEqual(resumed.returncode, 0, resumed.stderr)
            self.assertEqual(cluster.wait_same("shop", "after"), b"1")
            cluster.wait_in_sync()

    def test_garbage_parks_the_journal_until_it_is_skipped(self):
        self.hurt(lambda client, cluster: b"garbage", "corrupt")

    def test_a_flipped_bit_parks_the_journal(self):
        def flipped(client, cluster):
            value = list(client.records(cluster.journal("us")))[-1].value
            return value[:-1] + bytes([value[-1] ^ 1])

        self.hurt(flipped, "corrupt")

    def test_a_newer_format_parks_the_journal(self):
        self.hurt(lambda client, cluster: b"\x02" + b"\x00" * 20, "newer_format")

    def test_another_clusters_record_parks_the_journal(self):
        def foreign(client, cluster):
            with Cluster(shared_broker(), names=("us",)) as other:
                other["us"].found = True
                other.start()
                other["us"].put("shop", "foreign", "1", "?ack=log&timeout=20s")
                return list(client.records(other.journal("us")))[-1].value

        self.hurt(foreign, "wrong_cluster")

    def test_records_twice_and_out_of_order_change_nothing(self):
        with Cluster(shared_broker(), names=("eu", "us")).start() as cluster:
            for number in range(20):
                cluster["us"].put("shop", "k", str(number))
            self.assertEqual(cluster.wait_same("shop", "k"), b"19")
            with cluster.broker.client() as client:
                values = [r.value for r in client.records(cluster.journal("us"))]
                client.produce(cluster.journal("us"), *reversed(values))
            cluster["us"].put("shop", "after", "1")
            cluster.wait_same("shop", "after")
            self.assertEqual(cluster.wait_same("shop", "k"), b"19")
            self.assertEqual(cluster["eu"].call("GET", "/v1/conflicts?ns=shop&key=k").json()["items"], [])
            cluster.wait_in_sync()

    def test_a_journal_topic_that_was_deleted_is_published_again(self):
        with Cluster(shared_broker(), names=("eu", "us")).start() as cluster:
            cluster["us"].put("shop", "before", "1")
            cluster.wait_same("shop", "before")
            with cluster.broker.client() as client:
                client.delete_topic(cluster.journal("us"))
            for number in range(5):
                cluster["us"].put("shop", f"after{number}", "1")
            self.assertEqual(cluster.wait_same("shop", "after4", 90), b"1")
            cluster.wait_in_sync(90)


class Machines(unittest.TestCase):
    def test_a_port_in_use_is_said(self):
        with Cluster(names=("eu", "us")) as cluster:
            cluster["eu"].start()
            thief = cluster["us"]
            config = thief.config.read_text().replace(f":{thief.port}", f":{cluster['eu'].port}")
            thief.config.write_text(config)
            thief.start(ready=False)
            self.assertEqual(thief.wait_ended(), 1)
            self.assertIn("already in use", thief.log_text())

    def test_a_directory_of_another_node_of_a_running_process_or_of_a_newer_format_is_refused(self):
        with Cluster(names=("eu",)) as cluster:
            eu = cluster["eu"].start()
            port = free_ports(1)[0]
            command = [str(PROGRAM), "serve", "--config", str(eu.config), "--http.listen", f"127.0.0.1:{port}"]
            second = subprocess.run(command, capture_output=True, text=True, timeout=60)
            self.assertEqual(second.returncode, 1)
            self.assertIn("running", second.stderr + second.stdout)
            eu.stop()
            other = subprocess.run([*command, "--node.name", "us"], capture_output=True, text=True, timeout=60)
            self.assertEqual(other.returncode, 1)
            self.assertIn("eu", other.stderr + other.stdout)
            marker = eu.data / "FORMAT"
            text = marker.read_text()
            self.assertIn("1", text)
            marker.write_text(text.replace("1", "9"))
            newer = subprocess.run(command, capture_output=True, text=True, timeout=60)
            self.assertEqual(newer.returncode, 1)
            self.assertIn("9", newer.stderr + newer.stdout)

    @unittest.skipUnless(os.geteuid() == 0, "mounting a small disk takes root")
    def test_a_full_disk_refuses_writes_and_recovers(self):
        with Cluster(names=("eu",), config="store: {cache: 8MiB, write_buffer: 4MiB, max_total_wal_size: 8MiB}\n") as cluster:
            eu = cluster["eu"]
            eu.data.mkdir()
            subprocess.run(["mount", "-t", "tmpfs", "-o", "size=96m", "tmpfs", str(eu.data)], check=True)
            try:
                eu.start()
                value = os.urandom(400_000)  # what cannot be compressed
                stored = 0
                while eu.put("shop", f"k{stored}", value).status == 200:
                    stored += 1
                    self.assertLess(stored, 1000)
                refused = eu.put("shop", "more", value)
                self.assertEqual((refused.status, refused.code), (503, "disk_full"))
                self.assertEqual(eu.get("shop", "k0").status, 200)
                wait_until(lambda: eu.call("GET", "/health/ready").status == 503, 10, "ready says so")
                self.assertIn("disk", eu.status()["cause"])
                subprocess.run(["mount", "-o", "remount,size=256m", str(eu.data)], check=True)
                wait_until(lambda: eu.put("shop", "more", value).status == 200, 30, "writes go on")
                for number in range(stored):
                    self.assertEqual(eu.get("shop", f"k{number}").status, 200)
            finally:
                eu.kill()
                subprocess.run(["umount", "-l", str(eu.data)], check=False)

    @unittest.skipUnless(shutil.which("faketime"), "needs faketime")
    def test_a_clock_ten_seconds_ahead_delays_and_never_diverges(self):
        with Cluster(shared_broker(), names=("eu", "us")) as cluster:
            cluster.start()
            library = subprocess.run(
                ["faketime", "-f", "+10s", "sh", "-c", "echo $LD_PRELOAD"], capture_output=True, text=True, check=True
            ).stdout.strip()
            us = cluster["us"]
            us.stop()
            us.environment.update({"LD_PRELOAD": library, "FAKETIME": "+10s", "DONT_FAKE_MONOTONIC": "1", "FAKETIME_DONT_RESET": "1"})
            us.start()
            us.put("shop", "early", "1")
            BadRecords.parked(self, cluster["eu"], "us", "clock_skew")
            self.assertEqual(cluster["eu"].put("shop", "normal", "1").status, 200)
            self.assertEqual(cluster.wait_same("shop", "early", 60), b"1")


if __name__ == "__main__":
    unittest.main()
