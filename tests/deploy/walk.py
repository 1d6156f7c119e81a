"""Walks through the console blocks of a Markdown file as a reader would, and compares what is printed with what is shown.

usage: walk.py FILE FOLDER CALLDEX [SECTION...]

Lines after "$ " are typed, in one shell whose working folder is FOLDER. What follows up to the next prompt must be
printed, in that order; "..." is anything. "caller: " lines are typed into `calldex call` as well. `cargo run
--release` runs CALLDEX, which is what it would have built. `calldex serve` and `deploy/local-cluster` go to the
background until the next one.
SECTION: a heading; without any, the whole file. Names that are the reader's own are filled in below.
"""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

FILE, FOLDER, CALLDEX = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
SECTIONS = sys.argv[4:]
# What a reader puts in the place of an ellipsis.
OWN = {
    "TWILIO_AUTH_TOKEN": "12345",
    "TWILIO_ACCOUNT_SID": "AC0123456789abcdef0123456789abcdef",
    "OPENAI_API_KEY": "none",
}
# No measure of anything: only so that what never comes ends.
READY_S_MAX = 600
COMMAND_S_MAX = 600

# Nothing is set but what the reader sets, and where stand-ins are for what only the internet has.
PASSED_ON = ("PATH", "TWILIO_API_BASE", "SSL_CERT_FILE")
(FOLDER / "bin").mkdir(exist_ok=True)
(FOLDER / "bin/calldex").symlink_to(CALLDEX)
environment = {"HOME": str(FOLDER)} | {name: os.environ[name] for name in PASSED_ON if name in os.environ}
server = None
environment["PATH"] = f"{FOLDER}/bin:{environment['PATH']}"
steps = 0


def blocks():
    """Each console block below a wanted heading, as its lines."""
    heading, inside, block = "", False, []
    for line in FILE.read_text().splitlines():
        text = line.strip()
        if not inside and text.startswith("#"):
            heading = text.lstrip("# ")
        elif text == "```console":
            inside, block = True, []
        elif inside and text == "```":
            inside = False
            if not SECTIONS or heading in SECTIONS:
                yield block
        elif inside:
            block.append(text)


def commands(block):
    """(command, what is shown after it), in order."""
    shown, command = [], None
    for line in block:
        if line.startswith("$ "):
            if command:
                yield command, shown
            command, shown = re.sub(r"\s+# .*", "", line[2:]), []
        elif line:
            shown.append(line)
    if command:
        yield command, shown


def expect(shown, printed, command):
    rest = [line.strip() for line in printed.splitlines()]
    for line in shown:
        if line == "...":
            continue
        if line not in rest:
            sys.exit(f"$ {command}\ndoes not print: {line}\nbut:\n{printed}")
        rest = rest[rest.index(line) + 1 :]


def stop():
    global server
    if server:
        server.terminate()
        server.wait(timeout=COMMAND_S_MAX)
    server = None


def serve(program, arguments, shown, command):
    global server
    stop()
    log = FOLDER / "server.log"
    with log.open("w") as out:
        server = subprocess.Popen([program, *arguments], cwd=FOLDER, env=environment, stdout=out, stderr=out)
    last = time.monotonic() + READY_S_MAX
    while not re.search("is ready|are ready", log.read_text()):
        if server.poll() is not None or time.monotonic() > last:
            sys.exit(f"$ {command}\nis not ready:\n{log.read_text()}")
        time.sleep(0.05)
    expect(shown, log.read_text(), command)


def run(command, shown):
    typed = [line.removeprefix("caller: ") for line in shown if line.startswith("caller: ")]
    shell = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", command],
        cwd=FOLDER,
        env=environment,
        input="".join(line + "\n" for line in typed),
        capture_output=True,
        text=True,
        timeout=COMMAND_S_MAX,
    )
    printed = shell.stdout + shell.stderr
    if shell.returncode:
        sys.exit(f"$ {command}\nended with status {shell.returncode}:\n{printed}")
    expect([line for line in shown if not line.startswith("caller: ")], printed, command)


def walk(command, shown):
    global steps
    steps += 1
    print(f"$ {command}", flush=True)
    if assigned := re.fullmatch(r"export (\w+)=(.*)", command):
        name, value = assigned.groups()
        environment[name] = OWN[name] if value.endswith("...") else value
        return
    words = command.split()
    # Built already: `calldex` is what it would have made.
    if words[:3] == ["cargo", "run", "--release"]:
        words = ["calldex", *words[4:]]
        command = " ".join(words)
    if words[0] == "calldex" and (len(words) == 1 or words[1] == "serve"):
        serve(CALLDEX, words[1:], shown, command)
    elif words[0] == "deploy/local-cluster":
        serve(FOLDER / words[0], words[1:], shown, command)
    else:
        run(command, shown)


try:
    for block in blocks():
        for command, shown in commands(block):
            walk(command, shown)
finally:
    stop()
if not steps:
    sys.exit(f"no command was found in {FILE} {SECTIONS}")
