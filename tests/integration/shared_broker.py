# SPDX-License-Identifier: Apache-2.0
"""One Kafka broker for all tests of a run that do not hurt it. Clusters tell themselves apart by their names."""
import atexit

from kafka_broker import KafkaBroker

_broker = None


def shared_broker():
    global _broker
    if _broker is None:
        _broker = KafkaBroker().start()
        atexit.register(_broker.cleanup)
    return _broker
