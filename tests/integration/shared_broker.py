# SPDX-License-Identifier: Apache-2.0
"""One Kafka broker for all tests of a run that do not hurt it. Clusters tell themselves apart by their names."""
import atexit

from kafka_broker import KafkaBroker
from relay import Relay

_broker = None
_relays = {}


def shared_broker():
    global _broker
    if _broker is None:
        _relays.update({name: Relay() for name in ("eu", "us", "ap")})
        _broker = KafkaBroker(advertised={name.upper(): relay.port for name, relay in _relays.items()})
        for name, relay in _relays.items():
            relay.target = _broker.listen_ports[name.upper()]
        _broker.start()
        atexit.register(_broker.cleanup)
    return _broker


def shared_relays():
    """name -> the relay through which a node of that name reaches the shared broker."""
    shared_broker()
    return _relays
