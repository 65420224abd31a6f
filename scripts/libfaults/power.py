"""Group A: power cuts, on an ext4 of our own in a loop-mounted file.

The writers stand outside that file system and acknowledge outside it. They are stopped at a random moment, and then
EXT4_IOC_SHUTDOWN makes the file system forget all that it had not been made to write: neither data nor journal is
flushed. Mounted again, it is what a disk that honours fsync has after a power cut.
"""

import fcntl
import os
import signal
import struct
import subprocess
import time
from pathlib import Path

from .harness import Faults, Project, Skip, Tally, row, strace, was_injected

EXT4_IOC_SHUTDOWN = 0x8004587D
NO_LOG_FLUSH = 2

# $1: the writer's name and the cut's number. Only what ended with 0 and without a word is acknowledged. $FRONT is
# empty, or a program that tampers with the system calls.
WRITER = """
n=0
while :; do
  n=$((n + 1))
  if said=$($FRONT "$PURSER" -q --project "$PROJECT" --store "$PROJECT/.purser" \\
      exec --task "$1-$n" --output "out-$1-$n" -- sh "$STEP" "$1-$n" "$SIZE" 2>&1 >/dev/null) && [ -z "$said" ]; then
    echo "$1-$n" >> "$ACKNOWLEDGED"
  fi
done
"""
# Its outputs are known by the task's name alone: a line, or that and noise which does not compress.
STEP = """
echo "$1" >> "$EXECUTED"
noise() { openssl enc -aes-256-ctr -pbkdf2 -pass "pass:$1" -nosalt < /dev/zero 2>/dev/null | head -c "$2"; }
{ echo "$1"; [ "$2" = 0 ] || noise "$1" "$2"; } > "out-$1"
"""


class Disk:
    """A file with an ext4 in it, and the project there."""

    def __init__(self, faults: Faults, size: int, durability: str | None):
        faults.need_root()
        faults.need("mkfs.ext4", "e2fsck", "mount", "openssl")
        self.faults, self.size = faults, size
        self.outside = faults.folder()
        self.image, self.place = self.outside / "image", self.outside / "mount"
        self.place.mkdir()
        self.image.touch()
        os.truncate(self.image, 1 << 30)
        subprocess.run(["mkfs.ext4", "-q", "-F", str(self.image)], check=True, capture_output=True)
        faults.mount(self.place, "-o", "loop", str(self.image))
        self.acknowledged, self.executed = self.outside / "acknowledged", self.outside / "executed"
        step = self.outside / "step.sh"
        step.write_text(STEP)
        environment = {"PURSER": str(faults.purser), "PROJECT": str(self.place / "project"), "STEP": str(step),
                       "ACKNOWLEDGED": str(self.acknowledged), "EXECUTED": str(self.executed), "SIZE": str(size)}
        if durability:
            environment["PURSER_DURABILITY"] = durability
        self.project = Project(faults, self.place / "project", **environment)
        os.sync()

    def write_and_cut(self, cut: int, writers: int, front: str = "") -> list[str]:
        """Lets them write for a moment and cuts the power; the acknowledged tasks, oldest first."""
        self.acknowledged.write_text("")
        begun = [self.project.start(["sh", "-c", WRITER, "sh", f"{letter}{cut}"], stdout=subprocess.DEVNULL,
                                    stderr=subprocess.DEVNULL, new_session=True, FRONT=front)
                 for letter in "ab"[:writers]]
        self.faults.wait_for(lambda: self.acknowledged.stat().st_size > 0)
        time.sleep(self.faults.random.uniform(0, 0.6))
        # All of them stand still, and nobody acknowledges any more, before the power goes. Who is in the kernel (D) stops
        # before it leaves it; who waits there for a spawned process that was stopped before its exec, never would.
        while running := [pid for pid in self.faults.survivors() if state(pid) not in "TtZXD"]:
            for pid in running:
                send(pid, signal.SIGSTOP)
            time.sleep(0.002)
        acknowledged = self.acknowledged.read_text().splitlines()
        self.cut()
        for process in begun:
            process.wait()
        return acknowledged

    def cut(self) -> None:
        place = os.open(self.place, os.O_RDONLY)
        fcntl.ioctl(place, EXT4_IOC_SHUTDOWN, struct.pack("I", NO_LOG_FLUSH))
        os.close(place)
        self.faults.end_survivors()
        self.faults.unmount(self.place)
        self.faults.mount(self.place, "-o", "loop", str(self.image))  # Plays ext4's own journal.

    def check_file_system(self) -> str | None:
        self.faults.unmount(self.place)
        done = subprocess.run(["e2fsck", "-fn", str(self.image)], capture_output=True, text=True)
        self.faults.mount(self.place, "-o", "loop", str(self.image))
        return None if done.returncode == 0 else f"e2fsck: {done.stdout[-200:]}"

    def again(self, task: str):
        """Does a task once more; whether it had to be executed."""
        before = self.executed.read_text().count(f"{task}\n") if self.executed.exists() else 0
        done = self.project.purser("-q", "exec", "--task", task, "--output", f"out-{task}", "--", "sh",
                                   self.project.environment["STEP"], task, str(self.size))
        content = self.project.read(f"out-{task}") or b""
        wrong = done.says(0)
        if not content.startswith(f"{task}\n".encode()) or len(content) != len(task) + 1 + self.size:
            wrong = wrong or f"{task}: the output is not what was made"
        return self.executed.read_text().count(f"{task}\n") > before, wrong


def state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return "X"


def send(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


def cut_power(
    faults: Faults, tally: Tally, cuts: int, size: int, durability: str | None = None
) -> tuple[int, int, int]:
    """How many were acknowledged, how many of these were lost, and the most in one cut."""
    disk = Disk(faults, size, durability)
    everything: list[str] = []
    lost_in_all, most = 0, 0
    for cut in range(1, cuts + 1):
        acknowledged = disk.write_and_cut(cut, writers=1 + cut % 2)
        problems = [disk.check_file_system() if cut % 10 == 0 else None, disk.project.unsound()]
        if not problems[-1]:
            problems += disk.project.dangling()[:1]
        status = disk.project.purser("--json", "status")
        problems.append(status.says(0))
        states = {task["task"]: task["state"] for task in status.json()["tasks"]} if status.code == 0 else {}
        lost = [task for task in acknowledged if states.get(task) not in ("fresh", "restorable")]
        if durability is None:
            problems.append(f"cut {cut}: lost {lost[:3]} ({len(lost)} of {len(acknowledged)})" if lost else None)
        for writer in "ab":  # The tail may be lost, never something before what is kept.
            own = [task in lost for task in acknowledged if task.startswith(writer)]
            problems.append(f"cut {cut}: lost, but not the tail" if own != sorted(own) else None)
        for task in acknowledged:
            executed, wrong = disk.again(task)
            problems.append(wrong)
            problems.append(f"cut {cut}: {task} had to run again" if executed and task not in lost else None)
        everything += acknowledged
        lost_in_all, most = lost_in_all + len(lost), max(most, len(lost))
        tally.add(*problems)
    states = disk.project.states()
    gone = [task for task in everything if states.get(task) not in ("fresh", "restorable")]
    tally.add(f"gone after all the cuts: {gone[:3]}" if gone else None, disk.check_file_system())
    faults.unmount(disk.place)
    return len(everything), lost_in_all, most


@row(3, "A", "power cut, default durability")
def power_cut(faults: Faults, tally: Tally) -> None:
    count, lost, _ = cut_power(faults, tally, faults.rounds(15, 120), 0)
    tally.figure = f"{tally.tried - 1} cuts, {lost} of {count} acks lost"
    # The counter-trial: with syncs that are swallowed, as by a disk that lies, the same must show a loss.
    faults.need("strace")
    disk = Disk(faults, 0, None)
    front = " ".join(strace("fsync,fdatasync", "retval=0", disk.outside / "trace"))
    acknowledged, states = [], {}
    for cut in range(3):
        acknowledged += disk.write_and_cut(cut, 1, front)
    if disk.project.store.exists() and (done := disk.project.purser("--json", "status")).code == 0:
        states = {task["task"] for task in done.json()["tasks"] if task["state"] in ("fresh", "restorable")}
    kept = sum(task in states for task in acknowledged)
    tally.add("with swallowed syncs nothing is lost: the trial proves nothing" if kept == len(acknowledged) else None)
    tally.figure += f" (with swallowed syncs {len(acknowledged) - kept} of {len(acknowledged)})"
    faults.unmount(disk.place)


@row(4, "A", "power cut, PURSER_DURABILITY=fast")
def power_cut_fast(faults: Faults, tally: Tally) -> None:
    count, lost, most = cut_power(faults, tally, faults.rounds(8, 60), 0, "fast")
    tally.figure = f"{tally.tried - 1} cuts, {lost} of {count} acks lost, at most {most} in one, tails only"


@row(5, "A", "power cut while contents are stored")
def power_cut_blobs(faults: Faults, tally: Tally) -> None:
    count, lost, _ = cut_power(faults, tally, faults.rounds(10, 60), 60_000)
    tally.figure = f"{tally.tried - 1} cuts, {lost} of {count} acks lost, {len(tally.bad)} dangling"


@row(6, "A", "torn and reordered writes (LazyFS)")
def torn_writes(faults: Faults, tally: Tally) -> None:
    raise Skip("LazyFS is no Debian package")


@row(7, "A", "fsync fails (EIO), then a power cut")
def failing_sync(faults: Faults, tally: Tally) -> None:
    """What was not warned about must be there after the cut: anything else would be a false acknowledgement."""
    faults.need("strace")
    disk = Disk(faults, 60_000, None)
    disk.again("before")
    false_acks, hit = 0, 0
    for when in ("{}", "{}+"):
        for number in range(1, 30):
            task = f"n{len(when)}-{number}"
            trace = disk.outside / "trace"
            through = strace("fsync,fdatasync", f"error=EIO:when={when.format(number)}", trace, follow=False)
            done = disk.project.purser("exec", "--task", task, "--output", f"out-{task}", "--", "sh",
                                       disk.project.environment["STEP"], task, str(disk.size),
                                       through=through)
            if not was_injected(trace):
                break
            hit += 1
            problems = [done.says(0)]
            content = disk.project.read(f"out-{task}") or b""
            problems.append(None if len(content) == disk.size + len(task) + 1 else "the output is gone")
            disk.cut()
            problems += [disk.project.unsound()] if disk.project.store.exists() else []
            state_after = disk.project.states().get(task)
            if not done.err and state_after not in ("fresh", "restorable"):
                false_acks += 1
                problems.append(f"sync {when.format(number)} failed, nothing was said, and now it is {state_after}")
            problems += disk.project.dangling()[:1]
            executed, wrong = disk.again(task)
            problems.append(wrong)
            executed, wrong = disk.again("before")
            problems += [wrong, "what was acknowledged before is lost" if executed else None]
            tally.add(*problems)
    faults.unmount(disk.place)
    tally.figure = f"{hit} syncs failed, {false_acks} false acks"
