"""W4: hashing: one large file; 100,000 small ones; the same tree when nothing changed; and a million files."""

import hashlib
import os
import random
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from .harness import FULL_ONLY, LINEAR, Bench, BenchError, Entry, Goal, Section, against, ratio

GIB = 1 << 30
FILES_EACH, FILE_SIZE = 1000, 4096
TREE_FILES = 100_000
MANY = 1_000_000


def block(seed: int, size: int) -> bytes:
    return random.Random(seed).randbytes(size)


def make_file(path: Path, size: int) -> None:
    """Deterministic: one random block over and over, each time with its number in front."""
    if path.exists() and path.stat().st_size == size:
        return
    body = block(4, 8 << 20)
    unfinished = path.with_suffix(".part")
    with unfinished.open("wb") as file:
        for number in range(size // len(body)):
            file.write(number.to_bytes(16, "little") + body[16:])
    unfinished.rename(path)


def make_tree(tree: Path, files: int) -> None:
    if tree.exists():
        return
    body = block(5, 1 << 20)
    unfinished = tree.with_suffix(".part")
    shutil.rmtree(unfinished, ignore_errors=True)
    for folder in range(files // FILES_EACH):
        path = unfinished / f"d{folder:02}"
        path.mkdir(parents=True)
        for file in range(FILES_EACH):
            number = folder * FILES_EACH + file
            start = number * 61 % (len(body) - FILE_SIZE)
            content = number.to_bytes(16, "little") + body[start:start + FILE_SIZE - 16]
            (path / f"f{file:03}").write_bytes(content)
    unfinished.rename(tree)


def warm(path: Path) -> None:
    """Into the page cache, without keeping it."""
    buffer = bytearray(1 << 20)
    with path.open("rb", buffering=0) as file:
        while file.readinto(buffer):
            pass


def flip(path: Path, offset: int, keep_times: bool = False) -> None:
    """Changes one byte, and puts the times back if asked to; a second flip undoes it."""
    info = path.stat()
    with path.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 0xFF]))
    if keep_times:
        os.utime(path, ns=(info.st_atime_ns, info.st_mtime_ns))


class Hash:
    """`purser hash PATH` with a store of its own."""

    def __init__(self, bench: Bench, folder: Path, path: str):
        self.bench, self.folder, self.path = bench, folder, path
        self.store = folder / f"store-{path}"
        shutil.rmtree(self.store, ignore_errors=True)
        self.command = [str(bench.purser), "--project", ".", "--store", str(self.store), "hash", path]
        self.caches = [self.store / "stat-cache", self.store / "folder-cache"]
        self.forget = ["rm", "-rf", *map(str, self.caches)]

    def digest(self) -> str:
        line = self.bench.run(self.command, self.folder).stdout
        match = re.fullmatch(r"([0-9a-f]{64})  (.*)\n", line)
        if match is None or match[2] != self.path:
            raise BenchError(f"'purser hash {self.path}' did not print one line of sha256sum's format: {line!r}")
        return match[1]

    @property
    def cache_bytes(self) -> int:
        return sum(path.stat().st_size for path in self.caches if path.exists())

    def check(self, edited: Path, offset: int) -> list[str]:
        wrong = []
        first = self.digest()
        if self.digest() != first:
            wrong.append("gives another digest from the stat cache")
        flip(edited, offset, keep_times=True)
        changed = self.digest()
        flip(edited, offset, keep_times=True)
        if changed == first:
            wrong.append("skips a file that changed (times and size kept)")
        if self.digest() != first:
            wrong.append("gives another digest for the first content")
        return wrong


def one_file(bench: Bench, folder: Path, size: int) -> Section:
    name = f"file-{size // GIB}g"
    path = folder / name
    make_file(path, size)
    openssl, sha256sum = bench.find("openssl"), bench.find("sha256sum")

    hash_file = Hash(bench, folder, name)
    purser = Entry("purser hash, no stat cache", hash_file.command, prepare=hash_file.forget, bytes=size)
    known = Entry("purser hash, stat cache warm", hash_file.command, note="nothing is read")
    limit = Entry("floor: OpenSSL's SHA-256 on one core", [bench.compile("tree", ["crypto"])[0], "limit", str(size)],
                  bytes=size, times_itself=True, note="as many bytes, from the cache")
    entries = [purser, limit, known]
    purser.wrong = hash_file.check(path, size // 2)
    if openssl:
        entries.append(Entry("openssl dgst -sha256", [openssl, "dgst", "-sha256", name], bytes=size))
        expected = bench.run([openssl, "dgst", "-sha256", "-r", name], folder).stdout.split()[0]
        if hash_file.digest() != expected:
            purser.wrong.append("gives another digest than openssl")
    large = size > 4 * GIB
    bench.measure(entries, folder, rounds=3 if large else 9 if bench.full else 5, runs=1, warmup=0,
                  each_round=lambda: warm(path))
    bench.peak(purser, folder)
    if sha256sum:
        slow = Entry("sha256sum", [sha256sum, name], bytes=size)
        bench.measure([slow], folder, rounds=3 if bench.full else 1, runs=1, warmup=0)
        entries.append(slow)

    about = f"a file of {size // GIB} GiB"
    section = Section(f"W4: {about}, page cache warm", entries)
    section.goals.append(Goal(f"{about}: share of what OpenSSL does on one core", ratio(limit, purser), 0.95, unit="",
                              at_least=True))
    small = folder / "file-small"
    make_file(small, 64 << 20)
    little = Hash(bench, folder, small.name)
    reference = Entry("64 MiB", little.command)
    bench.peak(reference, folder)
    growth = None
    if purser.peak_kib and reference.peak_kib:
        growth = (purser.peak_kib - reference.peak_kib) / 1024
    section.goals.append(Goal(f"{about}: peak memory above that of a 64 MiB file", growth, 1, unit=" MiB",
                              reason="GNU time is not installed"))
    path.unlink()
    return section


class Git:
    """A repository beside the tree, so that the tree itself stays as it is."""

    def __init__(self, bench: Bench, folder: Path, git: str):
        self.bench, self.folder = bench, folder
        place = str(folder / "git")
        self.base = [git, f"--git-dir={place}", f"--work-tree={folder / 'tree'}", "-c", "user.name=bench",
                     "-c", "user.email=bench@localhost", "-c", "gc.auto=0"]
        self.add = [*self.base, "add", "--all", "--", str(folder / "tree")]
        self.anew = ["sh", "-c", f"rm -rf '{place}' && '{git}' init -q --bare '{place}'"]

    def commit(self) -> None:
        """What was added by the last run of `add`."""
        self.bench.run([*self.base, "commit", "-q", "-m", "bench"], self.folder)

    def check(self, command: list[str], edited: Path) -> list[str]:
        wrong = []
        if self.bench.run(command, self.folder).stdout:
            wrong.append("sees a change where there is none")
        flip(edited, 0)
        if not self.bench.run(command, self.folder).stdout:
            wrong.append("skips a file that changed")
        flip(edited, 0)
        self.bench.run([*self.base, "update-index", "-q", "--refresh"], self.folder, check=False)
        return wrong


def expected_xor(tree: Path) -> str:
    total = 0
    for path in tree.glob("*/*"):
        total ^= int.from_bytes(hashlib.sha256(path.read_bytes()).digest(), "big")
    return f"{total:064x}"


def trees(bench: Bench, folder: Path) -> Iterator[Section]:
    tree = folder / "tree"
    make_tree(tree, TREE_FILES)
    edited, size = tree / "d42" / "f777", TREE_FILES * FILE_SIZE
    floor, how = bench.compile("tree", ["crypto"])
    hash_tree = Hash(bench, folder, "tree")
    rounds = 21 if bench.full else 7  # of one run each: the closer the pairs, the less the noise between them

    purser = Entry("purser hash, no stat cache", hash_tree.command, prepare=hash_tree.forget, bytes=size,
                   note="writes the stat cache too")
    purser.wrong = hash_tree.check(edited, 0)
    c_hash = Entry("floor: read and hash, 2 threads", [floor, "hash", "tree"], bytes=size, note=how)
    if bench.run(c_hash.command, folder).stdout != f"{TREE_FILES} {size} {expected_xor(tree)}\n":
        c_hash.wrong.append("gives other digests than Python")
    hashing = [purser, c_hash]
    bench.measure(hashing, folder, rounds=rounds, runs=1, warmup=0)
    bench.peak(purser, folder)
    if sha256sum := bench.find("sha256sum"):
        pipe = f"find tree -type f -print0 | xargs -0 -P2 -n 500 '{sha256sum}'"
        slow = Entry("find | xargs -P2 sha256sum", ["sh", "-c", pipe], bytes=size)
        bench.measure([slow], folder, rounds=3 if bench.full else 1, runs=1, warmup=0)
        hashing.append(slow)
    if git := bench.find("git"):
        repository = Git(bench, folder, git)
        add = Entry("git add", repository.add, prepare=repository.anew, bytes=size, note="writes the objects too")
        bench.measure([add], folder, rounds=3 if bench.full else 1, runs=1, warmup=0)
        hashing.append(add)
    dvc_status = None
    if not bench.full:
        bench.skipped.append("dvc in W4 (minutes: only with --full)")
    elif dvc := bench.find("dvc"):
        add, dvc_status = dvc_entries(bench, folder, dvc)
        hashing.append(add)
    yield Section("W4: 100,000 files of 4 KiB, page cache warm", hashing,
                  [against("100,000 files / C floor, 2 threads", purser, c_hash, 1.3)])

    warm_hash = Entry("purser hash, stat cache warm", hash_tree.command)
    c_stat = Entry("floor: walk and stat, 2 threads", [floor, "stat", "tree"], note=how)
    unchanged = [warm_hash, c_stat]
    diff_files = status = None
    if git:
        repository.commit()
        diff_files = Entry("git diff-files", [*repository.base, "diff-files"])
        status = Entry("git status", [*repository.base, "status", "--porcelain"])
        for entry in (diff_files, status):
            entry.wrong = repository.check(entry.command, edited)
        unchanged += [diff_files, status]

    bench.run(hash_tree.command, folder)
    bench.measure(unchanged, folder, rounds=rounds, runs=1)
    bench.peak(warm_hash, folder)
    if dvc_status:
        unchanged.append(dvc_status)
    yield Section("W4: the same tree, nothing changed", unchanged, [
        against("100,000 files unchanged / git status", warm_hash, status, 1.0),
        against("100,000 files unchanged / git diff-files", warm_hash, diff_files, 1.0),
        Goal("stat cache and names, for each file", hash_tree.cache_bytes / TREE_FILES, 100, unit=" bytes"),
    ])
    yield million(bench, folder, floor, purser, warm_hash)


def million(bench: Bench, folder: Path, floor: str, tenth: Entry, warm_tenth: Entry) -> Section:
    """Ten times the tree, and what a file costs by then."""
    purser = warm_hash = None
    size = MANY * FILE_SIZE
    section = Section(f"W4: {MANY:,} files of 4 KiB, page cache warm", [])
    if bench.full:
        tree = folder / "tree-many"
        make_tree(tree, MANY)
        hash_tree = Hash(bench, folder, tree.name)
        purser = Entry("purser hash, no stat cache", hash_tree.command, prepare=hash_tree.forget, bytes=size)
        purser.wrong = hash_tree.check(tree / "d427" / "f777", 0)
        warm_hash = Entry("purser hash, stat cache warm", hash_tree.command)
        c_hash = Entry("floor: read and hash, 2 threads", [floor, "hash", tree.name], bytes=size)
        c_stat = Entry("floor: walk and stat, 2 threads", [floor, "stat", tree.name])
        bench.measure([purser, c_hash], folder, rounds=3, runs=1, warmup=0)
        bench.measure([warm_hash, c_stat], folder, rounds=3, runs=1)
        for entry in (purser, warm_hash):
            bench.peak(entry, folder)
        section.entries = [purser, c_hash, warm_hash, c_stat]
        section.goals.append(
            Goal("stat cache and names of a million files, for each", hash_tree.cache_bytes / MANY, 100, unit=" bytes"))
        shutil.rmtree(tree)
        shutil.rmtree(hash_tree.store)
    for text, many, few in (("hashing", purser, tenth), ("an unchanged tree", warm_hash, warm_tenth)):
        growth = None if many is None else many.seconds / few.seconds * TREE_FILES / MANY
        section.goals.append(
            Goal(f"{text}: time a file at {MANY:,} / at {TREE_FILES:,}", growth, LINEAR, reason=FULL_ONLY))
    return section


def dvc_entries(bench: Bench, folder: Path, dvc: str) -> tuple[Entry, Entry]:
    """`dvc add` of a copy of the tree, since it takes over the folder that it is given."""
    place = folder / "dvc"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    bench.run(["cp", "-a", str(folder / "tree"), "tree"], place)
    bench.run([dvc, "init", "--no-scm", "-q"], place)
    add = Entry("dvc add", [dvc, "--cd", str(place), "add", "-q", "tree"], bytes=TREE_FILES * FILE_SIZE,
                note="once; copies into its cache too")
    bench.measure([add], place, rounds=1, runs=1, warmup=0)
    status = Entry("dvc status", [dvc, "--cd", str(place), "status", "-q"], note="once")
    flip(place / "tree" / "d42" / "f777", 0)
    if bench.run(status.command, place, check=False).returncode == 0:
        status.wrong.append("skips a file that changed")
    flip(place / "tree" / "d42" / "f777", 0)
    if bench.run(status.command, place, check=False).returncode != 0:
        status.wrong.append("sees a change where there is none")
    bench.measure([status], place, rounds=1, runs=1, warmup=0)
    return add, status


def measure(bench: Bench) -> Iterator[Section]:
    folder = bench.scratch / "w4"
    folder.mkdir(exist_ok=True)
    sizes = [4, 16] if bench.full else [1]
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    for size in sizes:
        # The file has to stay in the page cache, and the disk must not be filled to the brim.
        if shutil.disk_usage(folder).free < (size + 4) * GIB or memory < (size + 2) * GIB:
            bench.skipped.append(f"the file of {size} GiB (too little disk or memory)")
            continue
        yield one_file(bench, folder, size * GIB)
    yield from trees(bench, folder)
