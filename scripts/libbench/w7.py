"""W7: claims of queued work by many processes, and how they grow with the queue and with history."""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from . import store
from .harness import FULL_ONLY, Bench, Goal, Latency, Section

HERE = Path(__file__).parent
WORKERS, WRITERS = 16, 64
QUEUED = 10_000
MANY = 1_000_000
WORK_MS = 100


class Claims:
    """A store with a queue, and the tables that come of it."""

    def __init__(self, bench: Bench, folder: Path):
        self.bench, self.folder = bench, folder
        self.seconds = 20 if bench.full else 4

    def ask(self, *words: str | int, durable: bool = True) -> dict:
        command = [str(self.bench.program), words[0], str(self.folder / "store"), *map(str, words[1:])]
        return self.bench.figures(command + ["--not-durable"] * (not durable), self.folder)

    def rows(self, name: str, figures: dict, busy: int = 0) -> list[Latency]:
        note = (f"{figures['workers']} processes, {figures['perSecond']:,.0f} a second, "
                f"{figures['least']:,} to {figures['most']:,} each")
        wrong = [f"{figures['unserved']} processes got nothing"] if figures["unserved"] and "purser" in name else []
        wrong += [f"{busy} busy errors"] if busy else []
        calls = {"claim": "a claim", "claimAndConclude": "claim and end", "write": "a transaction"}
        rows = [Latency(f"{name}: {text}", figures[key]) for key, text in calls.items() if key in figures]
        rows[0].note, rows[0].wrong = note, wrong
        return rows

    def section(self, queued: int, past: int, before: dict[str, float]) -> Section:
        made = Section(f"W7: claims, {queued:,} queued, {past:,} past runs", [])
        is_whole = self.bench.full or not before
        variants = [(f"work of {WORK_MS} ms", WORK_MS, True), ("no work", 0, True), ("no work, not synced", 0, False)]
        for name, work, durable in variants:
            about = f"{WORKERS} workers, {queued:,} queued, {name}"
            if work == 0 and not is_whole:
                made.goals.append(Goal(f"{about}: p95 of a claim", None, 2, unit=" ms", bar=10, reason=FULL_ONLY))
                continue
            figures = self.ask("claims", WORKERS, self.seconds, work, durable=durable)
            rows = self.rows(f"purser, {name}", figures)
            # As many again: what is fast enough empties the queue.
            store.fill(self.folder / "store", 0, 100, queued=rows[0].figures["count"])
            made.latencies += rows
            made.goals += [
                Goal(f"{about}: p95 of a claim", rows[0].milliseconds("p95"), 2, unit=" ms", bar=10),
                Goal(f"{about}: longest wait", rows[0].milliseconds("max"), 100, unit=" ms"),
                Goal(f"{about}: workers that got nothing", figures["unserved"], 0, unit=""),
            ]
            if name in before:
                growth = rows[0].figures["p50"] / before[name]
                made.goals.append(Goal(f"{about}: p50 / with {QUEUED:,} queued", growth, 2))
            else:
                before[name] = rows[0].figures["p50"]
        if is_whole:
            floor = [sys.executable, str(HERE / "sqlite_claims.py"), str(WORKERS), str(queued), str(self.seconds)]
            made.latencies += self.rows("SQLite, no work", self.bench.figures(floor, self.folder))
        return made

    def writers(self) -> Section:
        figures = self.ask("writers", WRITERS, self.seconds)
        rows = self.rows("purser", figures, figures["busy"])
        return Section(f"W7: {WRITERS} processes that write", [], latencies=rows, goals=[
            Goal(f"{WRITERS} processes that write: busy errors", figures["busy"], 0, unit=""),
            Goal(f"{WRITERS} processes that write: those that got nothing", figures["unserved"], 0, unit=""),
        ])


def measure(bench: Bench) -> Iterator[Section]:
    folder = bench.scratch / "w7"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    claims = Claims(bench, folder)
    claims.ask("create", 0, 100, durable=False)
    store.fill(folder / "store", QUEUED, 100, queued=QUEUED)
    before: dict[str, float] = {}
    yield claims.section(QUEUED, QUEUED, before)
    yield claims.writers()
    store.fill(folder / "store", MANY - QUEUED, 10_000, queued=MANY - QUEUED)
    yield claims.section(MANY, MANY, before)
    shutil.rmtree(folder)
