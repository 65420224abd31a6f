"""W8: what following a command costs: a C compile, a Python step with many imports, a script of 1,000 processes."""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from .harness import Bench, BenchError, Entry, Goal, Section, ratio

HEADERS = 60
FUNCTIONS = 60
MODULES = 100
PROCESSES = 1_000
# What the project has set itself, and what a prototype came to.
GOALS = {"compile": (1.1, 1.3), "imports": (1.4, 1.6), "processes": (2.0, 3.0)}


def write_program(folder: Path) -> list[str]:
    (folder / "include").mkdir()
    for number in range(HEADERS):
        (folder / "include" / f"h{number}.h").write_text(f"#include <stdio.h>\nenum {{ V{number} = {number} }};\n")
    lines = [f'#include "h{number}.h"' for number in range(HEADERS)]
    for number in range(FUNCTIONS):
        lines.append(f"int f{number}(int a, int b) {{ int s = V{number % HEADERS}; for (int i = 0; i < b; i++)"
                     f" s += a * i % (b + {number}) + (s >> 3); return s; }}")
    (folder / "main.c").write_text("\n".join(lines) + "\n")
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        raise BenchError("no C compiler: run scripts/bench --setup")
    return [compiler, "-O2", "-Iempty", "-Iinclude", "-c", "main.c", "-o", "main.o"]


def write_modules(folder: Path) -> list[str]:
    (folder / "package").mkdir()
    (folder / "package" / "__init__.py").write_text("")
    for number in range(MODULES):
        (folder / "package" / f"m{number}.py").write_text(f"import json, re\nvalue = {number}\n")
    imports = "".join(f"import package.m{number}\n" for number in range(MODULES))
    library = "import argparse, asyncio, csv, decimal, email, http.client, sqlite3, unittest, xml.dom.minidom\n"
    (folder / "main.py").write_text(library + imports)
    return [sys.executable, "main.py"]


def write_script(folder: Path) -> list[str]:
    (folder / "many.sh").write_text(f"i=0; while [ $i -lt {PROCESSES} ]; do /bin/true; i=$((i + 1)); done\n")
    return ["sh", "many.sh"]


def measure(bench: Bench) -> Iterator[Section]:
    folder = bench.scratch / "w8"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    commands = {"compile": write_program(folder), "imports": write_modules(folder), "processes": write_script(folder)}
    for name, command in commands.items():
        wrapped = [str(bench.purser), "-q", "--project", str(folder), "exec", "--force"]
        plain = Entry("the command", command)
        untraced = Entry("purser exec", [*wrapped, "--task", f"{name}-plain", "--", *command])
        traced = Entry("purser exec --trace", [*wrapped, "--task", name, "--trace", "--", *command])
        entries = [plain, untraced, traced]
        bench.measure(entries, folder, rounds=15 if bench.full else 4, runs=5 if bench.full else 1, warmup=0)
        told = bench.figures([str(bench.purser), "--project", str(folder), "trace", name, "--json"], folder)["tasks"][0]
        traced.note = f"{len(told['read'])} files of the project read, {len(told['missing'])} looked for in vain"
        wanted = {"compile": HEADERS + 1, "imports": MODULES + 2, "processes": 1}[name]
        if len(told["read"]) != wanted:
            traced.wrong.append(f"tells of {len(told['read'])} files read where {wanted} were")
        goal, bar = GOALS[name]
        yield Section(f"W8: following a command, {name}", entries, goals=[
            Goal("traced / untraced", ratio(traced, untraced), goal, bar=bar),
            Goal("traced / the command by itself", ratio(traced, plain), goal + 0.2, bar=bar + 0.5),
        ])
    shutil.rmtree(folder)
