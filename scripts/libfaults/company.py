"""Group D: many processes at one store, owners that die or freeze, and collecting while others restore."""

import os
import random
import signal
import subprocess
import threading
import time
from pathlib import Path

from .harness import HANG, Faults, Project, Skip, Tally, percentile, row


def finish(process: subprocess.Popen) -> tuple[int | None, bytes, bytes]:
    try:
        out, err = process.communicate(timeout=HANG)
    except subprocess.TimeoutExpired:
        process.kill()
        return None, b"", b""
    return process.returncode, out, err


@row(31, "D", "one task twice at once")
def pairs(faults: Faults, tally: Tally) -> None:
    project, executions = faults.project(), 0
    rounds = faults.rounds(80, 500)
    for n in range(1, rounds + 1):
        project.write("in", f"{n}\n")
        action = ["-q", "exec", "--task", "step", "--input", "in", "--output", "out", "--", "sh", "-c",
                  "echo ran >> ../executions; cp in out; cat in"]
        # Half of them from two branches, which share the outputs and the result.
        keys = faults.random.choice([("a", "a"), ("a", "b")])
        processes = []
        for key in keys:
            processes.append(project.start(project.command("--storage-key", key, *action)))
            time.sleep(faults.random.uniform(0, 0.02))
        problems = []
        for process in processes:
            code, out, err = finish(process)
            problems.append(f"ended with {code}: {err[-200:]!r}" if code != 0 else None)
            problems.append(f"printed {out!r} for {n}" if out != f"{n}\n".encode() else None)
        ran = project.count("../executions") - executions
        executions += ran
        tally.add(*problems, f"round {n}: executed {ran} times" if ran != 1 else None)
    tally.add(project.unsound())
    tally.figure = f"executions {executions} of {rounds}"


@row(32, "D", "64 processes, one store")
def crowd(faults: Faults, tally: Tally) -> None:
    project, seconds = faults.project(), faults.rounds(20, 60)
    waits: list[float] = []
    problems: list[str] = []
    lock, end = threading.Lock(), time.monotonic() + seconds

    def work(worker: int) -> None:
        n = 0
        while time.monotonic() < end:
            n += 1
            begun = time.monotonic()
            done = project.purser("exec", "--task", f"t{worker}-{n % 5}", "--arg", f"n={n}", "--", "echo", str(n))
            took = time.monotonic() - begun
            wrong = done.says(0, f"{n}\n".encode()) or (f"said {done.err[:200]!r}" if done.err else None)
            with lock:
                waits.append(took)
                if wrong:
                    problems.append(wrong)

    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(64)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    tally.tried, tally.bad = len(waits), problems
    tally.add(project.unsound())
    tally.add(f"the longest took {max(waits):.1f} s" if max(waits) > 30 else None)
    tally.figure = f"{len(problems)} busy errors, p99 {percentile(waits, 0.99):.2f} s, longest {max(waits):.2f} s"


def holder(project: Project, task: str) -> subprocess.Popen:
    """Somebody at work on a task until somebody writes to the pipe TASK.go."""
    os.mkfifo(project.root / f"{task}.go")
    step = f"echo $$ > {task}.pid; read line < {task}.go; echo holder > {task}.out; echo holder"
    process = project.start(
        project.command("exec", "--task", task, "--output", f"{task}.out", "--", "sh", "-c", step), new_session=True)
    if not project.faults.wait_for(lambda: bool(project.read(f"{task}.pid"))):
        raise RuntimeError("the holder did not begin")
    return process


def taker(project: Project, task: str) -> subprocess.Popen:
    return project.start(project.command("exec", "--task", task, "--output", f"{task}.out", "--", "sh", "-c",
                                         f"echo taker > {task}.out; echo taker"))


@row(33, "D", "the owner of a lease is killed")
def killed_owner(faults: Faults, tally: Tally) -> None:
    project, times = faults.project(), []
    for n in range(faults.rounds(25, 200)):
        task = f"t{n}"
        first = holder(project, task)
        child = int(project.read(f"{task}.pid") or b"0")
        second = None
        if n % 2:  # Half of the takers wait already when it dies.
            second = taker(project, task)
            time.sleep(faults.random.uniform(0.02, 0.2))
        first.kill()
        begun = time.monotonic()
        first.wait()
        code, out, _ = finish(second or taker(project, task))
        times.append(time.monotonic() - begun)
        gone = faults.wait_for(lambda: not Path(f"/proc/{child}").exists(), 10)
        tally.add(f"the taker ended with {code}, {out!r}" if (code, out) != (0, b"taker\n") else None,
                  None if project.read(f"{task}.out") == b"taker\n" else "the output is not the taker's",
                  None if gone else "the dead owner's command still works",
                  f"took {times[-1]:.1f} s: it waited for a dead one" if times[-1] > 15 else None)
    tally.figure = f"takeover p50 {percentile(times, 0.5):.2f} s, longest {max(times):.2f} s"


@row(34, "D", "the owner is frozen past its lease")
def frozen_owner(faults: Faults, tally: Tally) -> None:
    """All at once, since a lease is taken from an owner that seems to live only after more than a minute."""
    project = faults.project()
    tasks = [f"t{n}" for n in range(faults.rounds(20, 60))]
    frozen = [holder(project, task) for task in tasks]
    for process in frozen:
        os.kill(process.pid, signal.SIGSTOP)
    takers = [taker(project, task) for task in tasks]
    accepted = 0
    ends = [finish(process) for process in takers]
    for process in frozen:
        os.kill(process.pid, signal.SIGCONT)
    late = [finish(process) for process in frozen]
    states = project.states()
    for task, (code, out, err), (late_code, _, late_err) in zip(tasks, ends, late):
        runs = [run for run in project.purser("--json", "runs", task).json()["runs"] if run["state"] == "COMPLETED"]
        accepted += len(runs) != 1
        tally.add(f"the taker ended with {code}: {out!r} {err[-200:]!r}" if (code, out) != (0, b"taker\n") else None,
                  f"{len(runs)} runs were accepted" if len(runs) != 1 else None,
                  f"{task} is {states.get(task)}" if states.get(task) not in ("fresh", "restorable") else None,
                  None if late_code is not None else "the late one hung",
                  None if late_err or late_code else "the late one was told nothing")
        again = project.run(taker(project, task).args)
        tally.bad += [problem] if (problem := again.says(0, b"taker\n")) else []
    tally.figure = f"{len(tasks)} woke up late, {accepted} accepted"


# In a process-id namespace of its own. $1: purser and its options; the rest is what `holder` and `taker` are.
REUSE = r"""
import os, subprocess, sys, time
purser = sys.argv[1:]
def reuse(pid):
    got = []
    for _ in range(200):
        with open("/proc/sys/kernel/ns_last_pid", "w") as file: file.write(str(pid - 1))
        decoy = subprocess.Popen(["sleep", "1000"])
        if decoy.pid == pid: return decoy
        got.append(decoy.pid); decoy.kill(); decoy.wait()
    sys.exit(f"{pid} could not be had again, but {got[:3]}")
first = subprocess.Popen(purser + ["exec", "--task", "t", "--", "sh", "-c", "echo $$ > child; exec sleep 1000"])
while not (os.path.exists("child") and open("child").read().strip()): time.sleep(0.01)
child = int(open("child").read())
first.kill(); first.wait()
while os.path.exists(f"/proc/{child}"):
    try: os.waitpid(-1, os.WNOHANG)
    except ChildProcessError: pass
    time.sleep(0.005)
decoys = [reuse(pid) for pid in (first.pid, child)]
begun = time.monotonic()
second = subprocess.run(purser + ["exec", "--task", "t", "--", "echo", "taker"], stdout=subprocess.PIPE)
took = time.monotonic() - begun
print(second.returncode, second.stdout.decode().strip(), all(decoy.poll() is None for decoy in decoys), round(took, 2))
for decoy in decoys: decoy.kill()
"""


@row(35, "D", "process ids are used again")
def reused_ids(faults: Faults, tally: Tally) -> None:
    faults.need_root()
    faults.need("unshare")
    mistaken, times = 0, []
    for _ in range(faults.rounds(5, 40)):
        project = faults.project()
        done = project.run(["unshare", "--pid", "--fork", "--mount-proc", "--kill-child", "python3", "-c", REUSE,
                            *project.command()])
        if done.code != 0:
            raise Skip(f"no process ids of our own: {done.err[-100:].decode(errors='replace').strip()}")
        code, out, decoys_live, took = done.out.decode().split()
        times.append(float(took))
        right = (code, out, decoys_live) == ("0", "taker", "True") and times[-1] < 15
        mistaken += not right
        tally.add(None if right else f"ended with {code}, {out}; the innocent live: {decoys_live}; after {took} s")
    tally.figure = f"{mistaken} mistaken, takeover longest {max(times):.2f} s"


@row(36, "D", "gc while others restore")
def collect_while_restoring(faults: Faults, tally: Tally) -> None:
    project, missing = faults.project(), 0
    action = ["exec", "--task", "t", "--input", "in", "--output", "out", "--output", "folder", "--", "sh", "-c",
              "mkdir folder; for i in 1 2 3; do { cat in; seq 9000; } > folder/$i; done; { cat in; seq 30000; } > out"]
    numbers = "".join(f"{i}\n" for i in range(1, 30001)).encode()
    stop = threading.Event()
    collected: list[str] = []

    def collect() -> None:
        while not stop.is_set():
            done = project.purser("gc", "--older-than", "0s")
            if done.code != 0:
                collected.append(f"gc ended with {done.code}: {done.err[-200:]!r}")

    collector = threading.Thread(target=collect)
    collector.start()
    for n in range(faults.rounds(120, 1000)):
        value = f"{n % 3}\n"
        project.write("in", value)
        if n % 2:
            (project.root / "out").unlink(missing_ok=True)
        done = project.purser(*action)
        right = project.read("out") == value.encode() + numbers and all(
            (project.read(f"folder/{i}") or b"").startswith(value.encode()) for i in (1, 2, 3))
        missing += not right
        tally.add(done.says(0), f"said {done.err[:300]!r}" if done.err else None,
                  None if right else "outputs are wrong")
    stop.set()
    collector.join()
    tally.add(*collected[:3], project.unsound(), *project.dangling()[:1])
    tally.figure = f"{missing} missing"


class Worker:
    """One of many at a shared store, with a checkout and a branch of its own, and a model of what is to come out."""

    def __init__(self, faults: Faults, store: Path, number: int, seed: str):
        self.random = random.Random(seed)
        self.project = Project(faults, store.parent / f"checkout-{number}", store)
        self.key, self.number = f"branch-{number}", number
        self.fresh: dict[str, int] = {}  # What each task was last made from, as long as nothing was done to it.
        self.problems: list[str] = []

    def call(self, *arguments: str):
        return self.project.purser("--storage-key", self.key, "--pipeline", "shared", *arguments)

    def action(self, task: str, value: int) -> list[str]:
        size = 10 + value * 9000  # Some in the records, some in files.
        return ["--task", task, "--arg", f"value={value}", "--output", f"{task}.out", "--", "sh", "-c",
                f"seq {size} > {task}.out; echo {task} {value}"]

    def step(self) -> None:
        task, value = f"t{self.random.randrange(4)}", self.random.randrange(4)
        out = self.project.root / f"{task}.out"
        what = self.random.choices(["exec", "check", "delete", "edit", "invalidate", "gc", "status", "clone"],
                                   [10, 4, 2, 2, 1, 1, 1, 1])[0]
        problem = None
        if what == "exec":
            done = self.call("exec", *self.action(task, value))
            problem = done.says(0, f"{task} {value}\n".encode()) or (f"said {done.err[:200]!r}" if done.err else None)
            if not problem and out.read_bytes() != b"".join(b"%d\n" % i for i in range(1, 11 + value * 9000)):
                problem = "the output is wrong"
            self.fresh[task] = value
        elif what == "check":
            done = self.call("check", *self.action(task, value))
            if (done.code == 0) != (self.fresh.get(task) == value):
                problem = f"check gives {done.code}, expected of {self.fresh.get(task)} for {value}; {done.err[:200]!r}"
        elif what == "delete":
            out.unlink(missing_ok=True)
            self.fresh.pop(task, None)
        elif what == "edit" and out.exists():
            with open(out, "ab") as file:
                file.write(b"edited\n")
            self.fresh.pop(task, None)
        elif what == "invalidate" and self.fresh.pop(task, None) is not None:
            problem = self.call("invalidate", task, "--why", "chance").says(0)
        elif what == "gc":
            problem = self.call("gc", "--older-than", "0s").says(0)
        elif what == "status":
            problem = self.call("--json", "status").says(0)
        elif what == "clone" and self.fresh:
            problem = self.call("branch", "clone", self.key, f"copy-{self.number}", "--replace").says(0)
        if problem:
            self.problems.append(f"worker {self.number}: {what} {task} {value}: {problem}")


@row(37, "D", "random history of 16 processes")
def random_history(faults: Faults, tally: Tally) -> None:
    store = faults.folder() / "store"
    workers = [Worker(faults, store, number, f"{faults.seed}/{number}") for number in range(16)]
    each = faults.rounds(60, 625)
    threads = [threading.Thread(target=lambda worker: [worker.step() for _ in range(each)], args=(worker,))
               for worker in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    tally.tried = 16 * each
    tally.bad = [problem for worker in workers for problem in worker.problems]
    tally.add(workers[0].project.unsound(), *workers[0].project.dangling()[:1])
    tally.figure = f"{16 * each} operations, {len(tally.bad)} inconsistent"


@row(38, "D", "data races")
def races(faults: Faults, tally: Tally) -> None:
    raise Skip("needs a build of its own: swift test --sanitize=thread")
