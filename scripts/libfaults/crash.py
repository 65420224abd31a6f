"""Group A: processes killed and disks that fail or are full."""

import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

from .harness import Done, Faults, Project, Tally, row, strace, was_injected

# What changes files, in classes that are swept one after the other: strace counts per thread and class.
CHANGES = ["write,writev,pwrite64,copy_file_range,sendfile", "fsync,fdatasync",
           "rename,renameat,renameat2,link,linkat,unlink,unlinkat,mkdir,mkdirat,ftruncate,fchmod,utimensat"]
OPENS = "openat,openat2,open"

# Outputs come to be by a rename, so that a half of one could only be Purser's doing.
STEP = """#!/bin/sh
set -eu
echo ran >> ../executions
for name in one two; do { echo "$name"; cat in; } > ".$name.new"; mv ".$name.new" "$name"; done
echo "printed $(cat in)"
"""
PIPELINE = """graphs: {sweep: {tasks: {first: null, second: first}}}
tasks:
  first: {command: [./step.sh], code: [step.sh], inputs: [in], outputs: [one, two]}
  second: {command: "cat one > .last; mv .last last", inputs: [one], outputs: [last]}
"""
EXEC = ["exec", "--task", "step", "--code", "step.sh", "--input", "in", "--output", "one", "--output", "two", "--",
        "./step.sh"]


def wrong_outputs(project: Project, allowed: list[str | None], names: tuple[str, ...] = ("one", "two")) -> str | None:
    """An output that is none of the whole ones: None stands for one that was removed for a run."""
    for name in names:
        content = project.read(name)
        head = "one" if name == "last" else name
        if content not in [None if value is None else f"{head}\n{value}\n".encode() for value in allowed]:
            return f"{name} is half or mixed: {(content or b'')[:40]!r}"
    return None


class Sweep:
    """One action, done again and again from the same state, with a fault at its first, second, … system call."""

    def __init__(self, faults: Faults, name: str):
        faults.need("strace")
        self.faults, self.name, self.is_pipeline, self.restores = faults, name, name == "run", name == "restore"
        self.model = faults.project()
        self.model.write("step.sh", STEP, executable=True)
        if self.is_pipeline:
            self.model.write("purser.yaml", PIPELINE)
        self.action = ["run"] if self.is_pipeline else EXEC
        self.names = ("one", "two", "last") if self.is_pipeline else ("one", "two")
        # Old is 1 and done. New is 2: to be made, or made before and to be put back.
        for value in ["2", "1"] if self.restores else ["1"]:
            self.model.write("in", value + "\n")
            if (problem := self.model.purser(*self.action).says(0)) is not None:
                raise RuntimeError(f"the sweep cannot begin: {problem}")
        self.model.write("in", "2\n")
        self.place = faults.folder()
        self.log = self.place / "trace"

    def fresh_copy(self) -> Project:
        root = self.place / "project"
        shutil.rmtree(root, ignore_errors=True)
        shutil.copytree(self.model.root, root, symlinks=True)
        (self.place / "executions").unlink(missing_ok=True)
        return Project(self.faults, root)

    def go(self, calls: str, what: Callable[[int], str], judge: Callable[[Project, Done], list[str | None]],
           tally: Tally, step: int = 1, store_only: bool = False) -> int:
        """Faults at call number 1, 1 + step, … until one comes after the last call; how many hit Purser, not what it
        runs. `store_only`: calls on the records alone."""
        number, points = 1, 0
        while True:
            project = self.fresh_copy()
            places = [f"-P{project.store / name}" for name in ("records.db", "records.db-wal")] if store_only else []
            done = project.purser(*self.action, through=strace(calls, what(number), self.log, *places))
            self.faults.end_survivors()
            if not was_injected(self.log):
                return points
            points += done.code == -signal.SIGKILL
            problems = judge(project, done)
            held = tally.add(*problems)
            if not held:
                tally.bad[-1] = f"{self.name}, {calls.split(',')[0]} … {what(number)}: {tally.bad[-1]}"
            number += step

    def executions(self) -> int:
        path = self.place / "executions"
        return len(path.read_bytes().splitlines()) if path.exists() else 0

    def old_or_new(self, project: Project, done: Done) -> list[str | None]:
        """The state is that of before, or of after; what was acknowledged before is there; the next run is right."""
        problems = [wrong_outputs(project, ["2"] if done.code == 0 else ["1", "2", None], self.names)]
        # Looking does not change anything, so that it comes first: it is what an interrupted user would do.
        status = project.purser("--json", "status")
        problems.append(status.says(0))
        if status.code == 0:
            states = {task["task"]: task["state"] for task in status.json()["tasks"]}
            first = states.get("first" if self.is_pipeline else "step", "gone")
            if first == "fresh":
                problems.append(wrong_outputs(project, ["2"]))
            elif first not in ("stale", "restorable", "interrupted", "failed"):
                problems.append(f"status says {first}")
        problems.append(project.purser(*self.action).says(0))
        problems.append(wrong_outputs(project, ["2"], self.names))
        before = self.executions()
        project.write("in", "1\n")
        problems.append(project.purser(*self.action).says(0))
        problems.append(wrong_outputs(project, ["1"], self.names))
        if self.executions() > before:
            problems.append("the old result, which had been acknowledged, is lost")
        problems.append(project.unsound())
        if not problems[-1]:
            problems += project.dangling()[:1]
        return problems


@row(1, "A", "kill -9 at random moments")
def random_kills(faults: Faults, tally: Tally) -> None:
    project = faults.project()
    project.write("step.sh", "#!/bin/sh\necho \"half $1\" > \"out-$1\"; seq \"$1\" 6000 > \"big-$1\"\n"
                  "echo \"printed $1\"; echo \"whole $1\" >> \"out-$1\"\n", executable=True)

    def action(n: int) -> list[str]:
        return ["exec", "--task", f"k{n}", "--code", "step.sh", "--output", f"out-{n}", "--output", f"big-{n}", "--",
                "./step.sh", str(n)]

    def wrong(n: int) -> str | None:
        big = b"".join(b"%d\n" % i for i in range(n, 6001))
        right = project.read(f"out-{n}") == f"half {n}\nwhole {n}\n".encode() and project.read(f"big-{n}") == big
        return None if right else f"round {n}: the outputs are wrong"

    project.purser(*action(0))
    begun = time.monotonic()
    project.purser(*action(5999))
    usual = time.monotonic() - begun
    acknowledged, lost, kills = [], 0, 0
    for n in range(1, faults.rounds(150, 1000) + 1):
        process = project.start(project.command(*action(n)))
        time.sleep(faults.random.uniform(0, usual))
        process.kill()
        process.communicate()
        kills += process.returncode == -signal.SIGKILL
        faults.wait_for(lambda: not faults.survivors())
        if process.returncode == 0:
            acknowledged.append(n)
        looked = project.purser("--json", "check", f"k{n}")
        if looked.code == 66:  # Killed before there was a record.
            problem = None if process.returncode != 0 else "an acknowledged record is not there"
        else:
            problem = looked.crash or (f"check: {looked.err[:200]!r}" if looked.code not in (0, 1) else None)
            if looked.code == 0:
                problem = wrong(n)
            elif process.returncode == 0:
                problem = "an acknowledged record is not fresh"
        lost += bool(problem and process.returncode == 0)
        again = project.purser(*action(n))
        tally.add(problem, again.says(0, f"printed {n}\n".encode()), wrong(n))
    states = project.states()
    gone = [n for n in acknowledged if states.get(f"k{n}") != "fresh"]
    tally.add(f"lost in the end: {gone[:5]}" if gone else None, project.unsound(), *project.dangling()[:1])
    tally.figure = f"{kills} killed, lost acks {lost + len(gone)}"


@row(2, "A", "kill -9 at every system call")
def kill_at_every_call(faults: Faults, tally: Tally) -> None:
    points = {}
    for name in ("exec", "restore", "run"):
        sweep = Sweep(faults, name)
        points[name] = 0
        for calls in [*CHANGES, OPENS]:
            step = faults.rounds(7 if calls == OPENS else 3 if "write" in calls else 1, 1)
            points[name] += sweep.go(calls, lambda n: f"signal=KILL:when={n}", sweep.old_or_new, tally, step)
    tally.figure = f"points: {', '.join(f'{name} {count}' for name, count in points.items())}; {len(tally.bad)} bad"


@row(8, "A", "reading fails (EIO)")
def failing_read(faults: Faults, tally: Tally) -> None:
    wrong = 0
    for name in ("exec", "restore"):
        sweep = Sweep(faults, name)

        def judge(project: Project, done: Done) -> list[str | None]:
            nonlocal wrong
            problems = [done.crash, done.says(0, b"printed 2\n"), wrong_outputs(project, ["2"])]
            wrong += any(problems)
            return problems + sweep.old_or_new(project, done)

        for when in ("{}", "{}+"):
            sweep.go("pread64", lambda n: f"error=EIO:when={when.format(n)}", judge, tally, faults.rounds(3, 1), True)
    tally.figure = f"{wrong} wrong"


def fill(faults: Faults, tally: Tally, place: Path, grow: Callable[[], None], size: int) -> bool:
    """Results until nothing more fits, then room again; whether it did become full."""
    project = Project(faults, faults.folder() / "project", place / "store")
    project.write("step.sh", '#!/bin/sh\nhead -c "$2" /dev/urandom > "out-$1"; echo "$1"; exit $(($1 % 2 * 3))\n', True)
    warned, problems = 0, []
    for n in range(60):
        done = project.purser("exec", "--task", f"t{n}", "--output", f"out-{n}", "--", "./step.sh", str(n), str(size))
        problems += [done.says(n % 2 * 3, f"{n}\n".encode())]
        if len(project.read(f"out-{n}") or b"") != size:
            problems.append(f"the output of {n} is gone")
        if n % 2 == 0 and b"warning" in done.err:
            warned += 1
        elif n % 2 == 0 and project.purser("check", f"t{n}").code != 0:
            problems.append(f"{n} is not stored, and nobody said so: {done.err[-200:]!r}")
        if warned > 5:
            break
    grow()
    after = project.purser("exec", "--task", "after", "--output", "out-90", "--", "./step.sh", "90", "9")
    problems.append(after.says(0))
    problems.append(None if project.purser("check", "after").code == 0 else "with room again, nothing is stored")
    problems += [project.unsound(), *project.dangling()[:1]]
    tally.add(*problems)
    return warned > 0


@row(9, "A", "disk full")
def disk_full(faults: Faults, tally: Tally) -> None:
    became_full = 0
    sizes = [faults.random.randrange(64, 3000) for _ in range(faults.rounds(8, 40))]
    for kib in [256, *sizes]:
        with faults.mounted("-t", "tmpfs", "-o", f"size={kib}k", "tmpfs") as place:
            became_full += fill(faults, tally, place, lambda: faults.remount(place, "size=64m"),
                                faults.random.choice([3_000, 20_000, 200_000]))
    tally.figure = f"{became_full} became full, {len(tally.bad)} corrupt"


@row(10, "A", "inodes full")
def inodes_full(faults: Faults, tally: Tally) -> None:
    became_full = 0
    for count in range(2, 40, faults.rounds(4, 1)):
        with faults.mounted("-t", "tmpfs", "-o", f"size=64m,nr_inodes={count}", "tmpfs") as place:
            became_full += fill(faults, tally, place, lambda: faults.remount(place, "nr_inodes=1000"), 20_000)
    tally.figure = f"{became_full} became full, {len(tally.bad)} corrupt"


@row(11, "A", "file-size limit")
def file_size_limit(faults: Faults, tally: Tally) -> None:
    faults.need("prlimit")
    project = faults.project()
    project.write("step.sh", "#!/bin/sh\nhead -c 30000 /dev/urandom > out; echo made\n", executable=True)
    for kib in range(1, 700, faults.rounds(64, 12)):
        limited = ["prlimit", f"--fsize={kib * 1024}", "--"]
        done = project.purser("exec", "--force", "--task", "t", "--output", "out", "--", "./step.sh", through=limited)
        # The command's own write is what the limit ends, with the default action of SIGXFSZ in it.
        problem = done.says(0, b"made\n") if kib * 1024 >= 30000 else done.crash
        died = project.purser("exec", "--task", "big", "--", "sh", "-c", "exec head -c 9000000 /dev/zero > big",
                              through=limited)
        tally.add(problem, died.says(128 + signal.SIGXFSZ), project.unsound() if project.store.exists() else None)
    tally.add(project.purser("exec", "--task", "t", "--output", "out", "--", "./step.sh").says(0),
              project.unsound(), *project.dangling()[:1])
    tally.figure = f"codes right {tally.held} of {tally.tried}"


@row(12, "A", "few descriptors, little memory")
def scarce(faults: Faults, tally: Tally) -> None:
    faults.need("prlimit")
    project = faults.project()
    project.write("in", "1\n")
    action = ["exec", "--task", "t", "--force", "--input", "in", "--output", "out", "--", "cp", "in", "out"]
    hangs, ran, ended = 0, 0, 0
    limits = [f"--nofile={n}" for n in range(4, 40, faults.rounds(2, 1))]
    # With less than the file's own size the kernel ends it before it begins.
    least = (faults.purser.stat().st_size >> 20) + 4
    limits += [f"--as={n << 20}" for n in range(least, 200, faults.rounds(24, 4))]
    for limit in limits:
        (project.root / "out").unlink(missing_ok=True)
        done = project.purser(*action, through=["prlimit", limit, "--"])
        hangs += done.code is None
        ran += done.code == 0
        wrong = "ended with 0 without the output" if done.code == 0 and project.read("out") != b"1\n" else None
        silent = "no word about why" if done.code != 0 and not done.err else None
        # Swift's runtime ends a process that gets no memory, and says so: no program of it can refuse instead.
        is_out_of_memory = done.code == -signal.SIGABRT and b"failed to allocate" in done.err
        ended += is_out_of_memory
        tally.add(not is_out_of_memory and done.crash and f"{limit}: {done.crash}", wrong, silent)
    tally.add(project.purser(*action).says(0), project.unsound())
    tally.figure = f"{ran} ran, {tally.tried - 1 - ran - ended} refused, {ended} ended for want of memory, {hangs} hangs"


@row(13, "A", "random I/O failures")
def random_failures(faults: Faults, tally: Tally) -> None:
    """The release binary is static, so that nothing can be preloaded into it: strace does what libfiu would."""
    calls = ["pwrite64", "write", "fsync,fdatasync", "pread64", "openat", "rename,renameat,renameat2", "ftruncate",
             "fstat,newfstatat,statx", "mkdir,mkdirat", "unlink,unlinkat", "copy_file_range", "flock", "fcntl", "read"]
    errors = ["EIO", "ENOSPC", "EDQUOT", "EINTR", "EAGAIN", "ENOMEM", "EMFILE", "EACCES"]
    sweeps = [Sweep(faults, name) for name in ("exec", "restore", "run")]
    injected = 0
    for _ in range(faults.rounds(150, 2000)):
        sweep, call = faults.random.choice(sweeps), faults.random.choice(calls)
        error, number = faults.random.choice(errors), faults.random.randint(1, 40)
        again = faults.random.choice(["", f"+{faults.random.randint(1, 20)}", "+"])
        is_for_ever = again in ("+", "+1")
        if is_for_ever and error in ("EINTR", "EAGAIN"):
            again = ""  # They ask to try again, which is done: no kernel says so for ever.
        project = sweep.fresh_copy()
        # Of an exec, its own calls alone are hit; of a run, those of its threads, and so of its commands too.
        through = strace(call, f"error={error}:when={number}{again}", sweep.log, follow=sweep.is_pipeline)
        done = project.purser(*sweep.action, through=through)
        faults.end_survivors()
        injected += was_injected(sweep.log)
        problems = [done.crash, *sweep.old_or_new(project, done)]
        # Where nothing can be written any more, no word can be either.
        if done.code != 0 and not done.err and not (call == "write" and is_for_ever):
            problems.append(f"ended with {done.code} and not a word")
        if not tally.add(*problems):
            tally.bad[-1] = f"{sweep.name}, {call}:error={error}:when={number}{again}: {tally.bad[-1]}"
    tally.figure = f"{injected} were hit, {len(tally.bad)} bad"


@row(14, "A", "read-only store, another user")
def read_only(faults: Faults, tally: Tally) -> None:
    faults.need_root()
    faults.need("setpriv")
    place = faults.folder()
    for parent in (faults.scratch, place):
        parent.chmod(0o755)
    project = Project(faults, place / "project", place / "store")
    project.root.chmod(0o777)
    other = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--"]
    tool = place / "purser"
    shutil.copy(faults.purser, tool)
    tool.chmod(0o755)

    def action(code: int) -> list[str]:
        return ["--project", str(project.root), "--store", str(project.store), "exec", "--task", f"t{code}", "--output",
                f"out{code}", "--", "sh", "-c", f"echo {code} > out{code}; exit {code}"]

    for modes in ("private", "readable"):
        project.run([str(tool), *action(200)])
        if modes == "readable":
            for path in [project.store, *project.store.rglob("*")]:
                path.chmod(0o755 if path.is_dir() else 0o444)
        for code in range(0, 256, faults.rounds(32, 5)):
            name = project.root / f"out{code}"
            name.unlink(missing_ok=True)
            done = project.run([*other, str(tool), *action(code)])
            warned = None if b"warning" in done.err else "no warning"
            tally.add(done.says(code), warned, None if name.exists() else "the command did not run")
    tally.figure = f"codes equal {tally.held} of {tally.tried}"
