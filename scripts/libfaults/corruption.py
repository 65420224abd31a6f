"""Group B: stored bytes that changed, files that are gone, and other programs' databases."""

import hashlib
import os
import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

from .harness import Faults, Tally, row, strace

# One content that shrinks and one that does not, both above what the records hold themselves, and one within.
STEP = """#!/bin/sh
set -eu
echo ran >> ../executions
mkdir folder
cp in folder/small
{ cat in; seq 20000; } > folder/text
openssl enc -aes-256-ctr -pbkdf2 -pass "file:in" -nosalt < /dev/zero 2>/dev/null | head -c 40000 > folder/noise
echo "printed $(cat in)"
"""
EXEC = ["exec", "--task", "step", "--code", "step.sh", "--input", "in", "--output", "folder", "--", "./step.sh"]


class Target:
    """A project with two results, of 1 and 2, whose right outputs are known by having been made."""

    def __init__(self, faults: Faults):
        faults.need("openssl")
        self.project = faults.project()
        self.project.write("step.sh", STEP, executable=True)
        self.right: dict[str, dict[str, bytes]] = {}
        for value in ("1", "2"):
            self.set(value)
            self.project.purser(*EXEC)
            self.right[value] = self.outputs()
        self.executions = 2
        self.value = "2"

    def set(self, value: str) -> None:
        self.value = value
        self.project.write("in", value + "\n")

    def outputs(self) -> dict[str, bytes]:
        folder = self.project.root / "folder"
        return {path.name: path.read_bytes() for path in folder.iterdir()} if folder.is_dir() else {}

    def again(self, value: str) -> tuple[bool, str | None, bytes]:
        """Asks for a value with nothing on disk: whether it was executed, what is wrong, what was said."""
        self.set(value)
        shutil.rmtree(self.project.root / "folder", ignore_errors=True)
        done = self.project.purser(*EXEC)
        executions = self.project.count("../executions")
        executed, self.executions = executions > self.executions, executions
        wrong = done.crash or done.says(0, f"printed {value}\n".encode())
        if not wrong and self.outputs() != self.right[value]:
            wrong = "wrong bytes were served"
        return executed, wrong, done.err


def spoil(faults: Faults, content: bytes) -> bytes:
    """The content with a bit turned, cut off, grown, emptied, or a part of it gone to zeros: never as it was."""
    pick, spoiled = faults.random, bytearray(content)
    at = pick.randrange(len(spoiled))
    how = pick.choice(["bit", "bit", "bit", "bit", "cut", "grown", "empty", "zeros"])
    if how == "bit":
        spoiled[at] ^= 1 << pick.randrange(8)
    elif how == "cut":
        del spoiled[at:]
    elif how == "grown":
        spoiled += os.urandom(pick.randint(1, 50))
    elif how == "empty":
        spoiled.clear()
    else:
        spoiled[at:at + 512] = bytes(len(spoiled[at:at + 512]))
        if spoiled == content:
            spoiled[at] ^= 1
    return bytes(spoiled)


@row(15, "B", "bits flipped in contents, and cut off")
def spoiled_blobs(faults: Faults, tally: Tally) -> None:
    target, detected, wrong_bytes = Target(faults), 0, 0
    for n in range(faults.rounds(100, 1000)):
        value = faults.random.choice("12")
        target.again(value)
        blobs = sorted(path for path in (target.project.store / "blobs").glob("??/*") if path.is_file())
        needed = [path for path in blobs if stored_for(target, path, value)]
        path = faults.random.choice(needed)
        path.chmod(0o600)
        path.write_bytes(spoil(faults, path.read_bytes()))
        executed, wrong, said = target.again(value)
        wrong_bytes += wrong == "wrong bytes were served"
        detected += executed
        unsaid = "made again without a word" if executed and not said else None
        kept = None if executed else "a changed content was put back"
        tally.add(wrong, unsaid, kept)
    tally.add(target.project.unsound(), *target.project.dangling()[:1])
    tally.figure = f"{detected} of {tally.tried - 1} detected, wrong bytes {wrong_bytes}"


def stored_for(target: Target, path: Path, value: str) -> bool:
    name = path.parent.name + path.name
    return any(hashlib.sha256(content).hexdigest() == name for content in target.right[value].values())


@row(16, "B", "bits flipped in records.db")
def spoiled_records(faults: Faults, tally: Tally) -> None:
    target, crashes, wrong_bytes, noticed, repaired = Target(faults), 0, 0, 0, 0
    path = target.project.store / "records.db"
    with closing(sqlite3.connect(path)) as database:  # All of it in one file, so that no log covers the damage.
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    model = faults.folder() / "model"
    shutil.copytree(target.project.store, model, symlinks=True)
    pages = len(path.read_bytes()) // 4096
    for n in range(faults.rounds(60, 500)):
        shutil.rmtree(target.project.store)
        shutil.copytree(model, target.project.store, symlinks=True)
        content = bytearray(path.read_bytes())
        # Anywhere, in the schema, or in the heads of pages, which are read every time.
        for _ in range(faults.random.choice([1, 1, 1, 8])):
            at = [faults.random.randrange(len(content)), faults.random.randrange(4096),
                  faults.random.randrange(pages) * 4096 + faults.random.randrange(12)][n % 3]
            content[at] ^= 1 << faults.random.randrange(8)
        path.write_bytes(content)
        problems, words = [], b""
        for question in (["--json", "status"], ["check", "step"], ["runs"], ["log", "step"], ["gc"], ["branch"]):
            done = target.project.purser(*question)
            words += done.err
            problems.append(done.crash and f"{question[-1]}: {done.crash}")
        for value in ("1", "2"):
            _, wrong, said = target.again(value)
            words += said
            wrong_bytes += wrong == "wrong bytes were served"
            problems.append(wrong)
        told = target.project.purser("doctor")
        repair = target.project.purser("doctor", "--repair")
        healthy, sound = target.project.purser("doctor"), target.project.purser("verify")
        repaired += told.code == 1 and healthy.code == 0
        problems += [done.crash and f"doctor: {done.crash}" for done in (told, repair, healthy, sound)]
        problems += [healthy.code != 0 and f"not healthy after the repair: {healthy.out[-300:].decode(errors='replace')}",
                     sound.code != 0 and f"not sound after the repair: {sound.out[-300:].decode(errors='replace')}"]
        for value in ("1", "2"):
            _, wrong, said = target.again(value)
            wrong_bytes += wrong == "wrong bytes were served"
            problems += [wrong and f"after the repair: {wrong}", said and f"after the repair: {said[-200:]!r}"]
        crashes += any(problem and "crashed" in problem for problem in problems)
        noticed += bool(words)
        tally.add(*problems)
    tally.figure = f"{crashes} crashes, wrong bytes {wrong_bytes}, damage told {noticed} times, repaired {repaired}"


@row(17, "B", "files of the store are gone")
def missing_files(faults: Faults, tally: Tally) -> None:
    target, wrong_hits = Target(faults), 0
    names = ["records.db", "records.db-wal", "records.db-shm", "blobs", "tmp", "key", "stat-cache", "write.lock",
             "code-cache", "folder-cache", ".gitignore", "one blob"]
    model = faults.folder() / "model"
    shutil.copytree(target.project.store, model, symlinks=True)
    for n in range(faults.rounds(40, 300)):
        shutil.rmtree(target.project.store)
        shutil.copytree(model, target.project.store, symlinks=True)
        # Sometimes with a log that is left over, as after a kill.
        if n % 3 == 0:
            process = target.project.start(target.project.command("exec", "--task", "other", "--", "sleep", "30"))
            faults.wait_for(lambda: (target.project.store / "records.db-wal").exists() and "other" in str(
                target.project.purser("--json", "status").out))
            process.kill()
            process.communicate()
            faults.end_survivors()
        gone = names if n % 50 == 49 else faults.random.sample(names, faults.random.randint(1, 3))
        for name in gone:
            path = target.project.store / name
            if name == "one blob":
                path = faults.random.choice([p for p in (target.project.store / "blobs").glob("??/*")] or [path])
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        problems = []
        for value in ("1", "2", "1"):
            _, wrong, _ = target.again(value)
            wrong_hits += wrong == "wrong bytes were served"
            problems.append(wrong and f"without {', '.join(gone)}: {wrong}")
        problems += [target.project.unsound(), *target.project.dangling()[:1]]
        tally.add(*problems)
    tally.figure = f"{wrong_hits} wrong hits"


@row(18, "B", "restored output edited")
def edited_output(faults: Faults, tally: Tally) -> None:
    target, poisoned = Target(faults), 0
    for n in range(faults.rounds(60, 500)):
        value = "12"[n % 2]
        target.again(value)
        path = target.project.root / "folder" / faults.random.choice(["small", "text", "noise"])
        if n % 3:
            with open(path, "ab") as file:
                file.write(b"edited\n")
        else:
            with open(path, "r+b") as file:
                file.write(b"EDIT")
        executed, wrong, _ = target.again(value)
        poisoned += bool(wrong) or executed
        tally.add(wrong, "it had to be made again" if executed else None)
    tally.add(*target.project.dangling()[:1])
    tally.figure = f"{poisoned} poisoned"


@row(19, "B", "newer schema, foreign database")
def foreign(faults: Faults, tally: Tally) -> None:
    target, changed = Target(faults), 0
    path = target.project.store / "records.db"
    with closing(sqlite3.connect(path)) as database:  # All of it in one file.
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        version = database.execute("PRAGMA user_version").fetchone()[0]
    ours = path.read_bytes()

    def altered(*statements: str) -> bytes:
        path.write_bytes(ours)
        with closing(sqlite3.connect(path)) as database:
            for statement in statements:
                database.execute(statement)
            database.commit()
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return path.read_bytes()

    newer = f"PRAGMA user_version = {version + 1}"
    cases = [altered(newer), altered("PRAGMA user_version = 1000000"), altered("PRAGMA application_id = 1"),
             altered("PRAGMA application_id = -1", newer), b"not a database at all\n" * 1000, os.urandom(40_000),
             b"\0" * 8192, ours[:100] + os.urandom(len(ours) - 100)]
    for content in cases:
        for name in ("records.db-wal", "records.db-shm"):
            (target.project.store / name).unlink(missing_ok=True)
        path.write_bytes(content)
        problems = []
        for question in (["status"], ["gc"], ["invalidate", "step"], ["db", "migrate"], ["runs"]):
            done = target.project.purser(*question)
            problems.append(done.crash or (f"{question[0]} ended with {done.code}" if done.code == 0 else None))
        executed, wrong, said = target.again("1")
        problems += [wrong, None if executed else "not executed", None if b"warning" in said else "no warning"]
        same = path.read_bytes() == content
        changed += not same
        tally.add(*problems, None if same else "the file was written to")
    tally.figure = f"bytes unchanged {len(cases) - changed} of {len(cases)}"


@row(20, "B", "WAL-reset race")
def wal_reset(faults: Faults, tally: Tally) -> None:
    """Processes that write, and reset the log, each slowed down where SQLite lets go of the shared memory."""
    faults.need("strace")
    lost_in_all = 0
    for _ in range(faults.rounds(3, 20)):
        project = faults.project()
        outside = faults.folder()
        loop = ('n=0; while [ $n -lt 12 ]; do n=$((n+1)); "$@" exec --task "$NAME-$n" --arg "n=$n" -- '
                'sh -c "seq 3000" > /dev/null && echo "$NAME-$n" >> "$ACKNOWLEDGED"; done')
        processes = []
        for name in "abcd":
            slowed = strace("munmap", f"delay_enter={faults.random.randrange(200, 6000)}", outside / name, follow=False)
            front = slowed if name in "ab" else []
            processes.append(project.start(["sh", "-c", loop, "sh", *front, *project.command()], NAME=name,
                                           stdout=subprocess.DEVNULL, ACKNOWLEDGED=str(outside / "acknowledged")))
        for process in processes:
            process.communicate()
        states = project.states()
        lost = [task for task in (outside / "acknowledged").read_text().split() if states.get(task) != "fresh"]
        lost_in_all += len(lost)
        tally.add(project.unsound(), f"lost {lost[:3]}" if lost else None, None if len(states) == 48 else
                  f"{len(states)} of 48 tasks are there")
    tally.figure = f"{lost_in_all} rows lost, {len(tally.bad)} damaged"


@row(21, "B", "a reader that never ends")
def starved_checkpoint(faults: Faults, tally: Tally) -> None:
    project = faults.project()
    project.purser("exec", "--task", "first", "--", "true")
    longest = 0
    with closing(sqlite3.connect(project.store / "records.db", isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM tasks").fetchone()
        for n in range(faults.rounds(100, 1000)):
            done = project.purser("exec", "--task", f"t{n % 50}", "--arg", f"n={n}", "--", "seq", "2000")
            longest = max(longest, (project.store / "records.db-wal").stat().st_size)
            tally.add(done.says(0), f"said {done.err[:200]!r}" if done.err else None)
        reader.execute("COMMIT")
    project.purser("exec", "--task", "last", "--", "true")
    after = (project.store / "records.db-wal").stat().st_size if (project.store / "records.db-wal").exists() else 0
    tally.add(None if longest <= 64 << 20 else "the log grew beyond 64 MiB",
              None if after <= 1 << 20 else f"the log is still {after} bytes", project.unsound())
    tally.figure = f"log at most {longest / (1 << 20):.1f} MiB, then {after >> 10} KiB"
