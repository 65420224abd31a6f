"""W3: one input of N changed, the first: what follows runs, and nothing else."""

import time
from collections.abc import Iterator

from . import graph
from .harness import FULL_ONLY, Bench, Entry, Goal, Section, against
from .w2 import SETTLED


def one_change(bench: Bench, count: int) -> Section:
    folder = bench.scratch / "graphs"
    projects = graph.projects(bench, folder, count)
    entries: dict[str, Entry] = {}
    for tool, project in projects.items():
        entry = project.entry("purser run" if tool == "purser" else tool, project.change)
        entry.wrong, ran = project.check()
        entry.note = "" if ran is None else f"runs {ran:,} tasks"
        entry.runs = 1
        entries[tool] = entry
    idle = None
    if "ninja" in projects:
        idle = projects["ninja"].entry("ninja, nothing changed", note="the measure of the goal")
        idle.runs = 3
    pair = [entries["purser"]] + [idle] * bool(idle)
    peers = [entry for tool, entry in entries.items() if tool != "purser"]
    if count >= 10_000 and not bench.full:
        bench.skipped += [f"{entry.name} after one change of {count:,} ({FULL_ONLY})" for entry in peers]
        peers = []  # they run thousands of tasks each time

    time.sleep(SETTLED)
    for tool in ("purser", "ninja"):
        if tool in projects:
            bench.run(projects[tool].command, projects[tool].folder)
    bench.measure(pair, folder, rounds=9 if bench.full else 5, runs=1, warmup=0)
    bench.measure(peers, folder, rounds=5 if bench.full else 2, runs=1, warmup=0)
    if not projects["purser"].outputs_are_right():
        entries["purser"].wrong.append("leaves outputs that are missing or wrong")
    if (ran := projects["purser"].ran(projects["purser"].change)) != graph.NEEDED:
        entries["purser"].wrong.append(f"runs {ran} tasks where {graph.NEEDED} are needed")

    cone = graph.reachable(projects["purser"].tasks)
    title = f"W3: one input of {count:,} changed; {graph.NEEDED} tasks have to run, {cone:,} come after it"
    section = Section(title, pair + peers)
    text = f"one input of {count:,} changed"
    section.goals.append(Goal(f"{text}: tasks that ran, of {graph.NEEDED} that must, too many or too few",
                              abs(ran - graph.NEEDED), 0, unit=""))
    if count == 10_000:
        section.goals.append(against(f"{text} / ninja with nothing to do", entries["purser"], idle, 1.3))
    return section


def measure(bench: Bench) -> Iterator[Section]:
    for count in (1_000, 10_000):
        yield one_change(bench, count)
