# SPDX-License-Identifier: Apache-2.0
"""`refrain verify` on three real nodes: the same after load, what was planted is found and repaired, and what cannot be
compared is said."""
import json
import subprocess
import unittest

from cluster import PROGRAM, QUICK, Cluster, wait_until
from shared_broker import shared_broker

DAMAGE = PROGRAM.parent / "refrain-row-damage"


class Verify(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster(shared_broker(), config=QUICK)
        cls.addClassCleanup(cls.cluster.close)
        cls.cluster.start()
        for i, node in enumerate(list(cls.cluster) * 40):
            assert node.put("shop", f"k{i % 50}", f"{node.name} {i}").status == 200
        for i, node in enumerate(list(cls.cluster) * 3):
            assert node.call("DELETE", f"/v1/kv/shop/k{i}").status == 200
            assert node.put("shop", f"short{i}", "x", "?ttl=1h").status == 200
            token = node.begin("pay", f"r{i}", query="?wait=20s").json()["token"]
            assert node.complete("pay", f"r{i}", token).status == 200
        cls.cluster.wait_in_sync()

    def verify(self, *words, at="eu", code=0):
        ran = self.cluster[at].cli("verify", *words, "--format", "json")
        self.assertEqual(ran.returncode, code, ran.stdout + ran.stderr)
        return json.loads(ran.stdout)

    def damage(self, name, key, what):
        node = self.cluster[name]
        node.stop()
        for engine in node.data.glob("*"):
            if (engine / "CURRENT").exists():
                subprocess.run([str(DAMAGE), str(engine), "shop", key, what], check=True, timeout=60)
                break
        else:
            self.fail(f"no store in {node.data}")
        node.start()
        self.cluster.wait_in_sync()

    def put(self, key, value, query=""):
        self.assertEqual(self.cluster["eu"].put("shop", key, value, "?ack=all&timeout=30s" + query).status, 200)

    def test_members_that_took_the_same_load_hold_the_same(self):
        for words in ((), ("--deep",), ("--ns", "shop")):
            answer = self.verify(*words)
            self.assertEqual((answer["same"], answer["different"]), (True, []))
            self.assertEqual(sorted(m["node"] for m in answer["members"]), ["ap", "eu", "us"])
            self.assertTrue(all(m["compared"] and m["vector"] for m in answer["members"]))

    def test_a_row_that_one_member_lost_is_found_and_repaired(self):
        self.put("lost", "1")
        self.damage("us", "lost", "remove")
        answer = self.verify("--deep", code=10)
        self.assertEqual([(d["key"], d["members"]["us"]) for d in answer["different"]], [("lost", None)])
        notes = {m["node"]: m["note"] for m in answer["members"]}
        self.assertIn("does not fit its rows", notes["us"])
        self.assertEqual((notes["eu"], notes["ap"]), ("", ""))
        repaired = self.verify("--deep", "--repair", at="us")["repaired"]
        self.assertEqual([(r["key"], r["note"]) for r in repaired], [("lost", "")])
        self.assertEqual(self.cluster["us"].get("shop", "lost").body, b"1")
        self.assertTrue(self.verify("--deep")["same"])
        self.assertTrue(self.verify()["same"])

    def test_a_flipped_byte_is_found_and_the_members_whose_digest_fits_are_believed(self):
        self.put("flipped", "value")
        self.damage("eu", "flipped", "flip")
        self.assertEqual(self.cluster["eu"].get("shop", "flipped").body, b"valud")
        answer = self.verify("--deep", code=10)
        self.assertEqual([d["key"] for d in answer["different"]], ["flipped"])
        versions = {said["version"] for said in answer["different"][0]["members"].values()}
        self.assertEqual(len(versions), 1)
        table = self.cluster["ap"].cli("verify", "--deep")
        self.assertEqual(table.returncode, 10)
        self.assertIn(b"its digest does not fit its rows, in 1 buckets", table.stdout)
        self.assertIn(b"\tshop\tflipped\t", table.stdout)
        self.verify("--deep", "--repair", at="eu")
        for node in self.cluster:
            self.assertEqual(node.get("shop", "flipped").body, b"value")
        self.assertTrue(self.verify("--deep")["same"])

    def test_a_key_with_a_ttl_is_compared_by_deep_and_keeps_its_end(self):
        self.put("ttl", "1", "&ttl=1h")
        self.damage("ap", "ttl", "remove")
        self.assertTrue(self.verify()["same"], "it is in no digest")
        self.assertEqual([d["key"] for d in self.verify("--deep", code=10)["different"]], ["ttl"])
        self.verify("--deep", "--repair")
        self.assertTrue(self.verify("--deep")["same"])
        rows = self.cluster["ap"].call("GET", "/v1/digest?rows=kv&ns=shop&key=ttl").json()["items"]
        self.assertIsNotNone(rows[0]["expires_at"])

    def test_a_member_that_cannot_be_reached_is_said_and_the_others_are_compared(self):
        self.cluster["ap"].stop()
        try:
            answer = self.verify("--deep", code=10)
            notes = {m["node"]: m["note"] for m in answer["members"]}
            self.assertIn("not compared: ", notes["ap"])
            self.assertEqual((notes["eu"], notes["us"], answer["different"]), ("", "", []))
        finally:
            self.cluster["ap"].start()
            self.cluster.wait_in_sync()

    def test_writes_that_go_on_are_no_difference(self):
        command = [str(PROGRAM), "--server", self.cluster["us"].url, "verify", "--deep", "--format", "json"]
        running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        written = 0
        while running.poll() is None and written < 100_000:
            for node in self.cluster:
                written += 1
                node.put("busy", f"k{written % 20}", str(written))
        out, err = running.communicate(timeout=60)
        answer = json.loads(out)
        self.assertEqual(answer["different"], [], err)
        self.assertEqual([m["note"] for m in answer["members"]], ["", "", ""])
        self.assertGreater(written, 0)
        wait_until(lambda: self.verify()["same"], 30, "they hold the same once nobody writes")


if __name__ == "__main__":
    unittest.main()
