# SPDX-License-Identifier: Apache-2.0
"""`refrain` without a node, and against one that runs alone: exit codes, tables on a pipe, what goes to stdout and what
to stderr."""
import http.server
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import tempfile
import threading
import unittest

import openapi_check
from cluster import Node, free_ports, wait_until
from program import Program, Recorder, tables

CONFIG = "limits: {rate: {limited: {per_second: 1, burst: 1}}}\nrequests: {namespaces: {held: {on_expiry: hold}}}\n"
ID = "0" * 32
TOKEN = ["--token", "x"]
CLIENT = (
    ["status"], ["sync"], ["sync", "resume", "us"], ["events", "ls"], ["events", "show", "eu.1"], ["events", "retry"],
    ["conflicts", "ls"], ["conflicts", "show", ID], ["conflicts", "resolve", ID, "--delete"], ["member", "ls"],
    ["member", "log"], ["verify"], ["kv", "get", "n", "k"], ["kv", "put", "n", "k", "v"], ["kv", "del", "n", "k"],
    ["kv", "scan", "n"],
    ["request", "begin", "n", "r"], ["request", "complete", "n", "r", *TOKEN], ["request", "renew", "n", "r", *TOKEN],
    ["request", "release", "n", "r", *TOKEN], ["request", "show", "n", "r"], ["request", "ls", "n"],
    ["request", "resolve", "n", "r", "--release"], ["duplicates", "ls"],
)
LOCAL = (["serve"], ["demo"], ["config", "check"], ["config", "show"], ["completion", "bash"], ["version"])


def path_of(words):
    """The words that name the command."""
    groups = {words[0] for words in CLIENT + LOCAL if len(words) > 1} - {"sync", "completion"}
    deep = words[0] in groups or words[:2] == ["sync", "resume"]
    return words[: 2 if deep else 1]


class WithoutANode(Program):
    def test_the_version_is_data(self):
        out, err = self.run_it("version")
        self.assertRegex(out, r"^refrain \d+\.\d+\.\d+\n$")
        self.assertEqual((self.run_it("--version")[0], err), (out, ""))

    def test_every_command_has_help_with_an_example_and_a_completion(self):
        script, _ = self.run_it("completion", "bash")
        for words in CLIENT + LOCAL:
            path = path_of(list(words))
            out, err = self.run_it(*path, "--help")
            self.assertIn(f"refrain {' '.join(path)}", out.split("Examples:")[1])
            self.assertEqual(err, "")
            self.assertIn(f'" {" ".join(path)}"', script)

    def test_wrong_usage_is_2_and_a_message(self):
        wrong = (
            [], ["nothing"], ["kv"], ["kv", "get", "n"], ["kv", "get", "N", "k"], ["kv", "put", "n", "k"],
            ["kv", "put", "n", "k", "v", "--file", "f"], ["kv", "put", "n", "k", "v", "--ttl", "1y"],
            ["kv", "get", "n", "a//b"],
            ["kv", "scan", "n", "--limit", "0"], ["status", "--watchh"], ["status", "--format", "xml"],
            ["status", "--max-lag", "x"], ["--server", "eu", "status"], ["events", "show", "x"],
            ["events", "ls", "--state", "x"],
            ["sync", "resume"], ["sync", "resume", "us", "--skip", "x"], ["conflicts", "resolve", ID],
            ["conflicts", "resolve", ID, "--keep", "both"], ["conflicts", "resolve", ID, "--keep", "loser", "--delete"],
            ["request", "begin", "n"], ["request", "begin", "n", "a b"],
            ["request", "begin", "n", "r", "--on-expiry", "x"], ["request", "begin", "n", "r", "--fingerprint", "0"],
            ["request", "begin", "n", "r", "--data", "x", "--file", "f"],
            ["request", "complete", "n", "r"], ["request", "complete", "n", "r", *TOKEN, "--status", "1000"],
            ["request", "resolve", "n", "r"], ["request", "resolve", "n", "r", "--release", "--complete"],
            ["duplicates", "ls", "--ns", "N"], ["completion"], ["completion", "fish"], ["demo", "--kafka-ports", "1,2"],
        )
        for words in wrong:
            out, err = self.run_it(*words, code=2)
            self.assertEqual(out, "", words)
            self.assertNotEqual(err, "", words)

    def test_a_server_of_the_environment_that_is_no_url_is_2(self):
        _, err = self.run_it("status", code=2, environment={"REFRAIN_SERVER": "eu"})
        self.assertIn("REFRAIN_SERVER", err)

    def test_no_connection_is_3_for_every_command_that_asks_a_node(self):
        closed = f"http://127.0.0.1:{free_ports(1)[0]}"
        for words in CLIENT:
            out, err = self.run_it(*words, "--server", closed, code=3)
            self.assertEqual((out, err), ("", f"refrain: cannot reach {closed}: Connection refused\n"), words)

    def test_a_connection_that_is_closed_without_an_answer_is_3(self):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            def hang_up():
                for _ in range(2):  # curl may try once more
                    try:
                        listener.accept()[0].close()
                    except OSError:
                        return

            threading.Thread(target=hang_up, daemon=True).start()
            _, err = self.run_it("status", "--server", f"http://127.0.0.1:{listener.getsockname()[1]}", code=3)
            self.assertIn("cannot reach", err)

    def test_what_is_no_refrain_node_is_said(self):
        class Hello(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200)
                self.end_headers()
                self.wfile.write(b"<h1>hello</h1>")

            def log_message(self, *_):
                pass

        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hello) as hello:
            threading.Thread(target=hello.serve_forever, args=(0.01,), daemon=True).start()
            self.addCleanup(hello.shutdown)
            out, err = self.run_it("status", "--server", f"http://127.0.0.1:{hello.server_port}", code=1)
            self.assertEqual(out, "")
            self.assertIn("not JSON", err)

    def test_bash_takes_the_completion_and_it_completes(self):
        script, err = self.run_it("completion", "bash")
        self.assertEqual(err, "")
        checked = subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True)
        self.assertEqual((checked.returncode, checked.stderr), (0, ""))
        for line, expected in (("k", {"kv"}), ("kv ", {"del", "get", "put", "scan"}), ("kv sc", {"scan"}),
                               ("conflicts resolve 1 --keep ", {"winner", "loser"}),
                               ("request begin n r --on-e", {"--on-expiry"}),
                               ("sync ", {"resume"}), ("config show --format ", {"table", "json"})):
            words = ["refrain", *line.split(" ")]
            ask = f'{script}\nCOMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _refrain; printf "%s\\n" "${{COMPREPLY[@]}}"'
            done = subprocess.run(["bash", "-c", ask, "bash", *words], capture_output=True, text=True)
            self.assertEqual(done.stderr, "")
            self.assertLessEqual(expected, set(done.stdout.split()), line)

    def test_zsh_takes_the_completion(self):
        script, err = self.run_it("completion", "zsh")
        self.assertEqual(err, "")
        self.assertTrue(script.startswith("#compdef refrain\n"), script[:100])
        if shutil.which("zsh"):
            checked = subprocess.run(["zsh", "-n"], input=script, capture_output=True, text=True)
            self.assertEqual((checked.returncode, checked.stderr), (0, ""))


class Configuration(Program):
    GOOD = (
        "cluster: shop\n"
        "node: {name: eu, region: here}\n"
        "kafka:\n"
        '  brokers: ["127.0.0.1:1"]\n'
        "  properties: {sasl.password: hunter2, sasl.username: bob}\n"
        "requests: {namespaces: {payments: {on_expiry: hold}}}\n"
    )

    def shown(self, *words, **more):
        out, _ = self.run_it("config", "show", *words, **more)
        return {row["KEY"]: (row["VALUE"], row["ORIGIN"]) for row in tables(out)[0]}

    def test_a_good_file_is_0_and_said_on_stderr(self):
        file = self.file(self.GOOD)
        for words in ((file,), ("--config", file)):
            out, err = self.run_it("config", "check", *words)
            self.assertEqual(out, "")
            self.assertIn("good: cluster shop, node eu, with Kafka", err)
        out, err = self.run_it("config", "check", environment={"REFRAIN_CONFIG": file})
        self.assertIn("good: cluster shop", err)

    def test_each_error_is_2_with_file_and_line(self):
        for line, said in (("htttp: {}", "unknown key"), ("http: {lissten: 1}", "did you mean http.listen"),
                           ("limits: {value: 1GiB}", "limits.value"), ("http: {listen: 0.0.0.0:80}", "http.insecure"),
                           ("limits: {rate: {A: {per_second: 1}}}", "namespace"), ("log: {level: loud}", "log.level"),
                           ("kafka: {properties: {acks: '0'}}", "acks"), ("node: {name: all}", "node.name"),
                           ("requests: {namespaces: {p: {scope: home}}}", "scope"), ("cluster: again", "twice"),
                           ("publish: {window: -1}", "publish.window"), ("x: [", "no YAML")):
            file = self.file(f"cluster: shop\n\n{line}\n")
            for command in (["config", "check", file], ["config", "show", file], ["serve", "--config", file]):
                out, err = self.run_it(*command, code=2)
                self.assertEqual(out, "")
                self.assertRegex(err, rf"^refrain: {re.escape(file)}:[34]: ", line)
                self.assertIn(said, err)

    def test_all_errors_are_named_at_once(self):
        file = self.file("cluster: shop\nx: 1\ny: 2\n")
        _, err = self.run_it("config", "check", file, code=2)
        self.assertIn(f"{file}:2: x:", err)
        self.assertIn(f"{file}:3: y:", err)

    def test_a_file_that_is_not_there_is_2(self):
        _, err = self.run_it("config", "check", "/nowhere.yaml", code=2)
        self.assertIn("/nowhere.yaml", err)

    def test_show_names_where_each_value_came_from(self):
        file = self.file(self.GOOD)
        environment = {"REFRAIN_NODE_REGION": "there", "REFRAIN_HTTP_IDLE_TIMEOUT": "7s"}
        values = self.shown(file, "--http.idle_timeout", "5s", environment=environment)
        self.assertEqual(values["cluster"], ("shop", f"{file}:1"))
        self.assertEqual(values["node.region"], ("there", "REFRAIN_NODE_REGION"))
        self.assertEqual(values["http.idle_timeout"], ("5s", "--http.idle_timeout"))
        self.assertEqual(values["http.listen"], ("127.0.0.1:8080", "default"))
        self.assertEqual(values["kafka.brokers"], ("127.0.0.1:1", f"{file}:4"))
        self.assertEqual(values["requests.namespaces.payments.on_expiry"], ("hold", f"{file}:6"))
        self.assertEqual(values["requests.namespaces.payments.scope"], ("local", "default"))

    def test_secrets_are_masked_wherever_they_came_from(self):
        file = self.file(self.GOOD)
        secret = self.file("from-a-file\n")
        for environment in ({}, {"REFRAIN_KAFKA_PROPERTIES_SASL_PASSWORD": "from-the-environment"},
                            {"REFRAIN_KAFKA_PROPERTIES_SASL_PASSWORD_FILE": secret}):
            for words in ((), ("--format", "json")):
                out, err = self.run_it("config", "show", file, *words, environment=environment)
                self.assertIn("bob", out)
                for hidden in ("hunter2", "from-the-environment", "from-a-file"):
                    self.assertNotIn(hidden, out + err)
            origin = next(iter(environment), f"{file}:5")
            shown = self.shown(file, environment=environment)["kafka.properties.sasl.password"]
            self.assertEqual(shown, ("********", origin))

    def test_json_is_one_array_of_what_the_table_has(self):
        file = self.file(self.GOOD)
        out, _ = self.run_it("config", "show", file, "--format", "json")
        listed = {item["key"]: (item["value"], item["origin"]) for item in json.loads(out)}
        self.assertEqual(listed, self.shown(file))

    def test_a_variable_that_sets_nothing_is_a_warning(self):
        _, err = self.run_it("config", "check", self.file(self.GOOD), environment={"REFRAIN_HTTP_LISTTEN": "x"})
        self.assertIn("warning: REFRAIN_HTTP_LISTTEN", err)


class OneNode(Program):
    @classmethod
    def setUpClass(cls):
        directory = tempfile.mkdtemp(prefix="refrain-cli-")
        cls.addClassCleanup(shutil.rmtree, directory, ignore_errors=True)
        cls.node = Node(directory, "eu", config=CONFIG)
        cls.addClassCleanup(cls.node.kill)
        cls.node.start()
        cls.server = cls.node.url

    def setUp(self):
        self.ns = "n" + os.urandom(6).hex()

    def test_the_server_of_the_flag_goes_before_that_of_the_environment(self):
        self.assertEqual(self.row("kv", "put", self.ns, "k", "v")["STATE"], "pending")
        for words in (["--server", self.node.url + "/", "kv", "get", self.ns, "k"],
                      ["kv", "get", self.ns, "k", "--server", self.node.url]):
            out, _ = self.run_it(*words, environment={"REFRAIN_SERVER": "http://127.0.0.1:1"})
            self.assertEqual(out, "v")

    def test_a_node_that_runs_alone_is_in_sync(self):
        out, err = self.run_it("status")
        node, members, rest = tables(out)[:3]
        self.assertEqual([node[0][name] for name in ("CAUSE", "IN_SYNC", "NODE", "MODE")], ["", "yes", "eu", "alone"])
        self.assertEqual([m["MEMBER"] for m in members], ["eu"])
        self.assertEqual(rest[0]["KAFKA"], "none: this node runs alone")
        self.assertEqual(err, "")

    def test_kv(self):
        put = self.row("kv", "put", self.ns, "a/b", "one")
        self.assertEqual(self.node.get(self.ns, "a/b").headers["etag"], f'"{put["VERSION"]}"')
        self.assertEqual(self.run_it("kv", "get", self.ns, "a/b"), ("one", ""))  # the bytes and nothing else
        self.run_it("kv", "put", self.ns, "a/b", "two", "--if-absent", code=4)
        again = self.row("kv", "put", self.ns, "a/b", "two", "--if-match", put["VERSION"])
        out, err = self.run_it("kv", "put", self.ns, "a/b", "three", "--if-match", put["VERSION"], code=4)
        self.assertEqual(out, "")
        self.assertIn("version_mismatch", err)
        self.run_it("kv", "put", self.ns, "c d", "--file", "-", stdin=b"from\tstdin\n\\")
        self.run_it("kv", "put", self.ns, "e", "--file", self.file("from a file"))
        out, err = self.run_it("kv", "scan", self.ns, "--values")
        self.assertEqual([(r["KEY"], r["VALUE"]) for r in tables(out)[0]],
                         [("a/b", "two"), ("c d", "from\\tstdin\\n\\\\"), ("e", "from a file")])
        out, err = self.run_it("kv", "scan", self.ns, "--limit", "1", "--after", "a/b")
        self.assertEqual([r["KEY"] for r in tables(out)[0]], ["c d"])
        self.assertIn("there are more", err)
        self.run_it("kv", "del", self.ns, "a/b", "--if-match", put["VERSION"], code=4)
        self.assertEqual(self.row("kv", "del", self.ns, "a/b", "--if-match", again["VERSION"])["EXISTED"], "true")
        self.assertEqual(self.row("kv", "del", self.ns, "a/b")["EXISTED"], "false")
        out, err = self.run_it("kv", "get", self.ns, "a/b", code=4)
        self.assertEqual(out, "")
        self.assertIn("not_found", err)

    def test_a_scan_of_nothing_is_a_header_line(self):
        self.assertEqual(self.run_it("kv", "scan", self.ns), ("KEY\tVERSION\n", ""))

    def test_a_ttl_and_an_idempotency_key_are_passed_on(self):
        first = self.row("kv", "put", self.ns, "k", "v", "--idempotency-key", "once")
        again = self.row("kv", "put", self.ns, "k", "v", "--idempotency-key", "once")
        self.assertEqual(first["COMMIT"], again["COMMIT"])
        self.run_it("kv", "put", self.ns, "k", "w", "--idempotency-key", "once", code=4)
        self.run_it("kv", "put", self.ns, "short", "v", "--ttl", "1ms")
        wait_until(lambda: self.node.get(self.ns, "short").status == 404, 10, "the key is gone")

    def test_a_session_file_is_kept_and_sent(self):
        file = self.file("", "seen")
        self.run_it("kv", "put", self.ns, "k", "v", "--session-file", file)
        seen = pathlib.Path(file).read_text()
        self.assertEqual(self.run_it("kv", "get", self.ns, "k", "--session-file", file, "--wait", "1s")[0], "v")
        self.assertNotEqual(seen, "")
        pathlib.Path(file).write_text("damaged!")
        self.run_it("kv", "get", self.ns, "k", "--session-file", file, code=2)

    def test_what_the_node_refuses_for_now_or_for_good_is_1(self):
        self.run_it("kv", "put", self.ns, "k", "--file", "-", stdin=b"v" * (512 * 1024 + 1), code=1)
        for _ in range(50):
            limited = self.node.cli("kv", "put", "limited", "k", "v")
            if limited.returncode:
                break
        self.assertEqual((limited.returncode, limited.stdout), (1, b""))
        self.assertIn(b"rate_limited", limited.stderr)

    def test_begin_has_exit_codes_of_its_own(self):
        begin = ["request", "begin", self.ns, "r", "--data", "payload"]
        go = self.row(*begin, "--lease", "59s")
        self.assertEqual((go["ATTEMPT"], go["LEASE_MS"], go["SCOPE"]), ("1", "59000", "local"))
        out, err = self.run_it(*begin, code=7)
        self.assertEqual(out, "")
        self.assertIn("request_in_progress", err)
        out, err = self.run_it("request", "begin", self.ns, "r", "--data", "another", code=4)
        self.assertIn("fingerprint_mismatch", err)
        response = ["--data", "first answer", "--status", "402", "--content-type", "text/x"]
        done = self.row("request", "complete", self.ns, "r", "--token", go["TOKEN"], *response)
        self.assertEqual(done["STATE"], "pending")
        out, err = self.run_it(*begin, code=6)
        self.assertEqual(out, "first answer")  # the bytes and nothing else
        self.assertIn("402", err)
        self.assertIn("text/x", err)
        self.run_it("request", "begin", self.ns, "r", "--file", "-", stdin=b"payload", code=6)

    def test_any_other_answer_to_begin_is_4(self):
        self.run_it("request", "begin", "held", self.ns, "--lease", "1ms")
        wait_until(lambda: self.node.begin("held", self.ns, "").code == "outcome_unknown", 10, "unknown")
        self.assertIn("outcome_unknown", self.run_it("request", "begin", "held", self.ns, code=4)[1])
        token = self.row("request", "begin", self.ns, "gone")["TOKEN"]
        self.run_it("request", "complete", self.ns, "gone", "--token", token, "--too-large")
        self.assertIn("response_too_large", self.run_it("request", "begin", self.ns, "gone", code=4)[1])

    def test_complete_takes_operations_and_refuses_a_second_answer(self):
        token = self.row("request", "begin", self.ns, "r")["TOKEN"]
        operations = json.dumps([{"put": {"ns": self.ns, "key": "effect", "value": "1"}}])
        complete = ["request", "complete", self.ns, "r", "--token", token, "--operations", "-"]
        self.run_it(*complete, "--data", "x", stdin=b"no json", code=2)
        done = self.row(*complete, "--data", "x", stdin=operations.encode())
        self.assertRegex(done["COMMIT"], r"^eu\.[0-9a-f]{16}\.\d+$")
        self.assertEqual(self.node.get(self.ns, "effect").body, b"1")
        self.run_it(*complete, "--data", "x", stdin=operations.encode())  # the same again
        self.assertIn("completed_differently", self.run_it(*complete, "--data", "y", stdin=b"[]", code=4)[1])
        self.run_it("request", "complete", self.ns, "r", "--token", "x", code=2)  # 400 bad_token

    def test_renew_and_release(self):
        token = ["--token", self.row("request", "begin", self.ns, "r")["TOKEN"]]
        self.assertEqual(self.row("request", "renew", self.ns, "r", *token, "--lease", "50s")["LEASE_MS"], "50000")
        self.assertEqual(self.row("request", "release", self.ns, "r", *token)["STATE"], "pending")
        self.assertIn("released", self.run_it("request", "renew", self.ns, "r", *token, code=4)[1])
        self.assertEqual(self.row("request", "begin", self.ns, "r")["ATTEMPT"], "2")

    def test_show_and_ls(self):
        self.assertIn("not_found", self.run_it("request", "show", self.ns, "a", code=4)[1])
        token = self.row("request", "begin", self.ns, "a", "--data", "payload", "--on-expiry", "hold")["TOKEN"]
        self.row("request", "begin", self.ns, "b")
        shown = self.row("request", "show", self.ns, "a", "--fingerprint", "0" * 64)
        told = [shown[name] for name in ("STATE", "ON_EXPIRY", "FINGERPRINT_MATCHES")]
        self.assertEqual(told, ["running", "hold", "false"])
        self.run_it("request", "complete", self.ns, "a", "--token", token, "--data", "xyz")
        shown = self.row("request", "show", self.ns, "a")
        self.assertEqual(shown["RESPONSE"], "status 200, application/octet-stream, 3 bytes")
        out, err = self.run_it("request", "ls", self.ns)
        self.assertEqual([(r["ID"], r["STATE"]) for r in tables(out)[0]], [("a", "completed"), ("b", "running")])
        self.assertEqual(self.row("request", "ls", self.ns, "--state", "running")["ID"], "b")
        self.assertEqual(self.row("request", "ls", self.ns, "--after", "a")["ID"], "b")
        out, err = self.run_it("request", "ls", self.ns, "--limit", "1")
        self.assertIn("--after 'a'", err)

    def test_resolve_says_what_became_of_an_unknown_request(self):
        done, undone = self.ns + "-done", self.ns + "-undone"
        for request in (done, undone):
            self.run_it("request", "begin", "held", request, "--lease", "1ms")
            wait_until(lambda r=request: self.node.begin("held", r, "").code == "outcome_unknown", 10, "unknown")
        _, err = self.run_it("request", "show", "held", done)
        self.assertIn("refrain request resolve held", err)
        self.run_it("request", "resolve", "held", done, "--complete", "--data", "by hand", "--content-type", "text/x")
        out, err = self.run_it("request", "begin", "held", done, code=6)
        self.assertEqual(out, "by hand")
        self.assertIn("text/x", err)
        self.run_it("request", "resolve", "held", done, "--release", code=4)
        self.run_it("request", "resolve", "held", undone, "--release")
        self.assertEqual(self.row("request", "begin", "held", undone)["ATTEMPT"], "2")
        self.run_it("request", "resolve", "held", "absent" + self.ns, "--release", code=4)

    def test_with_json_an_error_is_the_problem_as_it_came_and_a_message(self):
        for words, code in ((["kv", "get", self.ns, "k"], 4), (["events", "show", "eu.999999999"], 4),
                            (["conflicts", "show", ID], 4), (["conflicts", "resolve", ID, "--delete"], 4),
                            (["sync", "resume", "us"], 4), (["request", "show", self.ns, "r"], 4),
                            (["kv", "put", self.ns, "k", "v", "--ack", "nobody"], 2),
                            (["request", "renew", self.ns, "r", *TOKEN], 2)):
            with Recorder(self.node) as recorder:
                out, err = self.run_it(*words, "--format", "json", "--server", recorder.url, code=code)
            ((method, path, answer),) = recorder.calls
            self.assertEqual(out.encode(), answer.body + b"\n", words)
            self.assertEqual(openapi_check.check(method, path, answer), [])
            self.assertIn(f"({answer.code})", err)


if __name__ == "__main__":
    unittest.main()
