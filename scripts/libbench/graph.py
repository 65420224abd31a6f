"""A layered graph of copies: each task copies its own input to its own output, and comes after two of the layer above.

A copy does not depend on what the tasks above it made. So a change of the first task's input makes three tasks run
where content decides (the first, and the two below it, whose copies come out as before), and every task that can be
reached from it where times do.
"""

import shutil
import string
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .harness import FULL_ONLY, Bench, BenchError, Entry

LAYERS = {100: 10, 1_000: 40, 10_000: 100, 100_000: 400}
DIGITS = string.digits + string.ascii_lowercase
NEEDED = 3  # tasks to run after a change of the first input, by content


def name(number: int) -> str:
    """Three letters, or four from 46,656 on: short, as the names of the files that most tools are measured with."""
    letters = ""
    while number or len(letters) < 3:
        number, digit = divmod(number, 36)
        letters = DIGITS[digit] + letters
    return letters


@dataclass
class Task:
    """One copy, from i/NAME to o/NAME."""

    name: str
    above: list[str]


def layered(count: int) -> list[Task]:
    width = count // LAYERS[count]

    def above(number: int) -> list[str]:
        layer, place = divmod(number, width)
        return [name((layer - 1) * width + other % width) for other in (place, place + 1)] if layer else []

    return [Task(name(number), above(number)) for number in range(count)]


def reachable(tasks: list[Task]) -> int:
    """How many tasks come after the first, itself included."""
    found = {tasks[0].name}
    for task in tasks:
        if found.intersection(task.above):
            found.add(task.name)
    return len(found)


def purser_yaml(tasks: list[Task]) -> str:
    lines = ["graphs:", " bench:", "  tasks:"]
    lines += [f"   t{task.name}: [{', '.join(f't{other}' for other in task.above)}]" for task in tasks]
    lines.append("tasks:")
    lines += [f" t{t.name}: {{command: [cp, i/{t.name}, o/{t.name}], inputs: [i/{t.name}], outputs: [o/{t.name}]}}"
              for t in tasks]
    return "\n".join(lines) + "\n"


def makefile(tasks: list[Task]) -> str:
    above = [(t.name, " ".join(f"o/{other}" for other in t.above)) for t in tasks]
    # Without its built-in rules, which would cost it two thirds of its time here.
    rules = "".join(f"o/{name}: i/{name} {others}\n\tcp i/{name} o/{name}\n" for name, others in above)
    return f"MAKEFLAGS += -r\n.SUFFIXES:\nall: {' '.join(f'o/{t.name}' for t in tasks)}\n{rules}"


def build_ninja(tasks: list[Task]) -> str:
    rule = "rule copy\n  command = cp $from $out\n"
    return rule + "".join(
        f"build o/{t.name}: copy i/{t.name} {' '.join(f'o/{other}' for other in t.above)}\n  from = i/{t.name}\n"
        for t in tasks)


def dodo(tasks: list[Task]) -> str:
    table = "".join(f"    {t.name!r}: {t.above!r},\n" for t in tasks)
    return (
        f"TASKS = {{\n{table}}}\n\n\n"
        "def task_copy():\n"
        "    for name, above in TASKS.items():\n"
        "        yield {'name': name, 'actions': [['cp', f'i/{name}', f'o/{name}']],\n"
        "               'file_dep': [f'i/{name}', *(f'o/{other}' for other in above)], 'targets': [f'o/{name}']}\n")


def kptn_pipeline(tasks: list[Task]) -> str:
    table = "".join(f"    {t.name!r}: {t.above!r},\n" for t in tasks)
    asked = {other for task in tasks for other in task.above}
    last = [t.name for t in tasks if t.name not in asked]
    return (
        f"import shutil\n\nimport kptn\n\nTASKS = {{\n{table}}}\n\n\n"
        "def make(name, above):\n"
        "    def copy() -> None:\n"
        "        shutil.copyfile(f'i/{name}', f'o/{name}')\n\n"
        "    copy.__name__ = f't{name}'\n"
        "    return kptn.task(outputs=[f'o/{name}'], requires=above)(copy)\n\n\n"
        "made = {}\n"
        "for name, above in TASKS.items():\n"
        "    made[name] = make(name, [made[other] for other in above])\n"
        f"pipeline = kptn.Pipeline('bench', kptn.parallel(*(made[name] for name in {last!r})))\n")


def snakefile(tasks: list[Task]) -> str:
    table = "".join(f"    {t.name!r}: {t.above!r},\n" for t in tasks)
    return (
        f"ABOVE = {{\n{table}}}\n\n"
        "rule all:\n    input: [f'o/{name}' for name in ABOVE]\n\n"
        "rule copy:\n"
        "    input: lambda w: [f'i/{w.name}', *(f'o/{other}' for other in ABOVE[w.name])]\n"
        "    output: 'o/{name}'\n"
        "    shell: 'cp i/{wildcards.name} {output}'\n")


@dataclass
class Tool:
    """How one tool is told of the graph, and run."""

    files: Callable[[list[Task]], dict[str, str]]
    run: list[str]
    state: list[str]  # what it remembers by, in the project
    note: str
    most: int = 100_000  # tasks; more take it minutes
    most_quickly: int = 10_000  # the same in quick mode


TOOLS = {
    "purser": Tool(lambda tasks: {"purser.yaml": purser_yaml(tasks)}, ["--project", ".", "run", "-j", "2"],
                   [".purser"], "contents"),
    "make": Tool(lambda tasks: {"Makefile": makefile(tasks)}, ["-s", "-j2"], [], "times only", most_quickly=1_000),
    "ninja": Tool(lambda tasks: {"build.ninja": build_ninja(tasks)}, ["-j2"], [".ninja_log", ".ninja_deps"],
                  "times only"),
    "doit": Tool(lambda tasks: {"dodo.py": dodo(tasks)}, ["-n", "2"], [".doit.db"], "times, then MD5",
                 most=10_000, most_quickly=1_000),
    "kptn": Tool(lambda tasks: {"pipeline.py": kptn_pipeline(tasks),
                                "pyproject.toml": '[tool.kptn]\npipeline = "pipeline"\n'},
                 ["run", "--no-record"], [".kptn"], "outputs' digests; copies in its own process",
                 most=10_000, most_quickly=1_000),
    "snakemake": Tool(lambda tasks: {"Snakefile": snakefile(tasks)}, ["-j2", "-q", "all"], [".snakemake"],
                      "times, then checksums", most=100, most_quickly=100),
}


class Project:
    """The graph as one tool sees it, in a folder of its own."""

    def __init__(self, bench: Bench, folder: Path, tool: str, count: int, path: str):
        self.bench, self.folder, self.tool, self.count = bench, folder, tool, count
        self.tasks = layered(count)
        self.checked: tuple[list[str], int | None] | None = None
        self.command = [path, *TOOLS[tool].run]
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "i").mkdir(parents=True)
        (folder / "o").mkdir()
        for task in self.tasks:
            (folder / "i" / task.name).write_text(f"{task.name} as it was\n")
        for file, text in TOOLS[tool].files(self.tasks).items():
            (folder / file).write_text(text)

    def entry(self, label: str, prepare: list[str] | None = None, note: str = "") -> Entry:
        slow = self.tool in ("doit", "kptn", "snakemake")
        return Entry(label, self.command, prepare=prepare, runs=1 if slow else None, cwd=self.folder, note=note)

    @property
    def forget(self) -> list[str]:
        """Back to before the first run. What was made is moved away, not removed: for some minutes, ext4 gives no new
        file the inode of a removed one, and looks at all of those each time that a file is made."""
        state = " ".join(TOOLS[self.tool].state)
        return ["sh", "-c", f'old=$(mktemp -d ../old.XXXXXX); for name in o {state}; do '
                'if [ -e "$name" ]; then mv "$name" "$old" || exit; fi; done; mkdir o']

    @property
    def change(self) -> list[str]:
        """Another content in the first input each time."""
        return ["sh", "-c", f"date +%s%N >i/{self.tasks[0].name}"]

    def ran(self, prepare: list[str] | None = None) -> int:
        """Runs the tool, and counts the outputs that were written meanwhile, by their change times."""
        if prepare:
            self.bench.run(prepare, self.folder)
        time.sleep(0.05)
        before = time.time_ns() - 20_000_000  # the clock of files lags behind by a tick
        self.bench.run(self.command, self.folder)
        return sum(path.stat().st_ctime_ns > before for path in (self.folder / "o").iterdir())

    def outputs_are_right(self) -> bool:
        return all((self.folder / "o" / task.name).exists()
                   and (self.folder / "o" / task.name).read_bytes() == (self.folder / "i" / task.name).read_bytes()
                   for task in self.tasks)

    def check(self) -> tuple[list[str], int | None]:
        """What the tool got wrong, and how many tasks it runs after a change, where that was looked at; found out once.
        Ends with everything up to date."""
        if self.checked is None:
            self.checked = self.try_out()
        return self.checked[0].copy(), self.checked[1]

    def try_out(self) -> tuple[list[str], int | None]:
        wrong = []
        first = self.ran()
        if first != self.count or not self.outputs_are_right():
            raise BenchError(f"{self.tool} ran {first} of {self.count} tasks in a fresh folder; nothing can be "
                             "measured")
        if again := self.ran():
            wrong.append(f"runs {again} tasks although nothing changed")
        if self.tool != "purser" and self.count >= 10_000 and not self.bench.full:
            return wrong, None  # with fewer tasks it was looked at; here it runs thousands of them
        changed = self.ran(self.change)
        if changed == 0 or not self.outputs_are_right():
            wrong.append("skips although an input changed")
        if changed > reachable(self.tasks):
            wrong.append(f"runs {changed} tasks, of which {reachable(self.tasks)} come after the change")
        if self.tool == "purser" and changed != NEEDED:
            wrong.append(f"runs {changed} tasks where {NEEDED} are needed")
        return wrong, changed


def projects(bench: Bench, folder: Path, count: int) -> dict[str, Project]:
    """One for each tool that is here and can cope with so many tasks. Those of a folder and a count are made once: a
    first run of 10,000 tasks takes each tool half a minute."""
    if (folder, count) not in MADE:
        MADE[folder, count] = make_projects(bench, folder, count)
    return MADE[folder, count]


MADE: dict[tuple[Path, int], dict[str, Project]] = {}


def forget_projects(folder: Path) -> None:
    """Removes the projects in a folder."""
    shutil.rmtree(folder, ignore_errors=True)
    for key in [key for key in MADE if key[0] == folder]:
        del MADE[key]


def make_projects(bench: Bench, folder: Path, count: int) -> dict[str, Project]:
    found = {}
    for tool, about in TOOLS.items():
        if count > (about.most if bench.full else about.most_quickly):
            reason = "minutes" if count > about.most else f"minutes: {FULL_ONLY}"
            if (skipped := f"{tool} with {count:,} tasks ({reason})") not in bench.skipped:
                bench.skipped.append(skipped)
            continue
        path = str(bench.purser) if tool == "purser" else bench.find(tool)
        if path:
            found[tool] = Project(bench, folder / f"{count}-{tool}", tool, count, path)
    return found
