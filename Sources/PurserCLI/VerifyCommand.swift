import Purser
import PurserModel
import PurserStore

let verifyCommand = CommandSpec(
  name: "verify", summary: "read and hash every content, and check every record",
  discussion: """
    Names each content and each record that is damaged or missing, with the tasks that it belongs to. A damaged content
    is moved to 'blobs/quarantine', and what needs it is forgotten: it counts as a miss, and is made again. Damaged
    records are left to 'purser doctor --repair'. The exit code is 0 where all is sound, and 1 where something was found.
    """
) { invocation in
  let session = try Session(invocation)
  // Of all storage keys, whatever the pipeline file says.
  let found = try TaskCache(project: session.plainProject(), environment: session.environment).verify()
  if session.console.isJSON {
    session.console.print(found.json)
  } else {
    session.show(found)
  }
  return found.isSound ? 0 : 1
}

extension Session {
  fileprivate func show(_ found: Verification) {
    for content in found.damagedContents {
      let state = content.isMissing ? "missing" : "damaged"
      console.print(
        "\(console.paint(state, .red))  content \(content.digest.hex), \(content.size) bytes\(owners(content.tasks))")
    }
    for damage in found.damagedRecords {
      console.print("\(console.paint("damaged", .red))  \(damage.message)\(owners(damage.tasks))")
    }
    if found.health.state == .damaged {
      for message in found.health.messages { console.print("\(console.paint("damaged", .red))  \(message)") }
    }
    if !found.damagedRecords.isEmpty || found.health.state == .damaged {
      console.note("'purser doctor --repair' sets right what can be")
    }
    guard console.verbosity != .quiet else { return }
    console.print(
      "verified \(found.contents) contents, \(found.bytes) bytes: "
        + (found.isSound ? "all is sound" : "not all is sound"))
  }

  private func owners(_ tasks: [TaskKey]) -> String {
    tasks.isEmpty ? "" : " of " + tasks.map { "\($0.task) (\($0.storageKey), \($0.pipeline))" }.joined(separator: ", ")
  }
}

extension Verification {
  /// The documented JSON form.
  fileprivate var json: JSON {
    func list(_ tasks: [TaskKey]) -> JSON {
      .array(
        tasks.map {
          .object([
            ("storageKey", .string($0.storageKey)), ("pipeline", .string($0.pipeline)), ("task", .string($0.task)),
          ])
        })
    }
    let contents = damagedContents.map { content in
      JSON.object([
        ("kind", .string(content.isMissing ? "missingContent" : "damagedContent")),
        ("digest", .string(content.digest.hex)), ("size", .integer(Int64(clamping: content.size))),
        ("tasks", list(content.tasks)),
      ])
    }
    let records = damagedRecords.map { damage in
      JSON.object([
        ("kind", .string("damagedRecord")), ("message", .string(damage.message)), ("tasks", list(damage.tasks)),
      ])
    }
    let database = health.state == .damaged ? health.messages : []
    return .object([
      ("sound", .bool(isSound)), ("contents", .integer(Int64(self.contents))),
      ("bytes", .integer(Int64(clamping: bytes))),
      (
        "damage",
        .array(
          contents + records
            + database.map { .object([("kind", .string("damagedDatabase")), ("message", .string($0))]) })
      ),
    ])
  }
}
