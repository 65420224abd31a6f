"""How faults are injected and counted: projects to break, places to mount, and a row for every fault.

Every row works in a folder of its own, on a store of its own, with the binary under test. Whatever a row starts
carries a mark in its environment, so that what outlives the row can be found, counted and ended by its id.
"""

import hashlib
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

HANG = 180  # seconds: nothing that a row starts takes so long, however busy the machine is
CRASHES = {-signal.SIGILL, -signal.SIGTRAP, -signal.SIGABRT, -signal.SIGBUS, -signal.SIGFPE, -signal.SIGSEGV}
MARK = "PURSER_FAULTS"


class Skip(Exception):
    """A row that cannot be tried here; the text says why."""


@dataclass
class Tally:
    """What a row tried, and what went wrong."""

    tried: int = 0
    bad: list[str] = field(default_factory=list)
    figure: str = ""

    def add(self, *problems: str | None) -> bool:
        """One try, which held if there is no problem."""
        self.tried += 1
        real = [problem for problem in problems if problem]
        if real:
            self.bad.append("; ".join(real))
        return not real

    @property
    def held(self) -> int:
        return self.tried - len(self.bad)


@dataclass
class Row:
    number: int
    group: str
    title: str
    try_it: Callable[["Faults", Tally], None]
    only_long: bool


ROWS: dict[int, Row] = {}


def row(number: int, group: str, title: str, only_long: bool = False):
    """Puts a function into the table: it fills the tally, or raises Skip."""

    def add(function: Callable[["Faults", Tally], None]):
        ROWS[number] = Row(number, group, title, function, only_long)
        return function

    return add


@dataclass
class Done:
    """How a process ended: its code, negative for a signal, None when it had to be ended because it hung."""

    code: int | None
    out: bytes
    err: bytes

    def json(self):
        return json.loads(self.out)

    def says(self, code: int, out: bytes | None = None) -> str | None:
        """The problem, if it did not end so."""
        if self.code is None:
            return "hung"
        if self.code != code:
            return f"ended with {self.code} instead of {code}: {self.err[-300:].decode(errors='replace').strip()}"
        return f"printed {self.out[:60]!r} instead of {out[:60]!r}" if out is not None and self.out != out else None

    @property
    def crash(self) -> str | None:
        if self.code is None:
            return "hung"
        if self.code in CRASHES:
            return f"crashed by {signal.Signals(-self.code).name}: {self.err[-300:].decode(errors='replace').strip()}"
        return None


class Project:
    """A folder with a store and a way to ask the binary under test about it."""

    def __init__(self, faults: "Faults", root: Path, store: Path | None = None, **environment: str):
        self.faults, self.root = faults, root
        self.environment = faults.environment | environment
        self.store = store or root / ".purser"
        root.mkdir(parents=True, exist_ok=True)

    def command(self, *arguments: str) -> list[str]:
        return [str(self.faults.purser), "--project", str(self.root), "--store", str(self.store), *arguments]

    def purser(self, *arguments: str, through: list[str] | tuple = (), **options) -> Done:
        return self.run([*through, *self.command(*arguments)], **options)

    def run(self, command: list[str], stdin: bytes | None = None, timeout: float = HANG, **environment: str) -> Done:
        process = self.start(command, stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE, **environment)
        try:
            out, err = process.communicate(stdin, timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            self.faults.end_survivors()
            process.communicate()
            return Done(None, b"", b"")
        return Done(process.returncode, out, err)

    def start(self, command: list[str], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
              new_session: bool = False, **environment: str) -> subprocess.Popen:
        return subprocess.Popen(command, cwd=self.root, env=self.environment | environment, stdin=stdin, stdout=stdout,
                                stderr=stderr, start_new_session=new_session)

    def write(self, name: str, content: str | bytes, executable: bool = False) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        if executable:
            path.chmod(0o755)
        return path

    def read(self, name: str) -> bytes | None:
        try:
            return (self.root / name).read_bytes()
        except FileNotFoundError:
            return None

    def states(self) -> dict[str, str]:
        return {task["task"]: task["state"] for task in self.purser("--json", "status").json()["tasks"]}

    def count(self, name: str) -> int:
        """How many lines a file has that steps append to: how often they ran."""
        return len((self.read(name) or b"").splitlines())

    @contextmanager
    def records(self) -> Iterator[sqlite3.Connection]:
        """A copy of the records as they are on disk, so that looking at them mends and disturbs nothing."""
        with tempfile.TemporaryDirectory(dir=self.faults.scratch) as folder:
            for name in ("records.db", "records.db-wal"):
                if (self.store / name).exists():
                    shutil.copy(self.store / name, folder)
            with closing(sqlite3.connect(f"{folder}/records.db")) as connection:
                yield connection

    def unsound(self) -> str | None:
        """What SQLite finds wrong with the records, if anything."""
        try:
            with self.records() as records:
                found = [line for line, in records.execute("PRAGMA integrity_check")]
                found += [f"foreign key of {line[0]}" for line in records.execute("PRAGMA foreign_key_check")]
        except sqlite3.Error as error:
            return f"records: {error}"
        return None if found == ["ok"] else f"records: {found[:3]}"

    def blob_path(self, digest: bytes) -> Path:
        name = digest.hex()
        return self.store / "blobs" / name[:2] / name[2:]

    def dangling(self) -> list[str]:
        """Contents that the records name and that are missing, short or something else."""
        with self.records() as records:
            # Where even the first migration found no room, nothing is recorded, and nothing named.
            is_made = records.execute("SELECT 1 FROM sqlite_master WHERE name = 'blobs'").fetchone()
            rows = records.execute("SELECT digest, size, encoding FROM blobs WHERE content IS NULL").fetchall() \
                if is_made else []
        wrong = []
        for digest, size, encoding in rows:
            try:
                stored = self.blob_path(digest).read_bytes()
            except FileNotFoundError:
                wrong.append(f"{digest.hex()[:12]} is missing")
                continue
            content = stored if encoding == 0 else decompressed(stored)
            if len(content) != size or hashlib.sha256(content).digest() != digest:
                wrong.append(f"{digest.hex()[:12]} is not what its name says")
        return wrong


def decompressed(stored: bytes) -> bytes:
    if shutil.which("zstd") is None:
        raise Skip("zstd, which reads compressed contents, is not installed")
    return subprocess.run(["zstd", "-dcq"], input=stored, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout


class Faults:
    """The binary under test, the size of the trial, and all that has to be cleared away afterwards."""

    def __init__(self, purser: Path, is_long: bool, seed: int):
        self.purser, self.is_long, self.seed = purser, is_long, seed
        self.scratch = Path(tempfile.mkdtemp(prefix="purser-faults-"))
        self.mark = f"{os.getpid()}-{time.time_ns()}"
        self.mounts: list[Path] = []
        self.folders = 0
        self.random = random.Random(seed)
        home = self.scratch / "home"
        home.mkdir()
        # A backtracer would outlive the processes that are killed here, and hold their pipes open.
        self.environment = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "HOME": str(home), "LC_ALL": "C",
                            "SWIFT_BACKTRACE": "enable=no", MARK: self.mark}

    def rounds(self, short: int, long: int) -> int:
        return long if self.is_long else short

    def folder(self) -> Path:
        self.folders += 1
        path = self.scratch / f"{self.folders}"
        path.mkdir()
        return path

    def project(self, **environment: str) -> Project:
        return Project(self, self.folder() / "project", **environment)

    def need(self, *programs: str) -> None:
        for program in programs:
            if shutil.which(program) is None:
                raise Skip(f"{program} is not installed; scripts/faults --setup installs it")

    def need_root(self) -> None:
        if os.geteuid() != 0:
            raise Skip("needs root")

    @contextmanager
    def mounted(self, *arguments: str) -> Iterator[Path]:
        """A file system of our own for the time being."""
        self.need_root()
        place = self.folder() / "mount"
        place.mkdir()
        self.mount(place, *arguments)
        try:
            yield place
        finally:
            self.unmount(place)

    def mount(self, place: Path, *arguments: str) -> None:
        done = subprocess.run(["mount", *arguments, str(place)], capture_output=True, text=True)
        if done.returncode != 0:
            raise Skip(f"mounting is not allowed here: {done.stderr.strip()}")
        self.mounts.append(place)

    def remount(self, place: Path, option: str) -> None:
        subprocess.run(["mount", "-o", f"remount,{option}", str(place)], check=True, capture_output=True)

    def unmount(self, place: Path) -> None:
        if place not in self.mounts:
            return

        def is_done() -> bool:
            # Who was killed may hold it for a moment longer than it can be seen.
            self.end_survivors()
            return subprocess.run(["umount", str(place)], capture_output=True).returncode == 0

        if not self.wait_for(is_done):
            subprocess.run(["umount", "-l", str(place)], capture_output=True)
            raise RuntimeError(f"'{place}' could not be unmounted")
        self.mounts.remove(place)

    def survivors(self, mark: str | None = None) -> list[int]:
        """Ids of processes that descend from this trial, by the mark in their environment."""
        wanted = f"{MARK}={mark or self.mark}".encode()
        found = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit() or int(entry.name) == os.getpid():
                continue
            try:
                if wanted in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
            except OSError:
                continue
        return found

    def end_survivors(self) -> None:
        for pid in self.survivors():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass

    def wait_for(self, condition: Callable[[], bool], seconds: float = HANG) -> bool:
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                return False
            time.sleep(0.005)
        return True

    def clear(self) -> None:
        self.end_survivors()
        for place in reversed(self.mounts):
            subprocess.run(["umount", "-l", str(place)], capture_output=True)
        shutil.rmtree(self.scratch, ignore_errors=True)


def strace(calls: str, what: str, log: Path, *options: str, follow: bool = True) -> list[str]:
    """The front of a command whose system calls of these names are tampered with; without `follow`, those of its first
    thread, which is the one of `exec` that works with the store."""
    # No --seccomp-bpf: with it strace 6.1 now and then kills what a traced process spawns.
    return ["strace", *["-f"] * follow, "--quiet=attach,personality", "-o", str(log), *options, "-e", f"trace={calls}",
            "-e", f"inject={calls}:{what}", "--"]


def was_injected(log: Path) -> bool:
    text = log.read_bytes()
    return b"(INJECTED" in text or b"killed by SIGKILL" in text


def percentile(values: list[float], part: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * part))] if values else 0.0
