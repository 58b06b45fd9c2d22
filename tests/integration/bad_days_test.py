# SPDX-License-Identifier: Apache-2.0
"""Real processes, real Kafka, bad days: nothing acknowledged is lost, nothing counted twice, the others go on, and
status names the cause."""
import os
import shutil
import subprocess
import tempfile
import unittest

from cluster import PROGRAM, QUICK, Cluster, Node, free_ports, wait_until
from kafka_broker import KafkaBroker
from shared_broker import shared_broker, shared_relays
from writers import Runner, Writer, assert_has, versions


class NodesDie(unittest.TestCase):
    def test_a_node_killed_under_load_comes_back_with_everything_and_nobody_misses_anything(self):
        with Cluster(shared_broker(), names=("eu", "us")).start() as cluster:
            with Writer(cluster["us"]) as writer:
                writer.wait(300)
                cluster["us"].kill()
            cluster["us"].start()
            assert_has(self, cluster["us"], writer)
            last = f"k{writer.acknowledged[-1]}"
            cluster.wait_same(writer.ns, last)
            cluster.wait_in_sync()
            assert_has(self, cluster["eu"], writer)

    def test_sigterm_ends_with_0_and_loses_nothing(self):
        with Cluster(shared_broker(), names=("eu", "us")).start() as cluster:
            with Writer(cluster["eu"]) as writer:
                writer.wait(100)
                code = cluster["eu"].stop()
            self.assertEqual(code, 0, cluster["eu"].log_text()[-1000:])
            cluster["eu"].start()
            assert_has(self, cluster["eu"], writer)


class KafkaAway(unittest.TestCase):
    def test_kafka_killed_under_load_stops_nothing_loses_nothing_and_nothing_counts_twice(self):
        with KafkaBroker() as broker, Cluster(broker, names=("eu", "us"), config=QUICK).start() as cluster:
            eu, us = cluster
            with Writer(eu, "load-eu") as one, Writer(us, "load-us") as other, Runner(eu, us) as runs:
                writers = one, other
                for writer in writers:
                    writer.wait(200)
                broker.kill()
                self.assertEqual(eu.put("shop", "during", "1").status, 200)
                for writer in writers:
                    writer.wait(200)
                for node in cluster:
                    wait_until(lambda n=node: not n.status()["kafka_reachable"], 60, "status names Kafka")
                    self.assertIn("Kafka unreachable", node.status()["cause"])

                    def degraded(node=node):
                        ready = node.call("GET", "/health/ready")
                        self.assertEqual(ready.status, 200, ready.body)
                        return ready.json()["status"] == "degraded"

                    wait_until(degraded, 10, "ready says so")
                self.assertEqual(us.get("shop", "during").status, 404)
                wait_until(lambda: eu.cli("status").returncode == 10, 30, "status is 10")
                broker.start()
                for writer in writers:
                    writer.wait(200)
                wait_until(lambda: len(runs.done) >= 50, 60, "50 requests")
            cluster.wait_in_sync(90)
            self.assertEqual(us.get("shop", "during").body, b"1")
            for node in cluster:
                for writer in writers:
                    self.assertLessEqual(writer.keys(), set(versions(node, writer.ns)))
                    assert_has(self, node, writer, every=50)
                completed = {item["id"] for item in node.items("/v1/requests/runs?state=completed")}
                self.assertLessEqual(set(runs.done), completed)
                for request in runs.done[::50]:
                    replay = node.begin("runs", request)
                    self.assertEqual((replay.status, replay.body.decode()), (200, request))
                for path in ("/v1/conflicts", "/v1/duplicates?all=true"):
                    self.assertEqual(node.items(path), [], f"{path} of {node.name}")
            for writer in writers:  # each key was written once: nobody minted it again
                self.assertEqual(versions(eu, writer.ns), versions(us, writer.ns))
                self.assertEqual({v.rpartition("-")[2] for v in versions(eu, writer.ns).values()}, {writer.node.name})

    def test_a_member_restarted_without_kafka_serves_at_once(self):
        with Cluster(shared_broker(), names=("eu", "us"), config=QUICK, relays=shared_relays()).start() as cluster:
            cluster["us"].put("shop", "before", "1")
            with cluster.apart("us"):
                self.assertEqual(cluster["us"].stop(), 0)  # what Kafka has not got stays in the outbox
                cluster["us"].start()
                self.assertEqual(cluster["us"].get("shop", "before").body, b"1")
                self.assertEqual(cluster["us"].put("shop", "during", "1").status, 200)
                late = cluster["us"].begin("pay", "r1")  # nobody knows what the others have decided
                self.assertEqual((late.status, late.code), (503, "catching_up"))
                go = cluster["us"].begin("pay", "r1", query="?wait=20s")
                self.assertEqual(go.status, 201, go.body)
                self.assertIn("eu", go.json()["behind"])
            self.assertEqual(cluster.wait_same("shop", "during", 90), b"1")

    def test_a_node_whose_kafka_is_away_at_its_first_start_says_so_and_comes_up_when_it_is_there(self):
        with Cluster(shared_broker(), names=("eu", "us"), config=QUICK, relays=shared_relays()) as cluster:
            for node in cluster:  # the founder, and one that joins
                with cluster.apart(node.name):
                    node.start(ready=False)
                    said = b"Kafka unreachable"
                    wait_until(lambda n=node: said in n.try_call("GET", "/v1/status").body, 30, "status names Kafka")
                    self.assertIn("Kafka unreachable", node.status()["cause"])
                    self.assertEqual(node.call("GET", "/health/live").status, 200)

                    def ready_says_so(node=node):  # as of its newest look, which is not the status's
                        ready = node.call("GET", "/health/ready")
                        failed = {check["name"] for check in ready.json()["checks"] if not check["ok"]}
                        return ready.status == 503 and {"kafka", "membership"} <= failed

                    wait_until(ready_says_so, 30, "ready names both")
                    for refused in (node.put("shop", "a", "1"), node.get("shop", "a"), node.begin("pay", "r")):
                        self.assertEqual((refused.status, refused.code), (503, "joining"))
                    self.assertEqual(node.cli("status").returncode, 10)
                node.wait_ready()
            self.assertEqual(cluster["us"].put("shop", "a", "1", "?ack=all&timeout=20s").status, 200)


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

    def test_a_dead_member_holds_the_outbox_and_status_says_who_and_since_when(self):
        with Cluster(shared_broker(), names=("eu", "us")).start() as cluster:
            eu, us = cluster
            go = us.begin("pay", "r1", query="?wait=20s&lease=1ms")
            self.assertEqual(go.status, 201, go.body)
            cluster.wait_in_sync()
            wait_until(lambda: eu.begin("pay", "r1", "another").status == 422, 20, "eu knows of r1")
            us.kill()
            put = eu.put("shop", "held", "1").json()["commit"]

            def held():
                status = eu.status()
                return status if "silent" in (status["cause"] or "") and status["outbox_held_by"] else None

            status = wait_until(held, 30, "status names us")
            self.assertRegex(status["outbox_held_by"], r"^us has not applied it since 20\S+Z$")
            self.assertIn("us", status["cause"])
            shown = eu.cli("status")
            self.assertEqual(shown.returncode, 10)
            self.assertIn("held by us has not applied it since", shown.stdout.decode())
            self.assertEqual(eu.call("GET", "/health/ready").json()["status"], "degraded")
            event = eu.call("GET", f"/v1/events/{put}").json()
            self.assertEqual((event["state"], event["waiting_for"]), ("published", ["us"]))
            self.assertIn("us", event["why"])
            self.assertGreaterEqual(status["outbox_commits"], 1)
            # Its lease is over elsewhere 10 s after it passed, since it is silent.
            taken_over = eu.begin("pay", "r1", query="?wait=20s")
            self.assertEqual((taken_over.status, taken_over.json().get("attempt")), (201, 2), taken_over.body)
            us.start()
            cluster.wait_in_sync()
            self.assertEqual(us.get("shop", "held").body, b"1")

            def stable():
                return eu.call("GET", f"/v1/events/{put}").json()["state"] == "stable"

            wait_until(stable, 30, "the commit is stable")
            wait_until(lambda: not eu.status()["outbox_held_by"], 30, "nobody holds the outbox")


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
            self.assertIn(f"in use by the running process {eu.process.pid}", second.stderr)
            eu.stop()
            other = subprocess.run([*command, "--node.name", "us"], capture_output=True, text=True, timeout=60)
            self.assertEqual(other.returncode, 1)
            self.assertIn("belongs to node 'eu', not to 'us'", other.stderr)
            marker = eu.data / "FORMAT"
            text = marker.read_text()
            self.assertIn("format 1\noldest_reader 1\n", text)
            marker.write_text(text.replace("format 1\noldest_reader 1\n", "format 19\noldest_reader 17\n"))
            newer = subprocess.run(command, capture_output=True, text=True, timeout=60)
            self.assertEqual(newer.returncode, 1)
            for said in ("store format 19", "reads format 17", "this program reads format 1."):
                self.assertIn(said, newer.stderr)
            self.assertEqual(marker.read_text().splitlines()[0], "format 19")  # nothing was touched
            marker.write_text(text)
            eu.start()

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
            self.assertEqual(us.put("shop", "early", "1").status, 200)
            cluster["eu"].wait_parked("us", "clock_skew")
            self.assertEqual(cluster["eu"].put("shop", "normal", "1").status, 200)
            self.assertEqual(cluster.wait_same("shop", "early", 60), b"1")


if __name__ == "__main__":
    unittest.main()
