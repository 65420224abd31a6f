import CLinux
import Glibc
import PurserHashing
import PurserModel
import PurserSQLite
import PurserStore

/// One thing that was looked at.
package struct Finding: Sendable {
  /// How it is.
  package enum State: String, Sendable {
    case ok
    /// Worth knowing; nothing is wrong.
    case note
    case problem
    /// It was a problem until just now.
    case repaired
  }

  /// What was looked at, a word.
  package var check: String
  package var state: State
  /// What is so.
  package var message: String
  /// What to do about a problem.
  package var advice: String?
}

/// Looks at all that a store rests on, and repairs what can be.
package struct Doctor {
  let cache: TaskCache
  /// Whether to repair.
  let isRepairing: Bool
  private(set) package var findings: [Finding] = []

  /// What is older than this, in seconds, is no running process's.
  private static let leftoverAge = 3600
  private static let leastFreeBytes: UInt64 = 256 << 20

  package init(_ cache: TaskCache, repairing isRepairing: Bool) {
    self.cache = cache
    self.isRepairing = isRepairing
  }

  private var store: ByteString { cache.project.store }
  private var hasStore: Bool { FileKind.of(store) == .directory }

  /// Whether nothing is wrong, or not any more.
  package var isHealthy: Bool { !findings.contains { $0.state == .problem } }

  package mutating func examine() throws(PurserError) {
    if hasStore {
      examinePermissions()
      examineFileSystem()
      try examineDatabase()
      examineDerivedFiles()
      examineLeftovers()
    } else {
      add("store", .note, "there is no store yet at '\(store.printable)'")
    }
    examineLibrary()
    examineClock()
    examineTools()
  }

  /// What a search for secrets came to, as findings.
  package mutating func add(_ search: SecretSearch) {
    if !search.skipped.isEmpty {
      add(
        "secrets", .note,
        "not looked for, since unset here or shorter than six bytes: "
          + search.skipped.map(\.printable).joined(separator: ", "))
    }
    for exposure in search.exposures {
      add(
        "secrets", .problem,
        "the value of \(exposure.name.printable) stands in \(exposure.place), task '\(exposure.task.task)' on "
          + "'\(exposure.task.storageKey)'",
        "change what writes it there and run it again; 'purser gc' removes the old content when it is old enough")
    }
    if search.exposures.isEmpty {
      let names = search.names.map(\.printable).joined(separator: ", ")
      add(
        "secrets", .ok,
        search.names.isEmpty
          ? "no declared variable has a value here to be looked for"
          : "\(search.contents) contents hold no value of \(names)")
    }
  }

  private mutating func add(_ check: String, _ state: Finding.State, _ message: String, _ advice: String? = nil) {
    findings.append(Finding(check: check, state: state, message: message, advice: advice))
  }

  /// A problem that `body` can repair.
  private mutating func add(_ check: String, _ message: String, repairable advice: String, _ body: () -> Bool) {
    if isRepairing, body() {
      add(check, .repaired, "\(message): \(advice)")
    } else {
      add(check, .problem, message, "'purser doctor --repair' can help: \(advice)")
    }
  }

  private static func status(_ path: ByteString) -> stat? {
    var info = stat()
    return path.withCString { lstat($0, &info) } == 0 ? info : nil
  }

  // MARK: Permissions

  private mutating func examinePermissions() {
    let before = findings.count
    var paths: [(path: ByteString, mode: mode_t)] = [(store, 0o700)]
    for name: ByteString in ["blobs", "tmp", "blobs/quarantine"] { paths.append((store + "/" + name, 0o700)) }
    for name: ByteString in [
      "records.db", "records.db-wal", "records.db-shm", "write.lock", "key", "stat-cache", "folder-cache",
    ] {
      paths.append((store + "/" + name, 0o600))
    }
    for (path, mode) in paths {
      guard let info = Self.status(path) else { continue }
      if info.st_uid != geteuid() {
        add(
          "permissions", .problem, "'\(path.printable)' belongs to user \(info.st_uid), not to \(geteuid())",
          "give it back with chown, or name another store with --store")
        continue
      }
      let isOpen = info.st_mode & 0o077 != 0
      guard isOpen || info.st_mode & mode != mode else { continue }
      let digits = String(info.st_mode & 0o7777, radix: 8)
      add(
        "permissions", "'\(path.printable)' has mode \(digits)", repairable: "give it \(String(mode, radix: 8))"
      ) { path.withCString { chmod($0, mode) } == 0 }
    }
    let path = store + "/key"
    if let info = Self.status(path), info.st_size != SecretKey.size {
      add(
        "key", "the key of the store is damaged",
        repairable: "set it aside; tasks with declared environment variables run once more"
      ) {
        path.withCString { from in (path + ".damaged").withCString { rename(from, $0) } } == 0
      }
    }
    if findings.count == before { add("permissions", .ok, "the store is yours, and closed to others") }
  }

  // MARK: File system

  private mutating func examineFileSystem() {
    let folder = store.withCString { open($0, O_RDONLY | O_DIRECTORY | O_CLOEXEC) }
    guard folder >= 0 else {
      return add("file system", .problem, "the store cannot be opened: \(String(cString: strerror(errno)))")
    }
    defer { close(folder) }
    let kind = Self.name(ofFileSystem: purser_filesystem_type(folder))
    if store.withCString({ purser_is_network_filesystem($0) }) != 0 {
      add(
        "file system", .problem, "the store is on a network file system (\(kind)), where locks cannot be trusted",
        "name a local folder with --store or PURSER_STORE")
    }
    var space = statvfs()
    if fstatvfs(folder, &space) == 0 {
      let free = UInt64(space.f_bavail) * UInt64(space.f_frsize)
      let percent = space.f_files > 0 ? Int(space.f_favail * 100 / space.f_files) : 100
      if free < Self.leastFreeBytes {
        add(
          "space", .problem, "\(free >> 20) MiB are free where the store is",
          "free some space, or run 'purser gc --max-size SIZE'")
      } else if percent < 2 {
        add("space", .problem, "\(percent) % of the file system's inodes are free", "remove some files")
      } else {
        add("space", .ok, "\(free >> 20) MiB are free")
      }
    }
    if let why = probe() {
      add(
        "file system", .problem, "a file cannot be written, synced and renamed in the store (\(kind)): \(why)",
        "make it writable, or name another one with --store")
    } else {
      add("file system", .ok, "\(kind): writing, syncing and renaming work")
    }
  }

  /// Does what publishing a content does; what went wrong.
  private func probe() -> String? {
    let (from, to) = (store + ByteString("/doctor-\(getpid())"), store + ByteString("/doctor-\(getpid()).renamed"))
    defer { for path in [from, to] { _ = path.withCString { unlink($0) } } }
    let file = from.withCString { open($0, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600) }
    guard file >= 0 else { return String(cString: strerror(errno)) }
    defer { close(file) }
    guard write(file, "probe", 5) == 5, fsync(file) == 0,
      from.withCString({ from in to.withCString { rename(from, $0) } }) == 0
    else { return String(cString: strerror(errno)) }
    let folder = store.withCString { open($0, O_RDONLY | O_DIRECTORY | O_CLOEXEC) }
    defer { close(folder) }
    return fsync(folder) == 0 ? nil : String(cString: strerror(errno))
  }

  private static func name(ofFileSystem type: Int64) -> String {
    switch type {
    case 0xef53: "ext4"
    case 0x5846_5342: "xfs"
    case 0x9123_683e: "btrfs"
    case 0x0102_1994: "tmpfs"
    case 0x794c_7630: "overlayfs"
    case 0x2fc1_2fc1: "zfs"
    case 0xf2f5_2010: "f2fs"
    case 0x6969: "nfs"
    case 0x0102_1997: "9p"
    case 0x6573_5546: "fuse"
    default: "type 0x" + String(UInt64(bitPattern: type), radix: 16)
    }
  }

  // MARK: Database

  private mutating func examineDatabase() throws(PurserError) {
    guard let inspected = cache.records as? any InspectedStore else { return }
    let health = inspected.health()
    switch health.state {
    case .absent: add("database", .note, "nothing is recorded yet")
    case .foreign, .unreadable:
      add(
        "database", .problem, health.messages.joined(separator: "; "),
        "it is left as it is; move it away, or name another store with --store")
    case .sound:
      add("database", .ok, "sound, schema \(health.version)")
      try examineRecords(inspected)
    case .damaged:
      let what = health.messages.prefix(5).joined(separator: "; ")
      let more = health.messages.count > 5 ? "; and \(health.messages.count - 5) more" : ""
      guard isRepairing else {
        return add(
          "database", .problem, "the records are damaged: \(what)\(more)",
          "'purser doctor --repair' sets them aside, and saves into a new store what can be read of them")
      }
      let folder = store + ByteString("/damaged-\(TaskCache.now().filter(\.isNumber))")
      let report = try cache.asking { try inspected.salvage(settingAsideIn: folder) }
      let rows = report.saved.reduce(0) { $0 + $1.rows }
      var message =
        "the records were damaged (\(what)\(more)): what was there is in '\(folder.printable)', \(rows) "
        + "rows of \(report.saved.count) tables were saved"
      if !report.incomplete.isEmpty { message += "; rows are lost of \(report.incomplete.joined(separator: ", "))" }
      if report.hasVoidedResults { message += "; marks were lost, so that every task runs once more" }
      add("database", .repaired, message)
      try examineRecords(inspected)
      // A content that is damaged would be found, and warned about, by whoever needs it.
      let contents = try cache.verify().damagedContents
      if !contents.isEmpty { add("contents", .repaired, "\(contents.count) damaged contents were forgotten") }
    }
  }

  private mutating func examineRecords(_ inspected: any InspectedStore) throws(PurserError) {
    let damage = try cache.asking { try inspected.damagedRecords(TaskCache.recordDigests) }
    guard !damage.isEmpty else { return add("records", .ok, "every reference leads somewhere") }
    let what = damage.prefix(5).map(\.message).joined(separator: "; ")
    let more = damage.count > 5 ? "; and \(damage.count - 5) more" : ""
    add("records", what + more, repairable: "forget what is damaged, so that it is made again") {
      (try? inspected.forget(damage)) != nil
    }
  }

  private mutating func examineLibrary() {
    let version = SQLiteRecordStore.libraryVersion
    if version.number < 3_051_003 {
      add(
        "sqlite", .note,
        "SQLite \(version.text) has the race at the reset of a write-ahead log (mended in 3.51.3); Purser's own writers "
          + "go one by one, so keep other programs from writing to records.db while Purser runs")
    } else {
      add("sqlite", .ok, "SQLite \(version.text)")
    }
  }

  // MARK: Files

  private mutating func examineDerivedFiles() {
    let before = findings.count
    let store = store
    func drop(_ name: ByteString) -> Bool { (store + "/" + name).withCString { unlink($0) } == 0 }
    if StatCache.isDamaged(at: store + "/stat-cache") {
      add("stat-cache", "the digests of files are damaged", repairable: "drop them; files are hashed again") {
        drop("stat-cache")
      }
    }
    for name in StoreFolder.names(in: store)
    where name.hasPrefix("plan-") && StateFile.isDamaged(store + "/" + name) {
      add("plans", "the kept plan '\(name.printable)' is damaged", repairable: "drop it; the next one is made anew") {
        drop(name)
      }
    }
    if findings.count == before { add("derived files", .ok, "whole") }
  }

  private mutating func examineLeftovers() {
    let now = time(nil)
    var old: [ByteString] = []
    func look(_ folder: ByteString, _ isWanted: (ByteString) -> Bool) {
      for name in StoreFolder.names(in: folder) where isWanted(name) {
        guard let info = Self.status(folder + "/" + name), info.st_mode & S_IFMT == S_IFREG,
          info.st_mtim.tv_sec < now - Self.leftoverAge, info.st_ctim.tv_sec < now - Self.leftoverAge
        else { continue }
        old.append(folder + "/" + name)
      }
    }
    look(store + "/tmp") { _ in true }
    look(store) { name in
      let text = name.escaped
      return text.hasPrefix("doctor-") || text.hasSuffix(".purser-tmp")
        || text.hasPrefix("key.") && !text.hasSuffix("damaged")
        || text.hasSuffix(".new") || text.hasPrefix("records.db.")
    }
    guard !old.isEmpty else { return add("leftovers", .ok, "none") }
    add("leftovers", "\(old.count) files were left by processes that were killed", repairable: "remove them") {
      old.allSatisfy { $0.withCString { unlink($0) } == 0 }
    }
  }

  // MARK: Around the store

  private mutating func examineClock() {
    var now = timespec()
    clock_gettime(CLOCK_REALTIME, &now)
    let latest = hasStore ? Self.latestChange(in: store) : nil
    if let latest, latest.seconds > Int(now.tv_sec) + 2 {
      return add(
        "clock", .problem,
        "'\(latest.path.printable)' was changed \(latest.seconds - Int(now.tv_sec)) s in the future: the clock was set back",
        "set the clock; until then such files are hashed every time, and leases may last too long")
    }
    guard hasStore else { return add("clock", .ok, TaskCache.now()) }
    let folder = store.withCString { open($0, O_RDONLY | O_DIRECTORY | O_CLOEXEC) }
    defer { close(folder) }
    let granularity = SystemFileClock().granularity(ofDescriptor: folder, device: 0)
    if granularity >= SystemFileClock.coarsest {
      add("clock", .note, "file times here may be 2 s coarse: what was just written is hashed again")
    } else {
      add("clock", .ok, "in line with the files'; their times are told apart by \(granularity / 1_000_000) ms")
    }
  }

  /// The latest time of a file of the store.
  private static func latestChange(in store: ByteString) -> (path: ByteString, seconds: Int)? {
    StoreFolder.names(in: store).compactMap { name in
      let path = store + "/" + name
      return status(path).map { (path, max($0.st_mtim.tv_sec, $0.st_ctim.tv_sec)) }
    }.max { $0.1 < $1.1 }
  }

  private mutating func examineTools() {
    let folders = (cache.environment["PATH"] ?? "/usr/bin:/bin").bytes.split(separator: UInt8(ascii: ":"))
    func find(_ name: String) -> ByteString? {
      folders.lazy.map { ByteString($0) + ByteString("/" + name) }.first { $0.withCString { access($0, X_OK) } == 0 }
    }
    for (tool, purpose) in [
      ("sh", "commands that are one text"), ("git", "what a commit holds"), ("python3", "tasks in Python"),
      ("Rscript", "tasks in R"),
    ] {
      if let path = find(tool) {
        add("tools", .ok, "\(tool) is \(path.printable)")
      } else if tool == "sh" {
        add("tools", .problem, "there is no sh in PATH, which \(purpose) need", "put its folder into PATH")
      } else {
        add("tools", .note, "there is no \(tool) in PATH, which \(purpose) would need")
      }
    }
  }
}

extension TaskCache {
  /// Looks at all that the store rests on; with `isRepairing`, repairs what can be.
  package func examine(repairing isRepairing: Bool) throws(PurserError) -> Doctor {
    var doctor = Doctor(self, repairing: isRepairing)
    try doctor.examine()
    return doctor
  }
}
