"""What was measured, as Markdown for readers and JSON for programs. No path and no host name is in either."""

import os
import platform
import re
import subprocess
from datetime import datetime, timezone
from pathlib import Path

from .harness import Bench, Entry, Latency, Section

VERSION_QUESTIONS = {
    "purser": ["--version"],
    "hyperfine": ["--version"],
    "ccache": ["--version"],
    "make": ["--version"],
    "ninja": ["--version"],
    "doit": ["--version"],
    "dvc": ["--version"],
    "kptn": ["version"],
    "snakemake": ["--version"],
    "git": ["--version"],
    "openssl": ["version"],
    "sha256sum": ["--version"],
    "gcc": ["--version"],
}


def versions(bench: Bench) -> dict[str, str]:
    found = {}
    for name, question in VERSION_QUESTIONS.items():
        path = str(bench.purser) if name == "purser" else bench.look(name)
        if path is None:
            continue
        done = subprocess.run([path, *question], env=bench.environment, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True)
        number = re.search(r"\d+(\.\d+)+\w*", done.stdout)
        found[name] = number[0] if done.returncode == 0 and number else "unknown"
    return found


def machine(scratch: Path) -> dict[str, str | int | float | bool]:
    cpu = Path("/proc/cpuinfo").read_text()
    model = re.search(r"^model name\s*: (.*)$", cpu, re.MULTILINE)
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "cpu": model[1] if model else platform.machine(),
        "cores": os.cpu_count() or 1,
        "shaInstructions": bool(re.search(r"\b(sha_ni|sha2)\b", cpu)),
        "memoryGiB": round(memory / (1 << 30), 1),
        "kernel": platform.release(),
        "system": system_name(),
        "filesystem": filesystem(scratch),
        "loadAtStart": round(os.getloadavg()[0], 2),
    }


def system_name() -> str:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", "unknown")
    except OSError:
        return "unknown"


def filesystem(path: Path) -> str:
    """Of the scratch folder: the mount with the longest path above it."""
    best, kind = "", "unknown"
    for line in Path("/proc/mounts").read_text().splitlines():
        _, mount, type_, *_ = line.split()
        inside = mount == "/" or path == Path(mount) or Path(mount) in path.parents
        if inside and len(mount) >= len(best):
            best, kind = mount, type_
    return kind


def entry_as_json(entry: Entry, reference: Entry) -> dict:
    times = sorted(entry.samples)
    return {
        "name": entry.name,
        "medianSeconds": entry.seconds,
        "leastSeconds": times[0],
        "p90Seconds": times[int((len(times) - 1) * 0.9)],
        "runs": len(times),
        "bytesPerSecond": entry.bytes / entry.seconds if entry.bytes else None,
        "perSecond": entry.rate if entry.count else None,
        "peakKiB": entry.peak_kib,
        "timesOfPurser": entry.seconds / reference.seconds,
        "wrong": entry.wrong,
        "note": entry.note,
    }


def as_json(sections: list[Section], about: dict, tools: dict[str, str], skipped: list[str], mode: str) -> dict:
    return {
        "version": 2,
        "date": datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "mode": mode,
        "machine": about,
        "tools": tools,
        "skipped": skipped,
        "sections": [
            {
                "title": section.title,
                "entries": [entry_as_json(entry, section.entries[0]) for entry in section.entries],
                "latencies": [
                    {"name": latency.name, "microseconds": latency.figures, "wrong": latency.wrong,
                     "note": latency.note}
                    for latency in section.latencies
                ],
            }
            for section in sections
        ],
        "wrong": [{"workload": section.workload, "row": row, "fault": fault}
                  for section in sections for row, fault in section.faults],
        "goals": [
            {"workload": section.workload, "goal": goal.text, "bound": goal.goal, "firstBar": goal.bar,
             "atLeast": goal.at_least, "unit": goal.unit.strip(), "measured": goal.value, "met": goal.is_met,
             "notMeasured": goal.reason if goal.value is None else None}
            for section in sections for goal in section.goals
        ],
    }


def duration(seconds: float) -> str:
    if seconds < 0.1:
        return f"{seconds * 1000:.2f} ms"
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.2f} s"


def section_as_markdown(section: Section) -> str:
    lines = [f"## {section.title}", ""]
    if not section.entries and not section.latencies:
        lines.append("Not measured this time.")
    if section.entries:
        lines += times_as_markdown(section)
    if section.latencies:
        lines += latencies_as_markdown(section.latencies)
    return "\n".join(lines) + "\n"


def goals_as_markdown(sections: list[Section]) -> str:
    """Every goal, and before them what was done wrong: a tool that skips what is due is not fast."""
    lines = ["## Goals", ""]
    faults = [f"- {section.workload}, {name}: {fault}" for section in sections for name, fault in section.faults]
    lines += ["Wrong:", "", *faults, ""] if faults else ["No tool skipped work that was due.", ""]
    lines += [row(["", "goal", "measured", "wanted", ""]), row(["---", "---", "---:", "---:", "---"])]
    for section in sections:
        for goal in section.goals:
            measured = "" if goal.value is None else f"{goal.value:.2f}{goal.unit}"
            lines.append(row([section.workload, goal.text, measured, goal.bound, goal.verdict]))
    return "\n".join(lines) + "\n"


def microseconds(value: float) -> str:
    return f"{value:.1f} µs" if value < 1000 else duration(value / 1e6)


def latencies_as_markdown(latencies: list[Latency]) -> list[str]:
    lines = [row(["", "calls", "p50", "p95", "p99", "longest", "notes"]), row(["---"] + ["---:"] * 5 + ["---"])]
    for latency in latencies:
        figures = latency.figures
        times = [microseconds(figures[which]) for which in ("p50", "p95", "p99", "max")]
        notes = [f"**WRONG**: {fault}" for fault in latency.wrong] + [latency.note] * bool(latency.note)
        lines.append(row([latency.name, f"{figures['count']:,}", *times, "; ".join(notes)]))
    return lines


def times_as_markdown(section: Section) -> list[str]:
    first = section.entries[0]
    speeds = any(entry.bytes for entry in section.entries)
    counts = any(entry.count for entry in section.entries)
    peaks = any(entry.peak_kib for entry in section.entries)
    head = ["", "median", "least", "p90", "× purser"]
    head += ["GB/s"] * speeds + ["a second"] * counts + ["peak MiB"] * peaks + ["notes"]
    lines = [row(head), row(["---"] + ["---:"] * (len(head) - 2) + ["---"])]
    for entry in section.entries:
        times = sorted(entry.samples)
        cells = [entry.name, duration(entry.seconds), duration(times[0]),
                 duration(times[int((len(times) - 1) * 0.9)]), f"{entry.seconds / first.seconds:.2f}"]
        cells += [f"{entry.bytes / entry.seconds / 1e9:.2f}" if entry.bytes else ""] * speeds
        cells += [f"{entry.rate:,.0f}" if entry.count else ""] * counts
        cells += [f"{entry.peak_kib / 1024:.1f}" if entry.peak_kib else ""] * peaks
        cells.append("; ".join([f"**WRONG**: {fault}" for fault in entry.wrong] + [entry.note] * bool(entry.note)))
        lines.append(row(cells))
    return lines


def row(cells: list[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def heading(about: dict, tools: dict[str, str], mode: str) -> str:
    sha = "with SHA instructions" if about["shaInstructions"] else "without SHA instructions"
    return (
        f"# Benchmark, {mode}\n\n"
        f"{about['cpu']}, {about['cores']} cores, {sha}; {about['memoryGiB']} GiB; {about['system']}, "
        f"Linux {about['kernel']}; {about['filesystem']}; load {about['loadAtStart']} at the start.\n\n"
        f"{', '.join(f'{name} {number}' for name, number in tools.items())}.\n\n"
        "Medians of interleaved rounds, the order turned round each time, without a shell, output to /dev/null. "
        "A goal's ratio is the median of the ratios within each round. Compare within one run only.\n"
    )
