#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What stands in deploy/, README and docs fits the program: configurations are taken, flags exist, the table of keys is
whole, compose and Dockerfile say what they must. Docker itself is not needed. The program is $REFRAIN_PROGRAM, else the
release's."""
import functools
import os
import pathlib
import re
import shlex
import stat
import subprocess
import sys
import tempfile
import unittest

import yaml

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from kafka_broker import kafka_version  # noqa: E402
from tree import ROOT, project_files  # noqa: E402

PROGRAM = os.environ.get("REFRAIN_PROGRAM", str(ROOT / "build" / "release" / "refrain"))
DEPLOY = ROOT / "deploy"
REGIONS = ("eu", "us", "ap")
COMPOSE = DEPLOY / "docker-compose.yml"
BEGINS = re.compile(r"^\s*(?:\$ )?(?:\./)?(?:build/release/)?refrain (.*)$")


def run(program, *arguments):
    done = subprocess.run(
        [program, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=30, check=False
    )
    return done.returncode, done.stdout


# --- command lines in texts ----------------------------------------------------------------------------------


def code_lines(text: str, markdown: bool):
    """Lines of code, continued ones joined; in Markdown those between fences, elsewhere those in comments too."""
    fenced, joined = False, ""
    for line in text.splitlines():
        if markdown and line.lstrip().startswith("```"):
            fenced = not fenced
            continue
        if markdown and not fenced:
            continue
        line = joined + (line if markdown else line.lstrip("# "))
        joined = ""
        if line.endswith("\\"):
            joined = line[:-1] + " "
            continue
        yield line


def command_lines(text: str, markdown: bool):
    """The arguments of each `refrain ...` that stands there as a line."""
    for line in code_lines(text, markdown):
        match = BEGINS.match(line)
        if match:
            yield words(match.group(1))


def words(line: str):
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;<>")
    lexer.whitespace_split = True
    lexer.commenters = "#"
    found = []
    for word in lexer:
        if word == "--" or set(word) <= set("|&;<>"):
            break  # what follows is another program's
        found.append(word)
    return found


def subcommands(help_text: str):
    listed = re.split(r"^(?:Sub)?commands?:.*$", help_text, flags=re.IGNORECASE | re.MULTILINE)
    return set(re.findall(r"^ {1,6}([a-z][a-z-]*)\b", "".join(listed[1:]), re.MULTILINE))


def named(flag: str, help_text: str) -> bool:
    return re.search(rf"(?<![\w.-]){re.escape(flag)}(?![\w-]|\.\w)", help_text) is not None


class Helper:
    """Asks a program for its help, each command once."""

    def __init__(self, program: str):
        self.program = program

    @functools.lru_cache(maxsize=None)
    def help(self, *commands):
        return run(self.program, *commands, "--help")

    def complaint(self, arguments):
        """What is wrong with this command line, or None."""
        path = []
        for word in arguments:
            if word in subcommands(self.help(*path)[1]):
                path.append(word)
            elif path and not word.startswith("-"):
                break
        code, text = self.help(*path)
        if code:
            return f"`refrain {' '.join(path)} --help` exits {code}"
        if not path and arguments and not arguments[0].startswith("-"):
            return f"no command {arguments[0]}"
        known = text + self.help()[1]
        for word in arguments:
            flag = word.partition("=")[0]
            if re.fullmatch(r"--[a-z][\w.-]*|-[a-zA-Z]", flag) and not named(flag, known):
                return f"`refrain {' '.join(path)}` knows no {flag}"
        return None


class CommandLinesTest(unittest.TestCase):
    def test_every_command_line_in_the_texts_is_one_that_the_program_knows(self):
        helper, seen = Helper(PROGRAM), 0
        for path in project_files():
            if path.parts[0] in ("docs", "deploy", "examples") or path.name in ("README.md", "docker-compose.yml"):
                text = (ROOT / path).read_text(errors="replace")
                for arguments in command_lines(text, path.suffix == ".md"):
                    seen += 1
                    with self.subTest(path=str(path), command=" ".join(arguments)):
                        self.assertIsNone(helper.complaint(arguments))
        self.assertGreater(seen, 0)

    def test_the_commands_of_compose_are_known(self):
        helper = Helper(PROGRAM)
        for name, service in regions().items():
            with self.subTest(name):
                self.assertIsNone(helper.complaint(service["command"]))


class SelfTest(unittest.TestCase):
    """A checker that never failed is no evidence: a small program with one command and one flag."""

    FAKE = """#!/bin/sh
case "$*" in
  --help) printf 'Options:\\n  --server URL\\nSubcommands:\\n  serve  runs a node\\n  events  what was journalled\\n' ;;
  "serve --help") printf 'Options:\\n  -c,--config FILE\\n  --found\\n' ;;
  "events --help") printf 'Subcommands:\\n  show\\n' ;;
  "events show --help") exit 2 ;;
esac
"""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        program = pathlib.Path(folder.name) / "refrain"
        program.write_text(self.FAKE)
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        self.helper = Helper(str(program))

    def test_known_commands_pass(self):
        for line in ("serve --config a.yaml --found", "serve -c a", "--server http://a serve --config=a"):
            self.assertIsNone(self.helper.complaint(words(line)), line)

    def test_unknown_ones_are_found(self):
        for line in ("serve --fuond", "serve --conf x", "srve", "serve --config.file x", "events show eu.5", "serve -x"):
            self.assertIsNotNone(self.helper.complaint(words(line)), line)

    def test_command_lines_are_found_in_code_only_and_end_where_another_program_begins(self):
        text = (
            "refrain not this\n```sh\n$ refrain kv get a b | jq --foo  # why\nrefrain serve \\\n  --found\n"
            "./build/release/refrain once --id x -- rm --all\ncurl refrain\n```\n"
        )
        found = list(command_lines(text, markdown=True))
        self.assertEqual(found, [["kv", "get", "a", "b"], ["serve", "--found"], ["once", "--id", "x"]])
        self.assertEqual(list(command_lines("#   refrain serve --found\n", markdown=False)), [["serve", "--found"]])


# --- the table of keys ---------------------------------------------------------------------------------------


def settings(help_text: str):
    """key -> default ("" = none or in words), as `serve --help` says."""
    lines = re.sub(r"\n {10,}", " ", help_text).splitlines()
    found = (re.match(r" +--([a-z]\w*(?:\.\w+)*) VALUE +(.*)$", line) for line in lines)
    defaults = {match.group(1): re.search(r"\(default (\S+)\)$", match.group(2)) for match in found if match}
    return {key: default.group(1) if default else "" for key, default in defaults.items()}


class KeysTest(unittest.TestCase):
    def test_the_table_of_keys_has_every_key_with_its_default(self):
        text = (ROOT / "docs" / "configuration.md").read_text()
        listed = dict(re.findall(r"^\| `([^`]+)` \|([^|]*)\|", text, re.MULTILINE))
        known = settings(run(PROGRAM, "serve", "--help")[1])
        self.assertGreater(len(known), 40)
        self.assertEqual(set(known) - set(listed), set())
        in_the_file_only = re.compile(r"kafka\.properties\.|limits\.rate\.|requests\.namespaces\.")
        self.assertEqual({key for key in set(listed) - set(known) if not in_the_file_only.match(key)}, set())
        for key, default in known.items():
            if default:
                self.assertEqual(listed[key].strip(" `"), default, key)


# --- configurations, compose, Dockerfile ---------------------------------------------------------------------


def regions():
    return {name: compose()["services"][name] for name in REGIONS}


@functools.lru_cache(maxsize=None)
def compose():
    return yaml.safe_load(COMPOSE.read_text())


class ConfigurationsTest(unittest.TestCase):
    def files(self):
        return [folder / f"{name}.yaml" for folder in (DEPLOY, DEPLOY / "compose") for name in REGIONS]

    def test_the_program_takes_every_configuration(self):
        for path in self.files():
            with self.subTest(str(path)):
                code, text = run(PROGRAM, "config", "check", "--config", str(path))
                self.assertEqual(code, 0, text)

    def test_nodes_of_one_cluster_differ_in_name_region_and_address(self):
        for folder in (DEPLOY, DEPLOY / "compose"):
            loaded = [yaml.safe_load((folder / f"{name}.yaml").read_text()) for name in REGIONS]
            self.assertEqual({config["cluster"] for config in loaded}, {"shop"})
            self.assertEqual([config["node"]["name"] for config in loaded], list(REGIONS))
            self.assertEqual(len({config["node"]["region"] for config in loaded}), 3)
            self.assertEqual(len({config["http"]["advertise"] for config in loaded}), 3)
            self.assertEqual(len({str(config["requests"]) for config in loaded}), 1)


class ComposeTest(unittest.TestCase):
    def test_kafka_is_the_version_that_the_tests_use(self):
        self.assertEqual(compose()["services"]["kafka"]["image"], f"apache/kafka:{kafka_version()}")

    def test_kafka_makes_no_topic_by_itself(self):
        self.assertEqual(compose()["services"]["kafka"]["environment"]["KAFKA_AUTO_CREATE_TOPICS_ENABLE"], "false")

    def test_every_region_mounts_its_configuration_and_a_volume_of_its_own(self):
        volumes = set()
        for name, service in regions().items():
            config, data = service["volumes"]
            source, target, mode = config.split(":")
            self.assertTrue((DEPLOY / source).is_file(), source)
            self.assertEqual((target, mode), (service["command"][2], "ro"))
            loaded = yaml.safe_load((DEPLOY / source).read_text())
            self.assertEqual(loaded["node"]["name"], name)
            volume, folder = data.split(":")
            self.assertEqual(folder, loaded["node"]["data_dir"])
            self.assertIn(volume, compose()["volumes"])
            volumes.add(volume)
        self.assertEqual(len(volumes), 3)

    def test_ports_are_shown_on_loopback_only(self):
        ports = [port for service in compose()["services"].values() for port in service.get("ports", [])]
        self.assertEqual(ports, [f"127.0.0.1:{outside}:8080" for outside in (8081, 8082, 8083)])

    def test_every_service_says_when_it_is_well(self):
        for name, service in compose()["services"].items():
            self.assertIn("healthcheck", service, name)
        for service in regions().values():
            self.assertTrue(service["healthcheck"]["test"][-1].endswith("/health/ready"))
            self.assertEqual(service["depends_on"]["kafka"]["condition"], "service_healthy")

    def test_exactly_one_region_founds(self):
        self.assertEqual([name for name, service in regions().items() if "--found" in service["command"]], ["eu"])

    def test_the_top_file_includes_this_one(self):
        top = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
        self.assertEqual([ROOT / path for path in top["include"]], [COMPOSE])


class DockerfileTest(unittest.TestCase):
    def setUp(self):
        text = (DEPLOY / "Dockerfile").read_text().replace("\\\n", " ")
        lines = [line.split(None, 1) for line in text.splitlines() if line and not line.startswith("#")]
        starts = [number for number, (word, _) in enumerate(lines) if word == "FROM"]
        self.stages = [lines[start:end] for start, end in zip(starts, starts[1:] + [len(lines)])]

    def of_last(self, word):
        return [rest for name, rest in self.stages[-1] if name == word]

    def test_it_builds_and_runs_on_the_same_slim_debian_13(self):
        bases = [stage[0][1].split()[0] for stage in self.stages]
        self.assertEqual(bases, ["debian:trixie-slim"] * 2)

    def test_it_does_not_run_as_root(self):
        self.assertEqual(self.of_last("USER"), ["refrain"])
        self.assertIn("useradd", " ".join(self.of_last("RUN")))

    def test_it_starts_the_program_and_knows_when_it_is_well(self):
        self.assertEqual(self.of_last("ENTRYPOINT"), ['["refrain"]'])
        self.assertIn("/health/ready", self.of_last("HEALTHCHECK")[0])

    def test_what_it_copies_from_the_checkout_exists(self):
        for stage in self.stages:
            for word, rest in stage:
                if word == "COPY" and not rest.startswith("--from"):
                    for source in rest.split()[:-1]:
                        self.assertTrue((ROOT / source).exists(), source)


if __name__ == "__main__":
    unittest.main()
