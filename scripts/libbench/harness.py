"""How things are measured: commands in interleaved rounds, each timed by hyperfine without a shell.

The machine is shared, so a time says little by itself. Every round runs all the commands one after another, the
next round in the opposite order, and a ratio is the median of the rounds' own ratios: both of its sides were
measured within seconds of each other.
"""

import json
import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

SOURCES = Path(__file__).parent


class BenchError(Exception):
    """Something that stops a workload; the text says what, why and what next."""


@dataclass
class Entry:
    """One command to be timed."""

    name: str
    command: list[str]
    prepare: list[str] | None = None
    runs: int | None = None  # per round; None: as the workload says
    bytes: int = 0  # hashed by one run; 0 when that makes no sense
    count: int = 0  # things done by one run; 0 when that makes no sense
    cwd: Path | None = None  # None: as the workload says
    times_itself: bool = False  # prints the seconds that count: starting the program, or loading Python, is left out
    note: str = ""
    rounds: list[list[float]] = field(default_factory=list)  # seconds
    peak_kib: int | None = None
    wrong: list[str] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        return median(self.samples)

    @property
    def samples(self) -> list[float]:
        return [time for times in self.rounds for time in times]

    @property
    def rate(self) -> float:
        """Things done a second."""
        return self.count / self.seconds


@dataclass
class Latency:
    """What many calls of one kind took, as programs that time themselves print it: microseconds."""

    name: str
    figures: dict  # count, p50, p95, p99, max
    note: str = ""
    wrong: list[str] = field(default_factory=list)

    def milliseconds(self, which: str) -> float:
        return self.figures[which] / 1000


# A cost is called linear while a thing of ten times as many costs no more than this: two runs differ by as much.
LINEAR = 1.1
FULL_ONLY = "only with --full"


@dataclass
class Goal:
    """A ratio, or a figure, that Purser is meant to reach. The text is read without the section's title."""

    text: str
    value: float | None  # None: not measured this time, and `reason` says why
    goal: float
    unit: str = "×"
    bar: float | None = None
    at_least: bool = False
    reason: str = ""

    @property
    def is_met(self) -> bool | None:
        return None if self.value is None else self.reaches(self.goal)

    @property
    def verdict(self) -> str:
        if self.is_met is None:
            return self.reason
        if self.is_met:
            return "met"
        return "first bar only" if self.bar is not None and self.reaches(self.bar) else "**missed**"

    @property
    def bound(self) -> str:
        bar = "" if self.bar is None else f" (first bar {self.bar:g}{self.unit})"
        return f"{'≥' if self.at_least else '≤'} {self.goal:g}{self.unit}{bar}"

    def reaches(self, limit: float) -> bool:
        return self.value is not None and (self.value >= limit if self.at_least else self.value <= limit)


@dataclass
class Section:
    """One table of the report."""

    title: str
    entries: list[Entry]
    goals: list[Goal] = field(default_factory=list)
    latencies: list[Latency] = field(default_factory=list)

    @property
    def workload(self) -> str:
        return self.title.split(":")[0]

    @property
    def faults(self) -> list[tuple[str, str]]:
        """Each tool's, by its row: due work that was skipped, or work that was not due."""
        return [(row.name, fault) for row in [*self.entries, *self.latencies] for fault in row.wrong]


class Bench:
    """The scratch folder, the environment of every command, and the tool under test."""

    def __init__(self, scratch: Path, purser: Path, program: Path, full: bool):
        self.scratch, self.purser, self.program, self.full = scratch, purser, program, full
        self.skipped: list[str] = []
        home = scratch / "home"
        home.mkdir(parents=True, exist_ok=True)
        self.environment = {
            "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
            "HOME": str(home),
            "LC_ALL": "C",
            "CCACHE_DIR": str(scratch / "ccache"),
            "GIT_CONFIG_NOSYSTEM": "1",
            "DVC_NO_ANALYTICS": "1",
            "DVC_SITE_CACHE_DIR": str(scratch / "dvc-site"),
        }

    def look(self, name: str) -> str | None:
        """The peer's path, from the scratch folder's Python environment or PATH."""
        own = self.scratch / "venv" / "bin" / name
        return str(own) if own.exists() else shutil.which(name)

    def find(self, name: str) -> str | None:
        """The same, for a peer that is about to be measured: a missing one is noted as skipped."""
        path = self.look(name)
        if path is None and name not in self.skipped:
            self.skipped.append(name)
        return path

    def run(self, command: list[str], cwd: Path, check: bool = True) -> subprocess.CompletedProcess:
        done = subprocess.run(command, cwd=cwd, env=self.environment, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, errors="replace")
        if check and done.returncode != 0:
            raise BenchError(f"'{shlex.join(command)}' ended with {done.returncode}: {done.stderr.strip()[-500:]}")
        return done

    def figures(self, command: list[str], cwd: Path) -> dict:
        """What a program that times itself prints."""
        if command[0] == str(self.program):
            self.require_program()
        return json.loads(self.run(command, cwd).stdout)

    def require_program(self) -> None:
        if not os.access(self.program, os.X_OK):
            raise BenchError(f"there is no '{self.program}', which takes the times within one process; build it: "
                             "swift build -c release --product purser-bench, or name one: --program PATH")

    def compile(self, name: str, libraries: list[str]) -> tuple[str, str]:
        """Builds NAME.c of this folder, static if the archives are there; gives its path and how it was linked."""
        compiler = shutil.which("cc") or shutil.which("gcc")
        if compiler is None:
            raise BenchError("no C compiler: the floors cannot be built; run scripts/bench --setup")
        output = self.scratch / "floors" / name
        output.parent.mkdir(exist_ok=True)
        command = [compiler, "-O2", "-pthread", str(SOURCES / f"{name}.c"), "-o", str(output)]
        rest = [f"-l{library}" for library in libraries] + ["-lm", "-ldl"]
        if self.run([*command, "-static", *rest], self.scratch, check=False).returncode == 0:
            return str(output), "C, static"
        self.run([*command, *rest], self.scratch)
        return str(output), "C, dynamic: no static libraries here"

    def time_once(self, entry: Entry, cwd: Path, runs: int, warmup: int) -> list[float]:
        cwd = entry.cwd or cwd
        if entry.times_itself:
            printed = [json.loads(self.run(entry.command, cwd).stdout) for _ in range(runs)]
            return [seconds["seconds"] if isinstance(seconds, dict) else seconds for seconds in printed]
        with tempfile.NamedTemporaryFile(dir=self.scratch, suffix=".json") as file:
            command = ["hyperfine", "-N", "--style", "none", "--runs", str(runs), "--warmup", str(warmup)]
            if entry.prepare:
                command += ["--prepare", shlex.join(entry.prepare)]
            self.run([*command, "--export-json", file.name, shlex.join(entry.command)], cwd)
            return json.load(file)["results"][0]["times"]

    def measure(self, entries: list[Entry], cwd: Path, rounds: int, runs: int, warmup: int = 1,
                each_round: Callable[[], None] = lambda: None) -> None:
        for number in range(rounds):
            each_round()
            for entry in entries if number % 2 == 0 else reversed(entries):
                entry.rounds.append(self.time_once(entry, cwd, entry.runs or runs, warmup))

    def peak(self, entry: Entry, cwd: Path) -> None:
        """Peak memory, by GNU time: its own 1 to 2 MiB before the exec are the least that it can see."""
        time = self.find("time")
        if time is None:
            return
        cwd = entry.cwd or cwd
        if entry.prepare:
            self.run(entry.prepare, cwd)
        with tempfile.NamedTemporaryFile("r", dir=self.scratch) as file:
            self.run([time, "-f", "%M", "-o", file.name, *entry.command], cwd)
            entry.peak_kib = int(file.read().split()[-1])

    def bytes_written(self, entry: Entry, cwd: Path) -> int:
        """What one run writes to disk, as the kernel counts it, by the page."""
        cwd = entry.cwd or cwd
        if entry.prepare:
            self.run(entry.prepare, cwd)
        child = subprocess.Popen(entry.command, cwd=cwd, env=self.environment, stdin=subprocess.DEVNULL,
                                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode != 0:
            raise BenchError(f"'{shlex.join(entry.command)}' ended with {child.returncode}")
        return usage.ru_oublock * 512


def ratio(above: Entry, below: Entry | None) -> float | None:
    """The median of the rounds' ratios; `None` where one of the two was not measured."""
    if below is None or not above.rounds or not below.rounds:
        return None
    return median(median(a) / median(b) for a, b in zip(above.rounds, below.rounds))


def against(text: str, above: Entry, below: Entry | None, goal: float, **rest) -> Goal:
    """A goal that is a ratio to a peer, which may be missing here."""
    return Goal(text, ratio(above, below), goal, reason="the peer is not installed", **rest)


def mebibytes(text: str, entry: Entry, goal: float) -> Goal:
    value = None if entry.peak_kib is None else entry.peak_kib / 1024
    return Goal(f"{text}: peak memory", value, goal, unit=" MiB", reason="GNU time is not installed")
