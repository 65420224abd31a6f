"""W5: progress of mapped items, recorded in bins of 500; and 50,000 items read back."""

import json
import shlex
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from .harness import Bench, Entry, Goal, Section, against, ratio

HERE = Path(__file__).parent
ITEMS = 50_000
SINGLES = 1_000

# The items of a bundle are done as soon as they are read: what is measured is the recording.
MARK = r"""sed 's/.*"item": *"\([^"]*\)".*/{"key":"\1","status":"done"}/' "$PURSER_ITEMS" >>"$PURSER_DONE" """


def pipeline(count: int, bundle: int | None) -> str:
    """A list of COUNT items, and a task that maps over it and does nothing."""
    each = [f"    bundle_size: {bundle}", f"    command: {json.dumps(MARK.strip())}"] if bundle else [
        "    command: ['true']"]
    return "\n".join([
        "graphs:", "  bench:", "    tasks:", "      items:", "      each: items",
        "tasks:",
        "  items:", f"    command: cp items-{count}.json \"$PURSER_RESULT\"", f"    inputs: [items-{count}.json]",
        "    cache_result: true", "    iterable_item: item",
        "  each:", "    map_over: item", *each, ""])


class Items:
    """A project with a mapped task, and the tool in it."""

    def __init__(self, bench: Bench, folder: Path, count: int, bundle: int | None = None):
        self.bench, self.folder, self.count = bench, folder, count
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        keys = [f"item-{number:05}" for number in range(count)]
        (folder / f"items-{count}.json").write_text(json.dumps(keys))
        (folder / "keys.txt").write_text("\n".join(keys) + "\n")
        (folder / "purser.yaml").write_text(pipeline(count, bundle))
        self.tool = [str(bench.purser), "--project", str(folder)]
        self.forget = ["rm", "-rf", str(folder / ".purser")]

    def entry(self, name: str, command: list[str], count: int, prepare: list[str] | None, note: str) -> Entry:
        return Entry(name, [*self.tool, *command], prepare=prepare, count=count, cwd=self.folder, note=note)

    @property
    def create(self) -> list[str]:
        """Back to a list of items of which none is done."""
        words = [*self.tool, "subtasks", "each", "create", "--from", str(self.folder / "keys.txt")]
        return ["sh", "-c", f"{shlex.join(self.forget)} && {shlex.join(words)}"]

    def read_back(self) -> list[dict]:
        """The items as the tool gives them, in bins or one by one."""
        entries = json.loads(self.bench.run([*self.tool, "--json", "subtasks", "each"], self.folder).stdout)
        return [item for entry in entries for item in entry.get("data", [entry])]

    def check(self) -> list[str]:
        items = self.read_back()
        done = sum(bool(item.get("endTime")) for item in items)
        return [] if len(items) == done == self.count else [
            f"{done:,} of {len(items):,} items are recorded as done, of {self.count:,}"]


def python(bench: Bench) -> str | None:
    """The interpreter beside the command `kptn`, if its client can be loaded there."""
    command = bench.find("kptn")
    if command is None:
        return None
    path = str(Path(command).parent / "python3")
    question = [path, "-c", "import kptn.caching.client.DbClientSQLite"]
    if Path(path).exists() and bench.run(question, bench.scratch, check=False).returncode == 0:
        return path
    if "kptn's client" not in bench.skipped:
        bench.skipped.append("kptn's client")
    return None


def recording(bench: Bench) -> Section:
    folder = bench.scratch / "w5"
    folder.mkdir(exist_ok=True)
    bundled = Items(bench, folder / "bundled", ITEMS, bundle=500)
    single = Items(bench, folder / "single", SINGLES)
    script = Items(bench, folder / "script", ITEMS)

    purser = bundled.entry("purser run, bundles of 500", ["run", "-j", "2"], 2 * ITEMS, bundled.forget,
                           f"{ITEMS:,} items, each started and ended; the whole run")
    each = single.entry("purser run, a process each", ["run", "-j", "2"], 2 * SINGLES, single.forget,
                        f"{SINGLES:,} items, each `true`; the whole run")
    done = script.entry("purser subtasks done", ["subtasks", "each", "done", "--from", "-"], ITEMS, script.create,
                        f"{ITEMS:,} keys on standard input, in one call; the whole command")
    done.command = ["sh", "-c", f"exec {shlex.join(done.command)} <keys.txt"]
    one = script.entry("purser subtasks done, one key", ["subtasks", "each", "done", "item-00042"], 1, None,
                       "starting the tool included")
    for items, entry in ((bundled, purser), (single, each)):
        bench.run(items.forget, items.folder)
        bench.run(entry.command, items.folder)
        entry.wrong = items.check()
    bench.run(script.create, script.folder)
    bench.run(done.command, script.folder)
    done.wrong = script.check()

    def itself(name: str, command: list[str], count: int, note: str) -> Entry:
        return Entry(name, [*command, str(count)], count=count, times_itself=True, note=note, cwd=folder)

    bench.require_program()
    event = itself("purser, an item a transaction", ["sh", "-c", 'rm -rf events && exec "$0" progress events "$1" "$1"',
                                                     str(bench.program)], 4_000,
                   "within one process, each acknowledged; its own clock")
    raw = [sys.executable, str(HERE / "sqlite_progress.py")]
    row = itself("SQLite, FULL, a row a transaction", [*raw, "1"], 4_000, "Python's sqlite3, its own clock")
    rows = itself("SQLite, FULL, 100 rows a transaction", [*raw, "100"], 200_000, "Python's sqlite3, its own clock")
    entries = [purser, each, done, one, event]
    client = None
    if path := python(bench):
        client = itself("kptn's client, SQLite", [path, str(HERE / "kptn_progress.py"), "record"], 2_000,
                        "1,000 items, each started and ended; its own clock")
        entries.append(client)
    entries += [row, rows]
    bench.measure(entries, folder, rounds=7 if bench.full else 3, runs=1, warmup=0)
    bench.peak(purser, folder)

    section = Section("W5: progress of mapped items, recorded durably in bins", entries)

    def rate(above: Entry, below: Entry | None) -> float | None:
        """How many times as many things a second."""
        times = ratio(above, below)
        return times and above.count / below.count / times

    for text, entry in (("50,000 items by name", done), ("a run in bundles of 500", purser)):
        section.goals.append(Goal(f"{text}: updates a second / kptn's client", rate(entry, client), 100, at_least=True,
                                  reason="the peer is not installed"))
    slower = rate(row, event)
    section.goals.append(Goal("one acknowledged event / SQLite's FULL transaction", slower, 1.2))
    for text, entry in (("50,000 items by name", done), ("a run in bundles of 500", purser)):
        written = bench.bytes_written(entry, folder) / entry.count
        section.goals.append(Goal(f"{text}: written to disk for each event", written, 1024, unit=" bytes"))
    return section


def reading(bench: Bench) -> Section:
    folder = bench.scratch / "w5"
    script = Items(bench, folder / "script", ITEMS)
    bench.run(script.create, script.folder)
    read = script.entry("purser subtasks --json", ["--json", "subtasks", "each"], ITEMS, None, "the whole command")
    if len(script.read_back()) != ITEMS:
        read.wrong.append("does not give every item back")
    entries = [read]
    client = None
    if path := python(bench):
        client = Entry("kptn's client, get_subtasks", [path, str(HERE / "kptn_progress.py"), "read", str(ITEMS)],
                       count=ITEMS, times_itself=True, cwd=folder, note="its own clock, without loading Python")
        entries.append(client)
    bench.measure(entries, folder, rounds=7 if bench.full else 3, runs=1)
    return Section(f"W5: {ITEMS:,} items read back", entries, [
        against(f"{ITEMS:,} items read back / kptn's client", read, client, 0.1, bar=1.0),
    ])


def measure(bench: Bench) -> Iterator[Section]:
    yield recording(bench)
    yield reading(bench)
    shutil.rmtree(bench.scratch / "w5")
