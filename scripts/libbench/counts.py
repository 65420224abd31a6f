"""Instructions of the hot paths, counted by valgrind's callgrind: the same on a busy machine as on an idle one.

What was counted last stands in counts.json, with the machine's kind and the compiler: counts of another one are no
measure. One that has grown by more than a tenth is a failure, until the record is changed on purpose.
"""

import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from . import graph
from .harness import SOURCES, Bench, BenchError

RECORD = SOURCES / "counts.json"
TOLERANCE = 0.10
SETTLED = 0.1  # seconds after which the store's files are old enough to tell of the next change
STEP = "tr a-z A-Z <in >out\nwc -c <in\n"


@dataclass
class HotPath:
    """A command, what has to be done before it, and what it must print for the count to mean anything."""

    name: str
    command: list[str]
    cwd: Path
    prepare: Callable[[], None]
    expected: str


def hot_paths(bench: Bench, folder: Path, purser: Path) -> list[HotPath]:
    step, layers = folder / "step", folder / "graph"
    for path in (step, layers / "i", layers / "o"):
        path.mkdir(parents=True)
    (step / "step.sh").write_text(STEP)
    (step / "in").write_text("a" * 1024)
    exec_ = [str(purser), "exec", "--task", "step", "--code", "step.sh", "--input", "in",
             "--output", "out", "--", "sh", "step.sh"]
    tasks = graph.layered(1_000)
    (layers / "purser.yaml").write_text(graph.purser_yaml(tasks))
    for task in tasks:
        (layers / "i" / task.name).write_text(task.name)
    run = [str(purser), "run", "-j", "1"]

    def settle() -> None:
        time.sleep(SETTLED)

    def kept() -> None:
        bench.run(exec_, step)
        settle()
        bench.run(exec_, step)

    def not_kept() -> None:
        kept()
        shutil.rmtree(step / ".purser" / "hits", ignore_errors=True)

    def planned() -> None:
        bench.run(run, layers)
        settle()
        bench.run(run, layers)

    def not_planned() -> None:
        planned()
        for plan in (layers / ".purser").glob("plan-*"):
            plan.unlink()

    return [
        HotPath("a hit", exec_, step, kept, "1024\n"),
        HotPath("a hit whose records are not kept", exec_, step, not_kept, "1024\n"),
        HotPath("nothing to do in 1,000 tasks", run, layers, planned, ""),
        HotPath("nothing to do in 1,000 tasks, not planned before", run, layers, not_planned, ""),
    ]


def count(bench: Bench, path: HotPath) -> int:
    """Instructions of one run in user space, of all threads."""
    path.prepare()
    command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", *path.command]
    done = subprocess.run(command, cwd=path.cwd, env=bench.environment, stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, errors="replace")
    found = re.search(r"Collected : (\d+)", done.stderr)
    if done.returncode != 0 or found is None:
        raise BenchError(f"valgrind could not run {path.name!r}: {done.stderr.strip()[-300:]}")
    if done.stdout != path.expected:
        raise BenchError(f"{path.name!r} printed {done.stdout[:100]!r} instead of {path.expected!r}")
    return int(found[1])


def machine() -> str:
    """What counts depend on beside our own code."""
    swift = subprocess.run(["swift", "--version"], capture_output=True, text=True).stdout if shutil.which("swift") else ""
    version = re.search(r"Swift version (\S+)", swift)
    return f"{os.uname().machine}, Swift {version[1] if version else 'unknown'}"


def measure(bench: Bench, say: Callable[[str], None], records: bool) -> int:
    """Prints a table; returns the exit code."""
    for tool in ("valgrind", "objcopy"):
        if shutil.which(tool) is None:
            raise BenchError(f"{tool} is not installed; run scripts/bench --setup")
    folder = bench.scratch / "counts"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    # valgrind does not read the debug information of a static Swift program.
    purser = folder / "purser"
    bench.run(["objcopy", "--strip-debug", str(bench.purser), str(purser)], folder)
    known = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    here = machine()
    is_comparable = known.get("machine") == here
    if known and not is_comparable:
        say(f"warning: the record is of '{known.get('machine')}', this is '{here}': nothing is compared")
    print("| hot path | instructions | recorded | |\n| --- | ---: | ---: | --- |")
    found: dict[str, int] = {}
    grown = []
    for path in hot_paths(bench, folder, purser):
        found[path.name] = count(bench, path)
        before = known.get("instructions", {}).get(path.name)
        change = found[path.name] / before - 1 if before else 0.0
        if is_comparable and change > TOLERANCE:
            grown.append(path.name)
        shown = f"{before:,} | {change:+.1%}" if before else "none |"
        print(f"| {path.name} | {found[path.name]:,} | {shown} |", flush=True)
    shutil.rmtree(folder)
    if records:
        RECORD.write_text(json.dumps({"machine": here, "instructions": found}, indent=2) + "\n")
        say(f"recorded in {RECORD.name}")
        return 0
    for name in grown:
        say(f"GROWN: {name}; mend it, or change the record on purpose: scripts/bench --counts --record")
    return 1 if grown else 0
