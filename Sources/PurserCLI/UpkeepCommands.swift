import Purser
import PurserModel

let gcCommand = CommandSpec(
  name: "gc", summary: "remove results and contents that no record and no recent run names",
  options: [.value("older-than", "DURATION", "keep what is younger (default: 30d)")]
) { invocation in
  let session = try Session(invocation)
  let text = invocation.text("older-than") ?? "30d"
  guard let age = parseDuration(text) else {
    throw UsageError(message: "--older-than is a duration such as 12h or 30d, not '\(text)'", command: "gc")
  }
  let report = try session.cache().collectGarbage(olderThan: age)
  if session.console.isJSON {
    session.console.print(
      .object([
        ("results", .integer(Int64(report.results))), ("blobs", .integer(Int64(report.blobs))),
        ("contentBytes", .integer(Int64(clamping: report.contentBytes))), ("files", .integer(Int64(report.files))),
        ("fileBytes", .integer(Int64(clamping: report.fileBytes))),
      ]))
  } else {
    session.console.print(
      "forgot \(report.results) results and \(report.blobs) contents; removed \(report.files) files, "
        + "\(report.fileBytes / 1024) KiB on disk")
  }
  return 0
}
