"""W1: one step that is up to date, through the wrapper: one script, one input of 1 KB, one output."""

import filecmp
import os
import shutil
import time
from pathlib import Path

from .harness import Bench, BenchError, Entry, Goal, Section, against, mebibytes

STEP = """#!/bin/sh
# step.sh INPUT OUTPUT COUNTER: the counter shows from outside how often the step truly ran.
set -eu
tr a-z A-Z <"$1" >"$2"
echo ran >>"$3"
echo "step: $(wc -c <"$1") bytes"
"""

SMALL_C = """/* One short file without headers, since the step of the other tools has one input as well. */
static int digit(char c) { return c >= '0' && c <= '9' ? c - '0' : -1; }

int parse(const char *text) {
  int value = 0;
  for (; digit(*text) >= 0; text++) value = value * 10 + digit(*text);
  return value;
}
"""


class Step:
    """The step as one tool runs it, and the questions put to every tool before it is timed."""

    def __init__(self, bench: Bench, project: Path, tool: str, run: list[str]):
        self.bench, self.project, self.tool, self.run_command = bench, project, tool, run
        self.input = project / "input.txt"
        self.output = project / f"out-{tool}.txt"
        self.counter = project.parent / f"ran-{tool}"

    def run(self) -> str:
        return self.bench.run(self.run_command, self.project).stdout

    def times_ran(self) -> int:
        return len(self.counter.read_text().splitlines()) if self.counter.exists() else 0

    def output_is_right(self) -> bool:
        return self.output.exists() and self.output.read_text() == self.input.read_text().upper()

    def check(self) -> list[str]:
        """What the tool got wrong: work skipped that was due. Ends with the step up to date."""
        wrong = []
        self.run()
        if self.times_ran() != 1 or not self.output_is_right():
            raise BenchError(f"{self.tool} did not run the step in a fresh folder; nothing can be measured")
        self.run()
        if self.times_ran() != 1:
            wrong.append("runs although nothing changed")
        before = self.times_ran()
        edit(self.input, keep_times=False)
        self.run()
        if self.times_ran() == before or not self.output_is_right():
            wrong.append("skips although the input changed")
        return wrong

    def check_purser(self) -> list[str]:
        """What only a cache by content promises."""
        wrong = []

        def require(truth: bool, text: str) -> None:
            if not truth:
                wrong.append(text)

        log = self.run()
        require(log.startswith("step: "), "does not replay the log")
        ran = self.times_ran()
        self.output.write_text("not the output\n")
        self.run()
        require(self.output_is_right(), "leaves an output that was overwritten")
        self.output.unlink()
        self.run()
        require(self.output_is_right(), "does not put a deleted output back")
        require(self.times_ran() == ran, "runs again to put an output back")
        edit(self.input, keep_times=True)
        self.run()
        require(self.output_is_right(), "skips although the input changed (times and size kept)")
        ran = self.times_ran()
        edit(self.input, keep_times=False)
        self.run()
        require(self.output_is_right(), "restores the wrong output for an earlier input")
        require(self.times_ran() == ran, "runs again for an earlier input")
        return wrong


def edit(path: Path, keep_times: bool) -> None:
    """Swaps two letters: same size, other content; done twice it gives the first content back."""
    info = path.stat()
    time.sleep(0.05)  # past the clock's tick, so that tools that go by times have a chance
    path.write_text(path.read_text().translate(str.maketrans("ab", "ba")))
    if keep_times:
        os.utime(path, ns=(info.st_atime_ns, info.st_mtime_ns))
    else:
        time.sleep(0.05)


def lay_out(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    project = folder / "project"
    project.mkdir(parents=True)
    (project / "step.sh").write_text(STEP)
    line = "abcdefghijklmnopqrstuvwxyz 0123456789 abcdefghijklmnopqrstuvwx\n"
    (project / "input.txt").write_text((line * 17)[:1023] + "\n")
    (project / "small.c").write_text(SMALL_C)

    def step(tool: str) -> str:
        return f"sh step.sh input.txt out-{tool}.txt ../ran-{tool}"

    (project / "Makefile").write_text(f"out-make.txt: step.sh input.txt\n\t{step('make')}\n")
    (project / "build.ninja").write_text(
        f"rule step\n  command = {step('ninja')}\nbuild out-ninja.txt: step | step.sh input.txt\n")
    (project / "dodo.py").write_text(
        "def task_step():\n"
        f"    return {{'actions': [{step('doit')!r}], 'file_dep': ['step.sh', 'input.txt'],"
        " 'targets': ['out-doit.txt']}\n")
    return project


def check_ccache(bench: Bench, project: Path, command: list[str]) -> list[str]:
    wrong = []
    source, expected = project / "small.c", project / "small-gcc.o"
    for text in (SMALL_C, SMALL_C.replace("* 10", "* 16"), SMALL_C):
        source.write_text(text)
        bench.run(command, project)
        bench.run(["gcc", "-c", "small.c", "-o", expected.name], project)
        if not filecmp.cmp(project / "small-ccache.o", expected, shallow=False):
            wrong.append("gives the wrong object")
    statistics = bench.run([command[0], "--print-stats"], project).stdout
    hits = {line.split("\t")[0]: line.split("\t")[1] for line in statistics.splitlines()}.get("direct_cache_hit")
    if hits == "0":
        wrong.append("does not hit")
    return wrong


def measure(bench: Bench) -> list[Section]:
    folder = bench.scratch / "w1"
    shutil.rmtree(bench.scratch / "ccache", ignore_errors=True)
    project = lay_out(folder)
    nothing, how_nothing = bench.compile("nothing", [])
    lookup, how_lookup = bench.compile("lookup", ["sqlite3"])
    database = str(folder / "lookup.db")
    bench.run([lookup, "--make", database], project)

    exec_command = [
        str(bench.purser), "--project", ".", "--store", str(folder / "store"), "exec", "--task", "step",
        "--code", "step.sh", "--input", "input.txt", "--output", "out-purser.txt",
        "--", "sh", "step.sh", "input.txt", "out-purser.txt", "../ran-purser",
    ]
    step = Step(bench, project, "purser", exec_command)
    purser = Entry("purser exec, a hit", exec_command, note="output checked, log replayed")
    purser.wrong = step.check() + step.check_purser()
    entries = [
        purser,
        Entry("floor: a program that does nothing", [nothing], note=how_nothing),
        Entry("floor: one SQLite record, three stats",
              [lookup, database, "step.sh", "input.txt", "out-purser.txt"], note=how_lookup),
        Entry("/bin/true", ["/bin/true"], note="fork and exec"),
    ]

    ccache = None
    if (path := bench.find("ccache")) and bench.find("gcc"):
        command = [path, "gcc", "-c", "small.c", "-o", "small-ccache.o"]
        ccache = Entry("ccache gcc -c, a hit", command, note="a C file without headers")
        ccache.wrong = check_ccache(bench, project, command)
        entries.append(ccache)
    peers = {
        "make": (["make", "-s"], ["make", "-q"], "make -q", "times only"),
        "ninja": (["ninja"], ["ninja"], "ninja", "times only"),
        "doit": (["doit", "-f", "dodo.py"], ["doit", "-f", "dodo.py"], "doit", "times, then MD5"),
    }
    for tool, (run, timed, name, note) in peers.items():
        if path := bench.find(tool):
            entry = Entry(name, [path, *timed[1:]], runs=3 if tool == "doit" else None, note=note)
            entry.wrong = Step(bench, project, tool, [path, *run[1:]]).check()
            entries.append(entry)

    # The peers' checks have edited the input since; the last run of each left it up to date for its own
    # state of the input, so all are brought up to date once more.
    bench.run(exec_command, project)
    for tool, (run, *_) in peers.items():
        if path := bench.find(tool):
            bench.run([path, *run[1:]], project)
    ran_before = step.times_ran()

    time.sleep(2)  # digests of files this young may not be trusted yet by a stat cache
    bench.run(exec_command, project)
    bench.measure(entries, project, rounds=20 if bench.full else 6, runs=25 if bench.full else 15, warmup=3)
    if step.times_ran() != ran_before:
        purser.wrong.append("ran the step while hits were timed")
    for entry in entries:
        bench.peak(entry, project)

    return [Section("W1: one step that is up to date", entries, [
        against("a hit / ccache's", purser, ccache, 0.7, bar=1.0),
        mebibytes("a hit", purser, 16),
        Goal("a hit: written to disk", bench.bytes_written(purser, project), 0, unit=" bytes"),
    ])]
