#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The broker that other tests rely on does what it says."""
import os
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from kafka_broker import KafkaBroker, answers, free_ports  # noqa: E402
from kafka_client import TOPIC_EXISTS, UNKNOWN_TOPIC, KafkaClient, KafkaError, crc32c  # noqa: E402

TOPIC = "refrain.test.journal.eu"


class KafkaBrokerTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.relay_port = free_ports(1)[0]
        cls.broker = KafkaBroker(advertised={"EU": cls.relay_port}).start()

    @classmethod
    def tearDownClass(cls):
        cls.broker.cleanup()

    def setUp(self):
        with self.broker.client() as kafka:
            for topic in kafka.topics():
                kafka.delete_topic(topic)

    def test_any_bytes_come_back_as_they_were_sent(self):
        values = [bytes(range(256)), b"", b"\n\0\r\n", os.urandom(700_000)]
        with self.broker.client() as kafka:
            kafka.create_topic(TOPIC, config={"message.timestamp.type": "LogAppendTime"})
            self.assertEqual(kafka.produce(TOPIC, *values[:3]), 0)
            self.assertEqual(kafka.produce(TOPIC, values[3], key=b"k"), 3)
            self.assertEqual([r.value for r in kafka.records(TOPIC)], values)
            self.assertEqual([r.offset for r in kafka.records(TOPIC, start=2)], [2, 3])
            self.assertGreater(kafka.records(TOPIC)[0].timestamp_ms, 1_600_000_000_000)
            self.assertEqual(kafka.topic_config(TOPIC)["message.timestamp.type"], "LogAppendTime")

    def test_a_topic_can_be_cut_deleted_and_made_again(self):
        with self.broker.client() as kafka:
            kafka.create_topic(TOPIC)
            with self.assertRaises(KafkaError) as caught:
                kafka.create_topic(TOPIC)
            self.assertEqual(caught.exception.code, TOPIC_EXISTS)
            kafka.produce(TOPIC, b"a", b"b", b"c")
            kafka.truncate(TOPIC, 2)
            self.assertEqual(kafka.bounds(TOPIC), (2, 3))
            self.assertEqual([r.value for r in kafka.records(TOPIC)], [b"c"])
            kafka.set_topic_config(TOPIC, {"retention.ms": "1234"})
            self.assertEqual(kafka.topic_config(TOPIC)["retention.ms"], "1234")
            kafka.delete_topic(TOPIC)
            with self.assertRaises(KafkaError) as caught:
                kafka.records(TOPIC)
            self.assertEqual(caught.exception.code, UNKNOWN_TOPIC)
            kafka.create_topic(TOPIC)
            self.assertEqual(kafka.records(TOPIC), [])

    def test_a_killed_broker_comes_back_on_the_same_port_with_its_data(self):
        with self.broker.client() as kafka:
            kafka.create_topic(TOPIC)
            kafka.produce(TOPIC, b"kept")
        bootstrap = self.broker.bootstrap
        self.broker.kill()
        self.assertFalse(answers(bootstrap))
        self.broker.start()
        self.assertEqual(self.broker.bootstrap, bootstrap)
        with self.broker.client() as kafka:
            self.assertEqual([r.value for r in kafka.records(TOPIC)], [b"kept"])

    def test_a_paused_broker_answers_again_when_resumed(self):
        self.addCleanup(self.broker.resume)
        self.broker.pause()
        with self.assertRaises(TimeoutError), self.broker.client(timeout=0.3) as kafka:
            kafka.topics()
        self.broker.resume()
        self.assertTrue(answers(self.broker.bootstrap))

    def test_a_region_listener_is_advertised_at_the_relay(self):
        listen = self.broker.listen_ports["EU"]
        self.assertNotEqual(listen, self.relay_port)
        with KafkaClient(f"127.0.0.1:{listen}") as kafka:
            self.assertEqual(kafka.advertised(), [("127.0.0.1", self.relay_port)])


class Crc32cTest(unittest.TestCase):
    def test_matches_the_published_check_value(self):
        self.assertEqual(crc32c(b"123456789"), 0xE3069283)


if __name__ == "__main__":
    unittest.main(verbosity=2)
