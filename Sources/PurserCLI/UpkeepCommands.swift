import Purser
import PurserModel

let gcCommand = CommandSpec(
  name: "gc", summary: "remove results and contents that no record and no recent run names",
  options: [
    .value("max-age", "DURATION", "what is younger stays (default: 30d)"),
    .value("older-than", "DURATION", "the same"),
    .value("max-size", "SIZE", "contents may take so much on disk: unneeded results go, oldest first, until they do"),
    .flag("dry-run", "say only what would go"),
  ],
  discussion: """
    What a task's record names stays, whatever the budget is: 'purser branch drop' removes the records of a branch. A SIZE
    is a number of bytes, or one with K, M, G or T (of 1024). Safe beside running tasks: a file that was written to within
    the last hour stays, and so does the result that a run is putting back. Removed as well: what has been in quarantine,
    plans and hits that were kept, for longer than the age; all backups but the last 3; and caches above 64 MiB.
    """
) { invocation in
  let session = try Session(invocation)
  let option = invocation.has("max-age") ? "max-age" : "older-than"
  let text = invocation.text(option) ?? "30d"
  guard let age = parseDuration(text) else {
    throw UsageError(message: "--\(option) is a duration such as 12h or 30d, not '\(text)'", command: "gc")
  }
  var options = GarbageOptions(maximumAge: age)
  options.isTrial = invocation.has("dry-run")
  options.maximumBytes = try invocation.text("max-size").map { text in
    guard let size = parseSize(text) else {
      throw UsageError(message: "--max-size is a size such as 500M or 20G, not '\(text)'", command: "gc")
    }
    return size
  }
  let report = try session.cache().collectGarbage(options)
  let isOver = options.maximumBytes.map { report.keptBytes ?? 0 > $0 } ?? false
  if session.console.isJSON {
    session.console.print(
      .object([
        ("results", .integer(Int64(report.results))), ("blobs", .integer(Int64(report.blobs))),
        ("contentBytes", .integer(Int64(clamping: report.contentBytes))), ("files", .integer(Int64(report.files))),
        ("fileBytes", .integer(Int64(clamping: report.fileBytes))), ("youngFiles", .integer(Int64(report.youngFiles))),
        ("keptBytes", report.keptBytes.map { .integer(Int64(clamping: $0)) } ?? .null),
        ("dryRun", .bool(options.isTrial)),
      ]))
  } else if session.console.verbosity != .quiet {
    let (forgot, removed) = options.isTrial ? ("would forget", "would remove") : ("forgot", "removed")
    session.console.print(
      "\(forgot) \(report.results) results and \(report.blobs) contents; \(removed) \(report.files) files, "
        + "\(report.fileBytes / 1024) KiB on disk")
  }
  if report.youngFiles > 0, session.console.verbosity != .quiet {
    session.console.note(
      "\(report.youngFiles) files of contents stay until they are an hour old: somebody may be at them")
  }
  if isOver {
    session.console.warn(
      "\((report.keptBytes ?? 0) / 1024) KiB of contents are still named by records or recent runs; 'purser branch' "
        + "tells by which, 'purser branch drop' removes those of a branch")
  }
  return 0
}

/// `1000`, `500K`, `20G`, `1TiB`; `nil` for anything else, or nothing.
func parseSize(_ text: String) -> UInt64? {
  let digits = text.prefix { $0.isASCII && $0.isNumber }
  guard let number = UInt64(digits) else { return nil }
  var unit = text.dropFirst(digits.count).uppercased()
  if unit.hasSuffix("IB") { unit.removeLast(2) } else if unit.hasSuffix("B") { unit.removeLast() }
  let shift: UInt64
  switch unit {
  case "": shift = 0
  case "K": shift = 10
  case "M": shift = 20
  case "G": shift = 30
  case "T": shift = 40
  default: return nil
  }
  let (product, overflow) = number.multipliedReportingOverflow(by: 1 << shift)
  return overflow ? nil : product
}
