#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Charges a card once, however often it is called with the same order: begin, renew while working, complete.

    charge.py http://127.0.0.1:8080 ORDER AMOUNT

Prints what the first run answered. Exit code 0: charged (now or before); 1: somebody else is at it, or nobody knows."""
import json
import sys
import threading
import urllib.error
import urllib.parse
import urllib.request

NAMESPACE = "payments"


def call(url, body, content_type="application/json"):
    """(status, headers, body) of a POST; a refusal is an answer too."""
    request = urllib.request.Request(url, data=body, headers={"Content-Type": content_type}, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=70) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as refusal:
        return refusal.code, refusal.headers, refusal.read()


class Renewing:
    """Renews the lease in the background until the work is done. A lost lease is said; the work goes on, and complete
    decides."""

    def __init__(self, base, token, lease_ms):
        self.base, self.token, self.lease_ms = base, token, lease_ms
        self.done = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def run(self):
        while not self.done.wait(self.lease_ms / 3000):
            try:
                status, _, body = call(f"{self.base}/renew", json.dumps({"token": self.token}).encode())
            except OSError:
                continue  # the node may be back before the lease is over
            if status != 200 and status != 503:
                print("the lease is lost:", body.decode(), file=sys.stderr)
                return

    def __enter__(self):
        self.thread.start()

    def __exit__(self, *_):
        self.done.set()
        self.thread.join()


def charge_card(order, amount):
    """Stands for the payment provider. Pass the fencing number on where the provider takes one."""
    return {"order": order, "charged": amount}


def main():
    server, order, amount = sys.argv[1:4]
    base = f"{server}/v1/requests/{NAMESPACE}/{urllib.parse.quote(order, safe='')}"
    payload = json.dumps({"order": order, "amount": amount}).encode()
    # hold: when we die half way, nobody guesses whether the card was charged.
    status, headers, body = call(f"{base}/begin?on_expiry=hold&wait=30s", payload)
    if headers.get("Refrain-Decision") == "replay":
        print(body.decode())
        return 0
    if headers.get("Refrain-Decision") != "go":  # 2xx alone is no go: a replay is 2xx too
        print(f"not charged ({status}):", body.decode(), file=sys.stderr)
        return 1
    go = json.loads(body)
    with Renewing(base, go["token"], go["lease_ms"]):
        result = json.dumps(charge_card(order, amount))
    completion = {
        "token": go["token"],
        "response": {"status": 201, "content_type": "application/json", "body": result},
        "operations": [{"put": {"ns": "ledger", "key": order, "value": result}}],
    }
    status, _, body = call(f"{base}/complete", json.dumps(completion).encode())
    if status != 200:
        print(f"charged, but not recorded ({status}):", body.decode(), file=sys.stderr)
        return 1
    print(result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
