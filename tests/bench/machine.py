"""Processes of a measurement on this machine: started, counted, stopped."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
START_S_MAX = 20
STOP_S_MAX = 10
BUILD_S_MAX = 1800


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def bare_environment(**more):
    """The environment without anyone's settings of calldex, Twilio or a model."""
    named = ("PUBLIC_", "TWILIO_", "OPENAI_", "CALLDEX_", "OTEL_")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(named)}
    return {**kept, **more}


def built(path, *cargo):
    """A release binary of this repository; built where it is missing."""
    if not path.exists():
        print(f"building {path.name} ...", file=sys.stderr)
        subprocess.run(["cargo", "build", "--release", *cargo], cwd=REPOSITORY, check=True, timeout=BUILD_S_MAX)
    return path


def target():
    return Path(os.environ.get("CARGO_TARGET_DIR", REPOSITORY / "target")) / "release"


def calldex():
    given = os.environ.get("CALLDEX_BIN")
    return Path(given) if given else built(target() / "calldex", "--bin", "calldex")


def http(port, path, body=None):
    url = f"http://127.0.0.1:{port}{path}"
    request = urllib.request.Request(url, data=body, method="GET" if body is None else "POST")
    with urllib.request.urlopen(request, timeout=10) as answer:
        return answer.read().decode()


def http_json(port, path, body=None):
    return json.loads(http(port, path, body))


class Process:
    """A process with all its children, in a group of its own; `with` stops it."""

    def __init__(self, name, command, folder, **environment):
        self.name = name
        self.log = Path(folder) / f"{name}.log"
        with open(self.log, "ab") as log:
            self.child = subprocess.Popen(
                [str(part) for part in command], cwd=folder, env=bare_environment(**environment),
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def listens(self, port):
        """Waits until it takes connections."""
        deadline = time.monotonic() + START_S_MAX
        while time.monotonic() < deadline and self.child.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                return self
            except OSError:
                time.sleep(0.05)
        self.stop()
        raise RuntimeError(f"{self.name} does not listen on {port}:\n{self.log.read_text()[-2000:]}")

    def tree(self):
        """It and its descendants; none once it has ended."""
        children = {}
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = stat.read_text().rpartition(")")[2].split()
            except OSError:
                continue
            children.setdefault(int(fields[1]), []).append(int(stat.parent.name))
        found = [self.child.pid]
        for pid in found:
            found += children.get(pid, [])
        return found

    def cpu_parts_s(self):
        """CPU seconds so far of the tree, user and system, ended children that were waited for included."""
        user = system = 0
        for pid in self.tree():
            try:
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            # User and system, its own and of ended children: fields 14 to 17 of proc_pid_stat(5).
            user += int(fields[11]) + int(fields[13])
            system += int(fields[12]) + int(fields[14])
        return user / TICKS_PER_S, system / TICKS_PER_S

    def cpu_s(self):
        return sum(self.cpu_parts_s())

    def resident_mb(self):
        kb = 0
        for pid in self.tree():
            try:
                status = Path(f"/proc/{pid}/status").read_text()
            except OSError:
                continue
            kb += sum(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:"))
        return kb / 1024

    def stop(self):
        for how in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self.child.pid, how)
                self.child.wait(STOP_S_MAX)
                return
            except ProcessLookupError:
                self.child.wait(STOP_S_MAX)
                return
            except subprocess.TimeoutExpired:
                continue


def describe():
    """The machine in one line."""
    model = next((line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "?")
    load = os.getloadavg()[0]
    return f"{os.cpu_count()} cores, {model}, load average {load:.2f} at the start"
