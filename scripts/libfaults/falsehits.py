"""Group C: inputs that change at the worst moment, and keys that must differ."""

import itertools
import os
import subprocess
import threading
import time
from pathlib import Path

from .harness import Faults, Project, Skip, Tally, row

COPY = ["exec", "--task", "copy", "--input", "in", "--output", "out", "--", "cp", "in", "out"]


def settle() -> None:
    """Past the tick in which a file was written, so that its digest may be trusted by its times."""
    time.sleep(0.03)


def copied(project: Project, content: bytes) -> str | None:
    """Does the task once more: a false hit is an output that is not the input's content."""
    done = project.purser(*COPY)
    if (problem := done.says(0)) is not None:
        return problem
    return None if project.read("out") == content else f"false hit: {project.read('out')!r} for {content!r}"


def told(tally: Tally) -> str:
    return f"false hits {sum('false hit' in problem for problem in tally.bad)}"


@row(22, "C", "rewritten at once, same size")
def same_tick(faults: Faults, tally: Tally) -> None:
    project, at_once = faults.project(), 0
    path = project.write("in", b"0000000\n")
    waiting = ["sh", "-c", 'read line; exec "$@"', "sh", *project.command(*COPY)]
    for n in range(1, faults.rounds(200, 2000) + 1):
        before, after = b"%07d\n" % n, b"%07d\n" % -n
        process = project.start(waiting, stdin=subprocess.PIPE)
        # In place, so that neither the file's number nor its size tell; the second write at a random moment of the
        # first run: before it looks, between its looks, or after. Nothing here looks at the file in between: from 6.13
        # on, Linux gives a file finer times once somebody has.
        path.write_bytes(before)
        begun = time.perf_counter()
        process.stdin.write(b"\n")
        process.stdin.flush()
        end = begun + faults.random.uniform(0, 0.012)
        while time.perf_counter() < end:
            pass
        path.write_bytes(after)
        at_once += time.perf_counter() - begun < 0.004
        process.communicate()
        problems = [copied(project, after)]
        path.write_bytes(before)
        tally.add(*problems, copied(project, before))
    tally.figure = f"{told(tally)}; {at_once} within 4 ms"


@row(23, "C", "mtime put back")
def mtime_restored(faults: Faults, tally: Tally) -> None:
    project = faults.project()
    path = project.write("in", b"0000000\n")
    for n in range(1, faults.rounds(100, 1000) + 1):
        settle()
        problem = copied(project, path.read_bytes())
        times = path.stat()
        path.write_bytes(b"%07d\n" % n)
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
        tally.add(problem, copied(project, b"%07d\n" % n))
    tally.figure = told(tally)


@row(24, "C", "changes while it is hashed")
def changed_while_hashed(faults: Faults, tally: Tally) -> None:
    project, cached = faults.project(), 0
    size = faults.rounds(64 << 20, 1 << 30)
    path = project.write("in", b"")
    os.truncate(path, size)
    action = ["exec", "--task", "sum", "--input", "in", "--output", "out", "--", "sh", "-c", "echo done > out"]
    for n in range(faults.rounds(10, 20)):
        stop, writes = threading.Event(), 0

        def write() -> None:
            nonlocal writes
            with open(path, "r+b", buffering=0) as file:
                while not stop.is_set():
                    file.seek(faults.random.randrange(size))
                    file.write(os.urandom(1))
                    writes += 1
                    time.sleep(0.001)

        writer = threading.Thread(target=write)
        writer.start()
        faults.wait_for(lambda: writes > 0)
        done = project.purser(*action)
        stop.set()
        writer.join()
        # Whatever it hashed, it is not the file as it is now, so that nothing may be fresh.
        fresh = project.purser(*[word if word != "exec" else "check" for word in action]).code == 0
        cached += fresh
        tally.add("false hit: cached" if fresh else None, done.crash, "hung" if done.code is None else None,
                  None if done.code == 0 or done.err else f"{done.code} and not a word")
    tally.figure = f"{cached} cached ({size >> 20} MiB)"


@row(25, "C", "input changes during the run")
def changed_during_run(faults: Faults, tally: Tally) -> None:
    project, cached = faults.project(), 0
    edits = ["echo more >> in", "printf 'X' | dd of=in conv=notrunc status=none", "rm in; echo other > in",
             "cp in new; mv new in", "touch in", "rm in", "mkdir -p folder/sub; echo 1 > folder/sub/new"]
    for n in range(faults.rounds(42, 210)):
        edit = edits[n % len(edits)]
        content = f"{n:07}\n"
        project.write("in", content)
        project.write("folder/file", "1\n")
        (project.root / "folder/sub/new").unlink(missing_ok=True)
        action = ["--task", f"t{n}", "--input", "in", "--input", "folder", "--output", "out", "--", "sh", "-c",
                  f"cp in out; {edit}; echo shown"]
        done = project.purser("exec", *action)
        project.write("in", content)  # As it was when the run began: the key is the same.
        (project.root / "folder/sub/new").unlink(missing_ok=True)
        if (project.root / "folder/sub").exists():
            (project.root / "folder/sub").rmdir()
        fresh = project.purser("check", *action).code == 0
        cached += fresh
        same = edit in ("touch in", "cp in new; mv new in")  # The bytes are the same: either answer is right.
        tally.add(done.says(0, b"shown\n"), "false hit: cached" if fresh and not same else None)
    tally.figure = f"{cached} cached"


@row(26, "C", "replaced by a file with an older mtime")
def replaced(faults: Faults, tally: Tally) -> None:
    project = faults.project()
    path, other = project.write("in", b"0000000\n"), project.root / "other"
    for n in range(1, faults.rounds(60, 600) + 1):
        content = b"%07d\n" % n
        other.write_bytes(content)
        times = path.stat()
        older = times.st_mtime_ns - faults.random.choice([0, 1, 10**9, 10**13])
        os.utime(other, ns=(older, older))
        settle()
        problem = copied(project, path.read_bytes())
        if n % 2:
            os.replace(other, path)
        else:
            project.run(["cp", "-p", "other", "in"])
        tally.add(problem, copied(project, content))
    tally.figure = told(tally)


@row(27, "C", "mtimes in the future and the far past")
def strange_times(faults: Faults, tally: Tally) -> None:
    """The clock itself is not set, since it is everybody's, and nothing can be preloaded into a static binary."""
    project = faults.project()
    path = project.write("in", b"0000000\n")
    now = time.time_ns()
    times = [0, 1, -10**18, now + 10**10, now + 10**18, 2**31 * 10**9, (2**31 - 1) * 10**9, 4 * 10**18, now]
    for n in range(1, faults.rounds(90, 900) + 1):
        strange = faults.random.choice(times)
        os.utime(path, ns=(strange, strange))
        if n % 3 == 0:
            settle()
        problem = copied(project, path.read_bytes())
        path.write_bytes(b"%07d\n" % n)
        os.utime(path, ns=(strange, strange))
        tally.add(problem, copied(project, b"%07d\n" % n))
    tally.figure = told(tally)


def fingerprint(project: Project, options: list, command: list, **environment: str) -> str:
    done = project.run(project.command("--json", "check", "--task", "key", *options, "--", *command), **environment)
    return done.json()["tasks"][0]["fingerprint"]


@row(28, "C", "any part of the key changes")
def key_parts(faults: Faults, tally: Tally) -> None:
    project = faults.project()
    pick = faults.random
    tool = project.write("tools/tool", "#!/bin/sh\n", executable=True)
    link = project.root / "link"
    link.symlink_to("target-0")
    for name in ("code", "in", "tree/a", "tree/b"):
        project.write(name, "0\n")
    for name in ("here", "there"):
        (project.root / name).mkdir()
    n = 0

    def text() -> str:
        nonlocal n
        n += 1
        return "".join(pick.choice("ab \\\"'\n=é") for _ in range(pick.randint(0, 6))) + f"{n}"

    state = {"argv": ["true", "1"], "env": "0", "arg": "0", "cwd": "here"}

    def ask() -> str:
        return Project(faults, project.root / state["cwd"], project.store, PATH=f"{tool.parent}:{os.environ['PATH']}",
                       DECLARED=state["env"]).run(
            [str(faults.purser), "--project", str(project.root), "--store", str(project.store), "--json", "check",
             "--task", "key", "--code", "../code", "--input", "../in", "--input", "../tree", "--input", "../link",
             "--env", "DECLARED", "--tool", "tool", "--arg", f"name={state['arg']}", "--", *state["argv"]]
        ).json()["tasks"][0]["fingerprint"]

    def flip_mode(path: Path) -> None:
        path.chmod(path.stat().st_mode ^ 0o100)

    def relink() -> None:
        link.unlink()
        link.symlink_to(f"target-{text().strip() or 'x'}".replace("/", "-"))

    def rename_member() -> None:
        old = next(path for path in (project.root / "tree").iterdir() if path.name != "a")
        old.rename(old.with_name(f"m{text()}".replace("\n", "-")))

    def append(path: Path) -> None:
        with open(path, "a") as file:
            file.write(text())

    def swap_cwd() -> None:
        state["cwd"] = "there" if state["cwd"] == "here" else "here"

    changes = {
        "argv": lambda: state.update(argv=state["argv"][:1] + [text() for _ in range(pick.randint(1, 3))]),
        "env": lambda: state.update(env=text()), "arg": lambda: state.update(arg=text()), "cwd": swap_cwd,
        "code": lambda: append(project.root / "code"), "input": lambda: append(project.root / "in"),
        "member": lambda: append(project.root / "tree/a"), "name of a member": rename_member,
        "executable bit": lambda: flip_mode(project.root / "in"),
        "bit of a member": lambda: flip_mode(project.root / "tree/a"),
        "link target": relink, "tool": lambda: append(tool),
    }
    project.purser("exec", "--task", "seed", "--", "true")  # The store has its key.
    before = ask()
    for _ in range(faults.rounds(600, 10_000)):
        what = pick.choice(list(changes))
        changes[what]()
        after = ask()
        tally.add(f"{what} changed and the key did not" if after == before else None)
        before = after
    tally.figure = f"{len(tally.bad)} kept its key"


@row(29, "C", "keys that could be taken for another")
def ambiguity(faults: Faults, tally: Tally) -> None:
    """Command lines over a small alphabet, so that most of them are the same when joined: all keys must differ."""
    project = faults.project()
    project.purser("exec", "--task", "seed", "--", "true")
    count = faults.rounds(300, 1500)
    atoms = ["", "a", "b", "ab", "c", "bc", "=", "a=b", " ", "\n", "--", "é", "e\u0301", "\\", "\\x00", "0", "1"]
    lines: set[tuple] = set()
    while len(lines) < count:
        words = tuple(faults.random.choice(atoms) for _ in range(faults.random.randint(0, 5)))
        named = tuple(sorted({f"{name}={faults.random.choice(atoms)}" for name in
                              faults.random.sample(["a", "b", "ab"], faults.random.randint(0, 2))}))
        lines.add((words, named))
    keys: dict[str, tuple] = {}
    for words, named in sorted(lines):
        options = list(itertools.chain.from_iterable(("--arg", pair) for pair in named))
        key = fingerprint(project, options, ["true", *words])
        tally.add(f"{keys[key]} and {(words, named)} have one key" if key in keys else None)
        keys[key] = (words, named)
    tally.figure = f"{len(lines) * (len(lines) - 1) // 2:,} pairs, {len(tally.bad)} equal"


@row(30, "C", "undeclared input")
def undeclared(faults: Faults, tally: Tally) -> None:
    raise Skip("there is no 'doctor --trace'")
