"""Group E: what a command sees, and what its caller sees, with Purser in between."""

import hashlib
import os
import pty
import select
import signal
import subprocess
import termios
import time

from .harness import HANG, Faults, Tally, percentile, row

FATAL = [signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGILL, signal.SIGTRAP, signal.SIGABRT, signal.SIGBUS,
         signal.SIGFPE, signal.SIGKILL, signal.SIGUSR1, signal.SIGSEGV, signal.SIGUSR2, signal.SIGPIPE, signal.SIGALRM,
         signal.SIGTERM, signal.SIGXCPU, signal.SIGXFSZ, signal.SIGVTALRM, signal.SIGPROF, signal.SIGSYS]


@row(39, "E", "exit codes 0 to 255, fatal signals")
def exit_codes(faults: Faults, tally: Tally) -> None:
    project = faults.project()
    for code in range(256):
        tally.add(project.purser("-q", "exec", "--task", "t", "--force", "--", "sh", "-c", f"exit {code}").says(code))
    for number in FATAL:
        command = ["python3", "-c", f"import os, resource, signal; resource.setrlimit(resource.RLIMIT_CORE, (0, 0)); "
                   f"signal.signal({int(number)}, signal.SIG_DFL) if {int(number)} != 9 else 0; "
                   f"os.kill(os.getpid(), {int(number)})"]
        done = project.purser("-q", "exec", "--task", "t", "--force", "--", *command)
        problem = done.says(128 + number)
        tally.add(problem and f"{number.name}: {problem}")
    tally.figure = f"{tally.held} of {tally.tried} equal"


@row(40, "E", "Ctrl-C on a terminal")
def control_c(faults: Faults, tally: Tally) -> None:
    project = faults.project()
    # Counts what it gets, for long enough that a second one would be counted, and then dies of it.
    project.write("step.py", """import os, signal, sys, time
count = 0
def got(*_):
    global count
    count += 1
signal.signal(signal.SIGINT, got)
open("ready", "w").write("1")
while not count: time.sleep(0.01)
for _ in range(20): time.sleep(0.01)
open("count", "w").write(str(count))
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.kill(os.getpid(), signal.SIGINT)
""")
    for n in range(faults.rounds(10, 50)):
        for name in ("ready", "count"):
            (project.root / name).unlink(missing_ok=True)
        pid, terminal = pty.fork()
        if pid == 0:
            os.chdir(project.root)
            command = project.command("exec", "--task", "t", "--", "python3", "step.py")
            os.execve(command[0], command, project.environment)
        ready = faults.wait_for(lambda: bool(project.read("ready")))
        os.write(terminal, termios.tcgetattr(terminal)[6][termios.VINTR])
        printed = drained(terminal)
        _, status = os.waitpid(pid, 0)
        code, count = os.waitstatus_to_exitcode(status), project.read("count")
        tally.add(None if ready else "it did not begin", None if count == b"1" else f"delivered {count!r} times",
                  None if code in (130, -signal.SIGINT) else f"ended with {code}: {printed[-200:]!r}")
        os.close(terminal)
    tally.figure = f"{tally.held} of {tally.tried}"


def drained(terminal: int) -> bytes:
    """What a terminal has to say until nobody is there any more."""
    said, end = b"", time.monotonic() + HANG
    while time.monotonic() < end:
        if not select.select([terminal], [], [], 1)[0]:
            continue
        try:
            part = os.read(terminal, 65536)
        except OSError:
            return said
        if not part:
            return said
        said += part
    return said


@row(41, "E", "TERM and HUP are passed on")
def passed_on(faults: Faults, tally: Tally) -> None:
    project = faults.project()
    for n in range(faults.rounds(10, 50)):
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            (project.root / "mask").unlink(missing_ok=True)
            process = project.start(project.command(
                "exec", "--task", "t", "--", "sh", "-c", "grep -E 'Sig(Blk|Ign)' /proc/self/status > new; mv new mask; "
                "exec sleep 1000"), new_session=True)
            ready = faults.wait_for(lambda: bool(project.read("mask")))
            mask = [line.split()[1] for line in (project.read("mask") or b"").decode().splitlines()]
            process.send_signal(number)
            process.communicate(timeout=HANG)
            tally.add(None if ready else "it did not begin", None if mask and int(mask[0], 16) == 0 else f"mask {mask}",
                      None if process.returncode in (128 + number, -number) else f"ended with {process.returncode}",
                      None if faults.wait_for(lambda: not faults.survivors(), 20) else "something survived")
            faults.end_survivors()
    tally.figure = f"{tally.held} of {tally.tried}"


@row(42, "E", "a grandchild keeps the pipe open")
def open_pipe(faults: Faults, tally: Tally) -> None:
    project, times = faults.project(), []
    for n in range(faults.rounds(10, 50)):
        process = project.start(project.command("-q", "exec", "--task", "t", "--", "sh", "-c", "sleep 100 & exit 3"),
                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        begun = time.monotonic()
        try:
            code = process.wait(60)
        except subprocess.TimeoutExpired:
            code = None
            process.kill()
        times.append(time.monotonic() - begun)
        faults.end_survivors()
        tally.add(None if code == 3 else f"ended with {code} after {times[-1]:.1f} s")
    tally.figure = f"returns after p50 {percentile(times, 0.5):.2f} s, longest {max(times):.2f} s (100 open)"


@row(43, "E", "time limit, TERM ignored, three deep")
def deaf_tree(faults: Faults, tally: Tally) -> None:
    project, orphans = faults.project(), 0
    project.write("deep.sh", "trap '' TERM\n[ $1 = 0 ] || sh deep.sh $(($1 - 1))\nsleep 1000\nsleep 1000\n")
    for n in range(faults.rounds(3, 20)):
        done = project.purser("-q", "exec", "--task", "t", "--timeout", "1s", "--", "sh", "deep.sh", "2")
        left = faults.survivors()
        orphans += len(left)
        tally.add(done.says(124), f"{len(left)} survived" if left else None)
        faults.end_survivors()
    tally.figure = f"orphans {orphans}"


def noise(size: int) -> str:
    """A command that prints so many bytes, always the same, that do not compress."""
    return f"head -c {size} /dev/zero | openssl enc -aes-128-ctr -pbkdf2 -pass pass:x -nosalt 2>/dev/null"


@row(44, "E", "much output, a slow reader")
def slow_reader(faults: Faults, tally: Tally) -> None:
    faults.need("openssl")
    project, peaks = faults.project(), []
    size = faults.rounds(64, 1024) << 20
    straight = subprocess.run(["sh", "-c", f"{noise(size)} | sha256sum"], stdout=subprocess.PIPE).stdout[:64].decode()
    for what in ("run", "replay"):
        process = project.start(project.command("-q", "exec", "--task", "t", "--", "sh", "-c", noise(size)),
                                stderr=subprocess.DEVNULL)
        digest, got = hashlib.sha256(), 0
        while part := os.read(process.stdout.fileno(), 1 << 16):
            digest.update(part)
            got += len(part)
            if got % (1 << 20) < 1 << 12:
                time.sleep(0.002)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        peaks.append(usage.ru_maxrss / 1024)
        ending = (process.returncode, got)
        tally.add(None if ending == (0, size) else f"the {what} ended with {ending[0]} after {got} bytes",
                  None if digest.hexdigest() == straight else f"the {what} is not what the command prints",
                  None if peaks[-1] < 64 else f"{peaks[-1]:.0f} MiB of memory in the {what}")
    tally.figure = f"{size >> 20} MiB, peak {max(peaks):.0f} MiB"


@row(45, "E", "lines of two streams alternate")
def interleaved(faults: Faults, tally: Tally) -> None:
    """Each stream has to be exact. Across the two the order is that of arrival, which is counted and not promised."""
    project, count = faults.project(), faults.rounds(2_000, 10_000)
    project.write("step.py", f"""import os, time
for n in range({count}):
    os.write(1 + n % 2, b"%d\\n" % n)
    time.sleep(0.0005)
""")
    action = project.command("-q", "exec", "--task", "t", "--", "python3", "step.py")
    inversions = 0
    for what in ("run", "replay"):
        process = project.start(action, stderr=subprocess.STDOUT)
        out, _ = process.communicate(timeout=HANG)
        numbers = [int(line) for line in out.split()]
        turned = sum(a > b for a, b in zip(numbers, numbers[1:]))
        inversions += turned
        for parity in (0, 1):
            exact = [n for n in numbers if n % 2 == parity] == list(range(parity, count, 2))
            tally.add(None if exact else f"{what}: stream {1 + parity} is not exact")
    tally.figure = f"{count} lines, {inversions} turned round between streams"


@row(46, "E", "standard input, a reader that leaves")
def streams(faults: Faults, tally: Tally) -> None:
    faults.need("openssl")
    project, size = faults.project(), faults.rounds(64, 1024) << 20
    given = project.root / "given"
    project.run(["sh", "-c", f"{noise(size)} > given"])
    wanted = subprocess.run(["sha256sum", str(given)], stdout=subprocess.PIPE).stdout[:64]
    with open(given, "rb") as file:
        process = project.start(project.command("-q", "exec", "--task", "t", "--stdin", "--", "sha256sum"), stdin=file)
        out, err = process.communicate(timeout=HANG)
    tally.add(None if out[:64] == wanted else f"what arrived is something else: {out[:80]!r} {err[-200:]!r}")
    given.unlink()
    hangs = 0
    for n in range(faults.rounds(10, 100)):
        command = project.command("-q", "exec", "--task", f"y{n}", "--", "sh", "-c", "yes")
        shell = project.start(["sh", "-c", '"$@" | head -1', "sh", *command])
        try:
            out, _ = shell.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            out, hangs = b"", hangs + 1
        tally.add(None if out == b"y\n" else "it hung, or the line did not come",
                  None if faults.wait_for(lambda: not faults.survivors(), 20) else "the command goes on")
        faults.end_survivors()
    tally.figure = f"{size >> 20} MiB in; {hangs} hangs"
