"""W6: task records within one process, and how their calls grow with what stands beside them."""

import json
import shlex
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from . import store
from .harness import FULL_ONLY, LINEAR, Bench, Entry, Goal, Latency, Section
from .w5 import python

HERE = Path(__file__).parent
RECORDS = 10_000
RUNS = 1_000_000
ITEMS = 50_000
LOOKUPS = 5_000
LOOKUP_NAMES = {"getOne": "get one", "getAll": "get all", "history": "the last 50 runs of a task",
                "events": "the events of a run"}


class Records:
    """A store, asked through the program."""

    def __init__(self, bench: Bench, folder: Path):
        self.bench, self.folder = bench, folder
        self.rows: dict[str, Latency] = {}

    def ask(self, *words: str | int, durable: bool = True) -> dict:
        command = [str(self.bench.program), words[0], str(self.folder / "store"), *map(str, words[1:])]
        return self.bench.figures(command + ["--not-durable"] * (not durable), self.folder)

    def note(self, key: str, name: str, figures: dict, note: str = "") -> None:
        self.rows[key] = Latency(f"purser: {name}", figures, note)

    def measure(self, first: int) -> None:
        """Takes every figure; reading comes first, because the records that are created stay until they are dropped."""
        found = self.ask("lookup", RECORDS, LOOKUPS)
        for key, name in LOOKUP_NAMES.items():
            self.note(key, name, found[key])
        durable = 1000 if self.bench.full else 200
        create = self.ask("create", first, durable, durable=False)["create"]
        self.note("create", "create, not synced", create, "a run opened and closed: record, run, events, result, lease")
        self.note("createDurable", "create, durable", self.ask("create", first + durable, durable)["create"])
        drop = self.ask("delete", ITEMS, 5, durable=False)["delete"]
        self.note("delete", f"delete with {ITEMS:,} subtasks, not synced", drop)
        self.note("event", "an event, not synced", self.ask("audit", 900, durable=False)["event"],
                  "with the change of state that it is about")
        self.note("eventDurable", "an event, durable", self.ask("audit", durable)["event"])


def peers(bench: Bench, folder: Path, events: int) -> tuple[dict, dict | None]:
    floors = bench.figures([sys.executable, str(HERE / "sqlite_records.py"), str(RECORDS), str(events), "5000"], folder)
    client = None
    if events <= 2 * RECORDS and (path := python(bench)):
        client = bench.figures([path, str(HERE / "kptn_records.py"), str(RECORDS), "1000"], folder)
    return floors, client


def section(bench: Bench, records: Records, runs: int, before: dict[str, Latency]) -> Section:
    # What it costs to have a million runs behind shows by the growth; to fill a floor with them takes long.
    floors, client = peers(bench, records.folder, 2 * runs) if bench.full or not before else ({}, None)
    made = Section(f"W6: {RECORDS:,} task records, {runs:,} runs, {2 * runs:,} events", [])
    for key, row in records.rows.items():
        made.latencies.append(row)
        name = row.name.removeprefix("purser: ")
        if key in floors:
            made.latencies.append(Latency(f"SQLite: {name}", floors[key], "Python's sqlite3"))
        if key in ("getOne", "getAll", "create", "delete"):
            value = row.figures["p50"] / floors[key]["p50"] if floors else None
            made.goals.append(Goal(f"{name}, {runs:,} runs: p50 / raw SQLite's", value, 1.5, reason=FULL_ONLY))
        if client and key in client:
            made.latencies.append(Latency(f"kptn's client: {name}", client[key]))
    limits = {"getOne": (0.1, 5), "history": (0.1, 5), "events": (0.1, 5), "event": (0.5, 3), "eventDurable": (0.5, 3)}
    for key, (aim, bar) in limits.items():
        row = records.rows[key]
        name = row.name.removeprefix("purser: ")
        made.goals.append(Goal(f"{name}, {runs:,} runs: p95", row.milliseconds("p95"), aim, unit=" ms", bar=bar))
    for key, row in before.items():
        if key == "history":
            continue  # one run then, fifty now: the answer itself is longer
        growth = records.rows[key].figures["p50"] / row.figures["p50"]
        name = row.name.removeprefix("purser: ")
        made.goals.append(Goal(f"{name}: p50 at {runs:,} runs / at {RECORDS:,}", growth, 2))
    return made


def many_records(bench: Bench, records: Records, before: dict[str, Latency]) -> Section:
    """Ten times the records: one is found as fast, all take ten times as long."""
    store.multiply(records.folder / "store", 10)
    count = 10 * RECORDS
    found = records.ask("lookup", RECORDS, LOOKUPS)
    made = Section(f"W6: {count:,} task records", [])
    for key, times in (("getOne", 1), ("getAll", 10)):
        made.latencies.append(Latency(f"purser: {LOOKUP_NAMES[key]}", found[key]))
        growth = found[key]["p50"] / before[key].figures["p50"] / times
        text = "time a record" if times > 1 else "p50"
        made.goals.append(Goal(f"{LOOKUP_NAMES[key]}: {text} at {count:,} records / at {RECORDS:,}", growth,
                               LINEAR if times > 1 else 2))
    return made


def branch_clone(bench: Bench, folder: Path) -> Section:
    """The store of the first section, and 100 items to each of its records."""
    place = folder / "clone"
    store.give_items(place, 100)
    tool = [str(bench.purser), "--project", str(folder), "--store", str(place), "branch"]
    clone = Entry("purser branch clone", [*tool, "clone", "main", "copy"], count=100 * RECORDS, cwd=folder,
                  prepare=["sh", "-c", f"{shlex.join([*tool, 'drop', 'copy', '--force'])} || true"],
                  note=f"{RECORDS:,} records with 100 subtasks each; the whole command")
    bench.measure([clone], folder, rounds=5 if bench.full else 3, runs=1, warmup=0)
    copies = json.loads(bench.run([*tool, "list", "--json"], folder).stdout)["storageKeys"]
    if any((copy["tasks"], copy["subtasks"]) != (RECORDS, 100 * RECORDS) for copy in copies) or len(copies) != 2:
        clone.wrong.append("does not copy every record and item")
    bench.peak(clone, folder)
    return Section(f"W6: a storage key with {100 * RECORDS:,} subtasks copied", [clone], [
        Goal("branch clone of 10,000 tasks with 1,000,000 subtasks", clone.seconds, 2, unit=" s"),
    ])


def measure(bench: Bench) -> Iterator[Section]:
    folder = bench.scratch / "w6"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    records = Records(bench, folder)
    records.ask("create", 0, RECORDS, durable=False)
    shutil.copytree(folder / "store", folder / "clone")
    records.measure(first=RECORDS)
    yield section(bench, records, RECORDS, {})
    before = dict(records.rows)
    store.fill(folder / "store", RUNS - RECORDS, RECORDS)
    records.measure(first=2 * RECORDS)
    yield section(bench, records, RUNS, before)
    yield many_records(bench, records, before)
    yield branch_clone(bench, folder)
    shutil.rmtree(folder)
