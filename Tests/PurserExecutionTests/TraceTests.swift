import Glibc
import PurserExecution
import PurserModel
import Testing

/// What a followed command is said to have done with files.
@Suite(.timeLimit(.minutes(5)))
struct TraceTests {
  /// Runs a script in a folder, followed, and returns what it did there.
  private func trace(_ script: String, in folder: ByteString) async throws -> Trace {
    try await trace(shell(script), in: folder)
  }

  private func trace(_ argv: [ByteString], in folder: ByteString) async throws -> Trace {
    let ran = try await run(argv, workingDirectory: folder, tracedRoot: folder)
    #expect(ran.exit == .exited(0), "\(String(decoding: ran.error, as: UTF8.self))")
    return try #require(ran.completion.trace)
  }

  /// What a script is expected to do with files `a`, `b`, a link `link` to `a`, and a folder `d` with a file `x`.
  static let scripts: [(String, [ByteString: Trace.Use])] = [
    ("cat a", ["a": .read]),
    ("cd d; cat ../a x", ["a": .read, "d/x": .read]),
    ("cat $PWD/a ./b d/../d/x", ["a": .read, "b": .read, "d/x": .read]),
    ("cat link", ["link": .read]),
    ("cat dlink/x", ["d/x": .read]),
    ("cat c 2>&- || true; cat no/c 2>&- || true", ["c": .missing, "no/c": .missing]),
    ("ls d >&-||:", ["d": .listed]),
    ("ls . >&-||:", [".": .listed]),
    ("echo x > new; cat new", ["new": .written]),
    ("echo x >> a", ["a": .written]),
    (": <> a", ["a": [.read, .written]]),
    ("cat a > b", ["a": .read, "b": .written]),
    ("mkdir m; echo x > m/f; cat m/f; ls m >&-||:", ["m": .made, "m/f": .written]),
    ("rm a", ["a": [.written, .removed]]),
    ("echo x > t; rm t", ["t": .written]),
    ("mv a z", ["a": [.read, .written, .removed], "z": .written]),
    ("mv d e; cat e/x", ["d": [.written, .removed], "e": [.written, .made]]),
    ("ln a h", ["a": .read, "h": .written]),
    ("ln -s a s; cat s", ["s": .written]),
    ("mkdir -p d/y; rm -r d/y", ["d/y": .made]),
    ("./script", ["script": [.read, .run], "tool": [.read, .run]]),
    ("PATH=$PWD/d:$PATH; true; /bin/true; env true", ["d/true": .missing]),
    ("mkdir m; rmdir m; mkdir m; mv a m/a; cat m/a", ["m": .made, "a": [.read, .written, .removed], "m/a": .written]),
    (
      "ln -sfn d l; cat l/x; rm l; ln -s /proc l; cat l/version", ["l": .written, "d/x": .read]
    ),
    ("(cat a & cat b & wait) | cat", ["a": .read, "b": .read]),
    ("setsid -w sh -c 'exec cat a'", ["a": .read]),
    ("truncate -s 0 a", ["a": .written]),
    ("cat /etc/passwd >&-||:", [:]),
  ]

  @Test(arguments: scripts.indices)
  func `What a script does is told`(index: Int) async throws {
    let (script, expected) = Self.scripts[index]
    try await withTemporaryDirectory { directory in
      let folder = try #require(realPath(directory))
      for name in ["a", "b"] as [ByteString] { writeFile(folder + "/" + name, "text\n") }
      _ = (folder + "/d").withCString { mkdir($0, 0o755) }
      writeFile(folder + "/d/x", "x\n")
      writeFile(folder + "/script", "#!\(folder)/tool -e\n", mode: 0o755)
      _ = (folder + "/tool").withCString { symlink("/bin/sh", $0) }
      _ = (folder + "/link").withCString { symlink("a", $0) }
      _ = (folder + "/dlink").withCString { symlink("d", $0) }
      let trace = try await trace(script, in: folder)
      let used = trace.uses.filter { !$0.value.isEmpty }
      #expect(used == expected, "\(script)")
      #expect(trace.gap == nil && trace.refused.isEmpty)
    }
  }

  @Test func `A name by way of a link from outside is one of the project`() async throws {
    try await withTemporaryDirectory { directory in
      let folder = try #require(realPath(directory)) + "/project"
      _ = folder.withCString { mkdir($0, 0o755) }
      writeFile(folder + "/a", "text\n")
      let alias = directory + "/alias"
      _ = alias.withCString { symlink("project", $0) }
      let trace = try await trace(["cat", alias + "/a"], in: folder)
      #expect(trace.uses == ["a": .read])
    }
  }

  @Test func `What outlives the command works as ever, whoever is gone`() async throws {
    try await withTemporaryDirectory { directory in
      let folder = try #require(realPath(directory))
      writeFile(folder + "/a", "text\n")
      let trace = try await trace(
        "setsid sh -c 'while ! cat go; do sleep 0.02; done; cat a > done.tmp; mv done.tmp done' >/dev/null 2>&1 & cat a",
        in: folder)
      #expect(trace.uses["a"] == .read)
      writeFile(folder + "/go", "")
      try await waitUntil { (folder + "/done").withCString { access($0, F_OK) } == 0 }
      let file = (folder + "/done").withCString { open($0, O_RDONLY) }
      defer { close(file) }
      #expect(read(file, count: 5) == Array("text\n".utf8))
    }
  }

  @Test func `A program for 32 bits is stopped and told, whatever its parent makes of that`() async throws {
    try await withTemporaryDirectory { directory in
      let folder = try #require(realPath(directory))
      // getpid, the old way.
      guard
        try await compile(
          "int main(void) { int n = 20; __asm__ volatile(\"int $0x80\" : \"+a\"(n)); return 0; }", as: "old", in: folder
        )
      else { return }
      let trace = try await trace("./old || :", in: folder)
      #expect(trace.refused == [folder + "/old"])
    }
  }

  @Test func `A program with privileges of its own is told`() async throws {
    try await withTemporaryDirectory { directory in
      let folder = try #require(realPath(directory))
      let made = try await run(shell("cp /bin/true special; chmod u+s special"), workingDirectory: folder)
      try #require(made.exit == .exited(0))
      let trace = try await trace(["./special"], in: folder)
      #expect(trace.privileged == [folder + "/special"])
    }
  }

  // MARK: Agreement with strace

  /// Makes a program of C; false where no compiler is here.
  private func compile(_ source: String, as name: ByteString, in folder: ByteString) async throws -> Bool {
    writeFile(folder + "/" + name + ".c", source)
    let made = try? await run(["gcc", "-static", "-pthread", "-o", name, name + ".c"], workingDirectory: folder)
    return made?.exit == .exited(0)
  }

  static let threads = """
    #include <fcntl.h>
    #include <pthread.h>
    #include <stdio.h>
    #include <sys/wait.h>
    #include <unistd.h>
    static void *work(void *argument) {
      char name[32];
      for (int i = 0; i < 50; i++) {
        snprintf(name, sizeof name, "data/%ld-%d", (long)argument, i);
        int file = open(name, O_RDONLY);
        if (file >= 0) close(file);
      }
      if (fork() == 0) { open("data/from-a-fork", O_RDONLY); execl("./helper", "helper", NULL); _exit(9); }
      return NULL;
    }
    int main(void) {
      pthread_t threads[8];
      for (long i = 0; i < 8; i++) pthread_create(&threads[i], NULL, work, (void *)i);
      for (int i = 0; i < 8; i++) pthread_join(threads[i], NULL);
      while (wait(NULL) > 0) {}
      return 0;
    }
    """

  static let python = """
    import importlib, subprocess, sys, threading
    sys.path.insert(0, "lib")
    import one, package.two
    def work(n):
        for i in range(20):
            try: open(f"data/{n}-{i}").close()
            except FileNotFoundError: pass
    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    [t.start() for t in threads]; [t.join() for t in threads]
    subprocess.run(["sh", "-c", "cat data/0-0 no/such; . ./part.sh"])
    subprocess.run([sys.executable, "-I", "-c", "print(open('data/1-1').read())"])
    """

  static let rust = """
    use std::{fs, process::Command, thread};
    fn main() {
        let all: Vec<_> = (0..4).map(|n| thread::spawn(move || {
            for i in 0..20 { let _ = fs::read(format!("data/{n}-{i}")); }
        })).collect();
        for one in all { one.join().unwrap(); }
        Command::new("./helper").status().unwrap();
    }
    """

  @Test(arguments: ["shell", "python", "c", "rust"])
  func `What is read and looked for is what strace tells`(language: String) async throws {
    guard access("/usr/bin/strace", X_OK) == 0 else { return }
    try await withTemporaryDirectory { directory in
      let folder = try #require(realPath(directory))
      let setting = try await run(
        shell(
          """
          mkdir data lib lib/package; for t in 0 1 2 3; do for i in 0 1 2 3 4 5 6 7 8 9; do echo $i > data/$t-$i; done; done
          echo x > data/from-a-fork; echo 'a = 1' > lib/one.py; : > lib/package/__init__.py; echo 'b = 2' > lib/package/two.py
          echo 'cat data/2-2' > part.sh; printf '#!/bin/sh\ncat data/3-3\n' > helper; chmod +x helper
          """), workingDirectory: folder)
      try #require(setting.exit == .exited(0))
      let argv: [ByteString]
      switch language {
      case "shell": argv = ["sh", "-c", ". ./part.sh; for i in data/*; do cat $i; done; ./helper < data/1-1; cat no"]
      case "python":
        writeFile(folder + "/main.py", Self.python)
        argv = ["/usr/bin/python3", "-B", "main.py"]
      case "c":
        guard try await compile(Self.threads, as: "main", in: folder) else { return }
        argv = ["./main"]
      default:
        writeFile(folder + "/main.rs", Self.rust)
        let compiler: ByteString = "rustc -O -C target-feature=+crt-static main.rs"
        var environment: [ByteString] = []
        for name in ["HOME", "PATH", "RUSTUP_HOME", "CARGO_HOME"] as [ByteString] {
          if let value = name.withCString({ getenv($0) }) {
            environment.append(name + "=" + ByteString(String(cString: value)))
          }
        }
        let made = try? await run(["sh", "-c", compiler], environment: environment, workingDirectory: folder)
        guard made?.exit == .exited(0) else { return }
        argv = ["./main"]
      }
      _ = try await run(
        ["strace", "-ff", "-y", "-o", directory + "/strace", "-e", "trace=file"] + argv, workingDirectory: folder,
        isFollowed: false)
      let expected = try Strace(folder: folder)
      let ran = try await run(argv, workingDirectory: folder, tracedRoot: folder)
      let trace = try #require(ran.completion.trace)
      func names(_ use: Trace.Use) -> Set<ByteString> { Set(trace.uses.filter { $0.value.contains(use) }.keys) }
      #expect(names(.read) == expected.read)
      #expect(names(.missing) == expected.missing)
      #expect(expected.read.count > 10 && !expected.missing.isEmpty)
    }
  }

  /// What strace wrote, a file for each thread, so that no line is in two pieces.
  private struct Strace {
    var read: Set<ByteString> = []
    var missing: Set<ByteString> = []

    init(folder: ByteString) throws {
      let stream = try #require(folder.withCString { opendir($0) })
      defer { closedir(stream) }
      while let item = readdir(stream) {
        let name = withUnsafePointer(to: &item.pointee.d_name) { pointer in
          pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
        }
        guard name.hasPrefix("strace.") else { continue }
        let file = (folder + "/" + ByteString(name)).withCString { open($0, O_RDONLY) }
        defer { close(file) }
        for line in String(decoding: PurserExecutionTests.read(file, count: 16 << 20), as: UTF8.self).split(
          separator: "\n")
        {
          add(String(line), String(decoding: folder.bytes, as: UTF8.self))
        }
      }
    }

    // openat(AT_FDCWD</work>, "a", O_RDONLY) = 3</work/a>
    private mutating func add(_ line: String, _ folder: String) {
      guard let open = line.firstIndex(of: "("), let end = line.ranges(of: " = ").last else { return }
      let call = line[..<open]
      guard ["open", "openat", "execve"].contains(call) else { return }
      let quoted = line[open...].split(separator: "\"", omittingEmptySubsequences: false)
      guard quoted.count > 2 else { return }
      var path = String(quoted[1])
      let result = line[end.upperBound...]
      if !path.hasPrefix("/") { path = "\(folder)/\(path)" }
      path.replace("/./", with: "/")
      guard path.hasPrefix(folder + "/") else { return }
      let name = ByteString(String(path.dropFirst(folder.utf8.count + 1)))
      if result.hasPrefix("-1 ENOENT") {
        if !line.contains("O_CREAT") { missing.insert(name) }
      } else if !result.hasPrefix("-"), !line.contains("O_DIRECTORY"), !line.contains("O_WRONLY") {
        read.insert(name)
      }
    }
  }
}

private func realPath(_ path: ByteString) -> ByteString? {
  guard let real = path.withCString({ realpath($0, nil) }) else { return nil }
  defer { free(real) }
  return ByteString(String(cString: real))
}
