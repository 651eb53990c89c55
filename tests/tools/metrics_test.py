# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
"""ddict metrics: the text as OpenMetrics has it, by a parser of these tests and by promtool; and the dashboard.

usage: metrics_test.py BIN_DIRECTORY
"""

import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import unittest

import shell
from shell import MANAGERS, OTHER_FAILURE, PARTIAL, WRONG_CALL, ddict

DASHBOARD = pathlib.Path(__file__).resolve().parents[2] / "docs" / "grafana" / "ddict.json"
NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
SAMPLE = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)\{((?:[^\"}]|\"(?:[^\"\\]|\\.)*\")*)\} (\S+)")
LABEL = re.compile(r"([a-zA-Z_][a-zA-Z0-9_]*)=\"((?:[^\"\\\n]|\\[\\\"n])*)\"(?:,|$)")
SUFFIXES = {"gauge": {""}, "counter": {"_total"}, "summary": {"", "_count", "_sum"}}


class Refused(Exception):
    """What is no OpenMetrics text."""


def require(what, why):
    if not what:
        raise Refused(why)


def parsed(text):
    """{family: (type, {(name, labels): value})}, of a text that keeps the rules of OpenMetrics 1.0."""
    require(text.endswith("# EOF\n"), "no # EOF at the end")
    families, family = {}, None
    for line in text[:-len("# EOF\n")].splitlines():
        if line.startswith("# "):
            kind, name, rest = line[2:].split(" ", 2)
            require(NAME.fullmatch(name), line)
            if kind == "TYPE":
                require(rest in SUFFIXES and name not in families, f"type, or twice: {line}")
                family = name
                families[family] = (rest, {})
            elif kind == "UNIT":
                require(name == family and name.endswith("_" + rest) and not families[family][1], line)
            else:
                require(kind == "HELP" and name == family and rest and not families[family][1], line)
            continue
        found = SAMPLE.fullmatch(line)
        require(found, f"no sample: {line}")
        name, labels, value = found.groups()
        pairs = LABEL.findall(labels)
        require("".join(f'{key}="{text}",' for key, text in pairs)[:-1] == labels, f"labels: {line}")
        require(len(dict(pairs)) == len(pairs), f"a label twice: {line}")
        require(family is not None and name.startswith(family), f"of another family: {line}")
        kind, samples = families[family]
        require(name[len(family):] in SUFFIXES[kind], f"suffix: {line}")
        if kind == "summary":
            require(("quantile" in dict(pairs)) == (name == family), line)
        number = float(value)
        require(kind == "gauge" or number >= 0, line)
        key = (name, frozenset(pairs))
        require(key not in samples, f"twice: {line}")
        samples[key] = number
    return families


def promtool():
    """Debian's, installed or unpacked by scripts/install-packages; nothing where it is missing."""
    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache")
    unpacked = cache / "ddict/packages/prometheus/usr/bin/promtool"
    return shutil.which("promtool") or (str(unpacked) if unpacked.exists() else None)


def refused(*arguments, status):
    ddict(*arguments, status=status)
    return ddict.said


class Listener:
    """Asks ddict metrics --listen, by hand: (status, type, text), or nothing if it hangs up."""

    def __init__(self, address):
        self.address = address

    def connection(self):
        if path := self.address.partition("http+unix:")[2]:
            made = socket.socket(socket.AF_UNIX)
            made.connect(path)
        else:
            made = socket.create_connection(("127.0.0.1", int(re.fullmatch(r"http://127\.0\.0\.1:(\d+)/metrics", self.address)[1])))
        made.settimeout(60)
        return made

    def __call__(self, *lines):
        with self.connection() as to, contextlib.suppress(ConnectionError):
            to.sendall("".join(line + "\r\n" for line in (*lines, "")).encode())
            header, _, text = b"".join(iter(lambda: to.recv(1 << 16), b"")).decode().partition("\r\n\r\n")
            if header:
                fields = dict(line.split(": ", 1) for line in header.splitlines()[1:])
                if not lines[0].startswith("HEAD"):
                    assert int(fields["Content-Length"]) == len(text)
                return int(header.split()[1]), fields["Content-Type"], text
        return None


@contextlib.contextmanager
def listening(where, end=signal.SIGTERM):
    server = subprocess.Popen(["ddict", "metrics", "--listen", where], stdout=subprocess.PIPE, text=True)
    try:
        yield Listener(server.stdout.readline().strip())
    finally:
        server.send_signal(end)
        status = server.wait(60)
        server.stdout.close()
    assert status == (0 if end == signal.SIGTERM else -end), status


class Metrics(unittest.TestCase):
    def test_the_text_is_well_formed_and_says_what_stats_says(self):
        for i in range(20):
            ddict("put", f"key {i}", "value")
        ddict("get", "key 1")
        families = parsed(ddict("metrics").decode())
        stats = json.loads(ddict("stats", "--json"))
        self.assertEqual(len(stats["managers"]), MANAGERS)
        for manager in stats["managers"]:
            labels = frozenset({("dictionary", "default"), ("manager", str(manager["manager"])), ("node", manager["node"])})
            for family, name in (("ddict_keys", "keys"), ("ddict_pool_bytes", "pool_bytes"), ("ddict_pool_used_bytes", "used_bytes"),
                                 ("ddict_pool_free_bytes", "free_bytes"), ("ddict_restarts", "restarts")):
                kind, samples = families[family]
                self.assertEqual(samples[family + ("_total" if kind == "counter" else ""), labels], manager[name], family)
            self.assertEqual(families["ddict_puts"][1]["ddict_puts_total", labels], manager["operations"]["put"])
            self.assertEqual(families["ddict_refused_puts"][1]["ddict_refused_puts_total", labels], 0)
            self.assertEqual(families["ddict_manager_up"][1]["ddict_manager_up", labels], 1)
            puts = labels | {("operation", "put")}
            durations = families["ddict_request_duration_seconds"][1]
            if manager["times_ns"].get("put"):
                self.assertEqual(durations["ddict_request_duration_seconds_count", puts], manager["times_ns"]["put"]["count"])
                half, most = (durations["ddict_request_duration_seconds", puts | {("quantile", q)}] for q in ("0.5", "1"))
                self.assertTrue(0 < half <= most < 10, (half, most))
        for family, (kind, samples) in families.items():
            self.assertTrue(samples, f"{family} has no sample")
            self.assertFalse(family.endswith(("_total", "_count", "_sum")), family)
            self.assertEqual("_bytes" in family or "_seconds" in family, family.endswith(("_bytes", "_seconds")), family)

    def test_the_parser_refuses_what_is_wrong(self):
        good = ddict("metrics").decode()
        first = 'ddict_keys{dictionary="default",manager="0"'
        self.assertIn(first, good)
        for wrong in (good[:-1], good.replace("# EOF\n", ""), good.replace("# TYPE ddict_keys gauge\n", ""),
                      good.replace("ddict_puts_total{", "ddict_puts{"), good.replace("gauge", "gage", 1),
                      good.replace('manager="0"', 'manager="1"', 1), good.replace("} 1\n", "}  1\n", 1), good.replace('="default"', '="de"fault"', 1),
                      good.replace("# UNIT ddict_pool_bytes bytes", "# UNIT ddict_pool_bytes seconds"), good + "# EOF\n"):
            with self.assertRaises((Refused, ValueError)):
                parsed(wrong)
                print(wrong)

    def test_promtool_finds_nothing_to_say(self):
        program = promtool()
        self.assertIsNotNone(program, "no promtool: scripts/install-packages test")
        text = ddict("metrics", "--prometheus")
        done = subprocess.run([program, "check", "metrics"], input=text, capture_output=True, timeout=60)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, b"", b""))
        done = subprocess.run([program, "check", "metrics"], input=text.replace(b"_total", b"_count"), capture_output=True, timeout=60)
        self.assertNotEqual(done.returncode, 0, "it finds what is wrong")

    def test_over_http(self):
        with tempfile.TemporaryDirectory() as folder:
            for where in ("0", f"{folder}/socket"):
                with listening(where) as get:
                    status, kind, text = get("GET /metrics HTTP/1.1")
                    self.assertEqual((status, kind), (200, "text/plain; version=0.0.4; charset=utf-8"))
                    self.assertIn("ddict_manager_up{", text)
                    status, kind, text = get("GET /metrics?x=1 HTTP/1.1", "Accept: application/openmetrics-text;version=1.0.0")
                    self.assertEqual((status, kind), (200, "application/openmetrics-text; version=1.0.0; charset=utf-8"))
                    self.assertEqual(len(parsed(text)["ddict_manager_up"][1]), MANAGERS)
                    self.assertEqual(get("HEAD /metrics HTTP/1.0")[::2], (200, ""))
                    self.assertEqual(get("GET / HTTP/1.1")[0], 404)
                    self.assertEqual(get("POST /metrics HTTP/1.1")[0], 405)
                    self.assertIsNone(get("GET " + "x" * 20000), "it is not read for ever")
                    with get.connection():  # one that says nothing holds nobody up for long
                        self.assertEqual(get("GET /metrics HTTP/1.1")[0], 200)
                self.assertEqual(os.listdir(folder), [])

    def test_what_cannot_be_listened_on(self):
        self.assertIn("neither a port nor a path", refused("metrics", "--listen", "70000", status=WRONG_CALL))
        self.assertIn("at most 107 bytes", refused("metrics", "--listen", "/" + "x" * 200, status=WRONG_CALL))
        self.assertIn("Not a directory", refused("metrics", "--listen", "/dev/null/socket", status=OTHER_FAILURE))
        with tempfile.TemporaryDirectory() as folder, listening(f"{folder}/socket"):
            precious = pathlib.Path(folder, "results")
            precious.write_text("precious")
            self.assertIn("in use", refused("metrics", "--listen", str(precious), status=OTHER_FAILURE))
            self.assertEqual(precious.read_text(), "precious")
            self.assertIn("in use", refused("metrics", "--listen", f"{folder}/socket", status=OTHER_FAILURE))
            self.assertEqual(os.stat(f"{folder}/socket").st_mode & 0o777, 0o600)

    def test_it_ends_with_the_dictionary(self):
        made = ["ddict-launch", "--quiet", "--name", "short", "--total-mem", "16M", "--", "sh", "-c",
                "ddict metrics --listen 0 & wait=$!; sleep 0.2; ddict destroy && wait $wait"]
        done = subprocess.run(made, capture_output=True, timeout=120, text=True)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertRegex(done.stdout, r"^http://127\.0\.0\.1:\d+/metrics\n$")

    def test_what_a_killed_one_has_left_is_taken_over(self):
        with tempfile.TemporaryDirectory() as folder:
            with listening(f"{folder}/socket", end=signal.SIGKILL):
                pass
            self.assertEqual(os.listdir(folder), ["socket"])
            with listening(f"{folder}/socket") as get:
                self.assertEqual(get("GET /metrics HTTP/1.1")[0], 200)

    def test_both_formats_say_the_same(self):
        def samples(text):
            changing = ("round_trip", "duration", "stats", "sessions")
            return [line for line in text.splitlines() if not line.startswith("#") and not any(word in line for word in changing)]

        self.assertEqual(samples(ddict("metrics").decode()), samples(ddict("metrics", "--prometheus").decode()))

    def test_the_dashboard_asks_for_what_there_is(self):
        dashboard = json.loads(DASHBOARD.read_text())
        families = parsed(ddict("metrics").decode())
        there = {name for _, samples in families.values() for name, _ in samples}
        expressions = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
        self.assertGreater(len(expressions), 10)
        for expression in expressions:
            asked = set(re.findall(r"ddict_\w+", expression))
            self.assertTrue(asked and asked <= there, f"{expression}: {asked - there}")
        ids = [panel["id"] for panel in dashboard["panels"]]
        self.assertEqual(len(set(ids)), len(ids))

    def test_z_a_manager_that_is_stopped_is_not_up(self):
        victim = json.loads(ddict("stats", "--json"))["managers"][1]
        os.kill(victim["pid"], signal.SIGSTOP)
        try:
            begin = time.monotonic()
            families = parsed(ddict("metrics", status=PARTIAL, is_quiet=True).decode())
            self.assertLess(time.monotonic() - begin, 10)
        finally:
            os.kill(victim["pid"], signal.SIGCONT)
        up = {dict(labels)["manager"]: value for (_, labels), value in families["ddict_manager_up"][1].items()}
        self.assertEqual(up, {str(manager): 0 if manager == 1 else 1 for manager in range(MANAGERS)})
        keys = {dict(labels)["manager"] for _, labels in families["ddict_keys"][1]}
        self.assertEqual(keys, {str(manager) for manager in range(MANAGERS)} - {"1"}, "nothing is made up of it")


if __name__ == "__main__":
    shell.main(__file__)
