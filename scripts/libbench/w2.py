"""W2: nothing to do in a layered graph of N tasks, how that grows with N; and the first run."""

import time
from collections.abc import Iterator

from . import graph
from .harness import FULL_ONLY, LINEAR, Bench, Entry, Goal, Section, against, mebibytes

SETTLED = 2  # seconds; digests of files younger than this may not be trusted yet by a stat cache


def nothing_to_do(bench: Bench, count: int) -> Section:
    folder = bench.scratch / "graphs"
    projects = graph.projects(bench, folder, count)
    entries: dict[str, Entry] = {}
    for tool, project in projects.items():
        entry = project.entry("purser run" if tool == "purser" else tool, note=graph.TOOLS[tool].note)
        entry.wrong, _ = project.check()
        entries[tool] = entry
    own = projects["purser"].folder
    # A test of the size, since find does not look at a file for its name alone.
    floor = Entry("floor: find, which stats every file", ["find", "i", "o", "-size", "+1G"], cwd=own)
    everything = [entries["purser"], floor, *(entry for tool, entry in entries.items() if tool != "purser")]

    time.sleep(SETTLED)
    bench.run(projects["purser"].command, own)
    bench.measure(everything, folder, rounds=9 if bench.full else 5, runs=10 if count < 10_000 else 3)
    for tool in ("purser", "make", "ninja"):
        if tool in entries:
            bench.peak(entries[tool], folder)
    if ran := projects["purser"].ran():
        entries["purser"].wrong.append(f"runs {ran} tasks although nothing changed")

    section = Section(f"W2: nothing to do in a graph of {count:,} tasks", everything)
    if count == 10_000:
        section.goals.append(
            against("nothing to do in 10,000 tasks / ninja", entries["purser"], entries.get("ninja"), 0.8, bar=1.0))
        section.goals.append(mebibytes("nothing to do in 10,000 tasks", entries["purser"], 64))
    return section


def first_run(bench: Bench) -> Section:
    count = 10_000 if bench.full else 1_000
    folder = bench.scratch / "first"
    projects = graph.projects(bench, folder, count)
    entries = {}
    for tool, project in projects.items():
        entries[tool] = project.entry("purser run -j 2" if tool == "purser" else tool, project.forget,
                                      "recorded durably" if tool == "purser" else graph.TOOLS[tool].note)
        entries[tool].count = count
    pair = [entry for tool, entry in entries.items() if tool in ("purser", "ninja")]
    bench.measure(pair, folder, rounds=7 if bench.full else 5, runs=1, warmup=0)
    bench.measure([entry for entry in entries.values() if entry not in pair], folder,
                  rounds=3 if bench.full else 1, runs=1, warmup=0)
    for tool, project in projects.items():
        if not project.outputs_are_right():
            entries[tool].wrong.append("leaves outputs that are missing or wrong")
        if ran := project.ran():
            entries[tool].wrong.append(f"runs {ran} of its tasks again")
    section = Section(f"W2: the first run of {count:,} tasks, each a cp, two at a time", list(entries.values()))
    section.goals.append(
        against(f"first run of {count:,} tasks / ninja", entries["purser"], entries.get("ninja"), 1.0))
    graph.forget_projects(folder)
    return section


def measure(bench: Bench) -> Iterator[Section]:
    least, most = 1_000, max(graph.LAYERS)
    seconds: dict[int, float] = {}
    for count in graph.LAYERS:
        if count == most and not bench.full:
            continue  # the first run of each tool takes it minutes
        section = nothing_to_do(bench, count)
        seconds[count] = section.entries[0].seconds
        if count > least:
            section.goals.append(growth(count, seconds[count] / seconds[count // 10] / 10))
        if count == most // 10 and not bench.full:
            section.goals.append(growth(most, None))
        yield section
    yield first_run(bench)


def growth(count: int, value: float | None) -> Goal:
    return Goal(f"nothing to do: time a task at {count:,} / at {count // 10:,}", value, LINEAR, reason=FULL_ONLY)
