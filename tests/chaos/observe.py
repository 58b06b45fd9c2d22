# SPDX-License-Identifier: Apache-2.0
"""Reads what every node shows of a round: rows, replays, duplicates. Nothing else is under way meanwhile."""
import base64
import concurrent.futures
from typing import Dict

from history import Replay, Round, Seen
from load import Client

KINDS_OF_ROWS = "kv", "hot", "sum", "fx"
KINDS_OF_REQUESTS = "retry", "hold"


def observe(cluster, round_: Round) -> Dict[str, Seen]:
    completed = set()
    for node in cluster:
        for kind in KINDS_OF_REQUESTS:
            ns = round_.ns(kind)
            completed |= {(ns, item["id"]) for item in node.items(f"/v1/requests/{ns}?state=completed")}
    ended = completed | {run.request for run in round_.runs if run.outcome == "acked"}
    with concurrent.futures.ThreadPoolExecutor(len(list(cluster))) as pool:
        looks = {node.name: pool.submit(_seen, node, round_, sorted(ended)) for node in cluster}
        return {name: look.result() for name, look in looks.items()}


def _seen(node, round_: Round, ended) -> Seen:
    rows, duplicates = {}, {}
    for kind in KINDS_OF_ROWS:
        ns = round_.ns(kind)
        for item in node.items(f"/v1/kv/{ns}?values=true"):
            value = item["value"] if "value" in item else base64.b64decode(item["value_base64"]).decode("latin-1")
            rows[ns, item["key"]] = value, item["version"]
    for kind in KINDS_OF_REQUESTS:
        for item in node.items(f"/v1/duplicates?ns={round_.ns(kind)}"):
            loser = item["loser"]
            duplicates[item["id"]] = (item["ns"], item["request"]), loser["node"], loser["fencing"]
    client, replays = Client(node.port), {}
    for request in ended:
        path = f"/v1/requests/{request[0]}/{request[1]}/begin?wait=20s"
        answer = client.call("POST", path, round_.payloads[request], wait=30)
        replays[request] = Replay(answer.status, answer.body.decode(errors="replace"))
    client.close()
    return Seen(rows, replays, duplicates)
