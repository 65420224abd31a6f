package import PurserModel
package import PurserStore

extension SQLiteRecordStore {
  package func forgetBlob(_ digest: Digest) throws(StoreError) {
    try write { connection throws(StoreError) in
      guard let row = try Self.blobRow(digest, connection) else { return }
      // Results that need it can no longer be restored; records that point to them keep their fingerprint and will be
      // made again.
      try connection.run(
        "DELETE FROM action_results WHERE id IN (SELECT result_id FROM result_blobs WHERE blob_id = ?)",
        [.integer(row)])
      try connection.run(
        "DELETE FROM item_results WHERE id IN (SELECT item_result_id FROM item_blobs WHERE blob_id = ?)",
        [.integer(row)])
      try connection.run("DELETE FROM run_blobs WHERE blob_id = ?", [.integer(row)])
      try connection.run("DELETE FROM blobs WHERE id = ?", [.integer(row)])
    }
  }

  package func collectGarbage(_ request: GarbageRequest) throws(StoreError) -> GarbageReport {
    // Where there is no store, none is made.
    guard try read(else: false, { _ throws(StoreError) in true }) else { return GarbageReport() }
    var report = GarbageReport()
    do throws(StoreError) {
      try write { connection throws(StoreError) in
        defer { try? connection.execute("DROP TABLE temp.held_results; DROP TABLE temp.held_keys") }
        report = try Self.collect(olderThan: request.cutoff, connection)
        try Self.shrink(request, &report, connection)
        try Self.collectComponents(request.treeChildren, connection)
        // What was tried is taken back.
        if request.isTrial { throw StoreError(.busy, "") }
      }
    } catch  where request.isTrial && error.message.isEmpty {
    }
    return report
  }

  private static func collect(olderThan cutoff: String, _ connection: Connection) throws(StoreError) -> GarbageReport {
    var report = GarbageReport()
    // Nobody asked for these by name, and so they are as old as what they hold.
    try connection.run(
      "DELETE FROM snapshots WHERE kind IN ('run', 'interval') AND created_at < ?", [.text(cutoff)])
    try listHeldBySnapshots(connection)
    try connection.run(
      """
      DELETE FROM action_results WHERE created_at < ? AND id NOT IN (SELECT id FROM temp.held_results)
        AND NOT EXISTS (SELECT 1 FROM task_details d WHERE d.result_id = action_results.id)
        AND NOT EXISTS (SELECT 1 FROM acceptances a WHERE a.result_id = action_results.id)
        AND NOT EXISTS (
          SELECT 1 FROM task_runs n WHERE n.status = 'RUNNING' AND n.finished_at IS NULL AND n.active = 1
            AND n.action_key = action_results.action_key)
      """, [.text(cutoff)])
    report.results = connection.changedRows
    report.results += try collectItemResults(olderThan: cutoff, connection)
    try connection.run(
      "DELETE FROM run_blobs WHERE run_id IN (SELECT id FROM task_runs WHERE finished_at < ?)", [.text(cutoff)])
    let unused = """
      NOT EXISTS (SELECT 1 FROM result_blobs WHERE blob_id = blobs.id)
        AND NOT EXISTS (SELECT 1 FROM item_blobs WHERE blob_id = blobs.id)
        AND NOT EXISTS (SELECT 1 FROM run_blobs WHERE blob_id = blobs.id)
      """
    do {
      var statement = try connection.statement("SELECT digest, size, content IS NULL FROM blobs WHERE \(unused)")
      while try statement.step() {
        report.bytes += UInt64(clamping: statement.integer(1))
        if statement.integer(2) != 0, let digest = statement.digest(0) { report.files.insert(digest) }
      }
    }
    try connection.run("DELETE FROM blobs WHERE \(unused)", [])
    report.blobs = connection.changedRows
    return report
  }

  /// Collects younger and younger results until the contents take no more than they may.
  private static func shrink(
    _ request: GarbageRequest, _ report: inout GarbageReport, _ connection: Connection
  ) throws(StoreError) {
    guard let maximum = request.maximumBytes else { return }
    var times: [String] = []
    do {
      var statement = try connection.statement(
        "SELECT created_at FROM action_results UNION ALL SELECT created_at FROM item_results ORDER BY 1")
      while try statement.step() { times.append(statement.text(0) ?? "") }
    }
    var sizes: [Digest: UInt64] = [:]
    for step in 0...8 {
      var total: UInt64 = 0
      var statement = try connection.statement("SELECT digest, length(content) FROM blobs")
      while try statement.step() {
        guard let digest = statement.digest(0) else { continue }
        let size = statement.integer(orNil: 1).map { UInt64(clamping: $0) } ?? sizes[digest] ?? request.fileSize(digest)
        sizes[digest] = size
        total += size
      }
      report.keptBytes = total
      if total <= maximum || step == 8 { return }
      // In the end all that no record holds on to.
      let place = times.count * (step + 1) / 8
      report.add(try collect(olderThan: place < times.count ? times[place] : "~", connection))
    }
  }

  private static func collectComponents(
    _ treeChildren: @Sendable ([UInt8]) -> [Digest], _ connection: Connection
  ) throws(StoreError) {
    try connection.run(
      """
      DELETE FROM fingerprints WHERE substr(action_key, 1, 8) NOT IN (SELECT key FROM temp.held_keys) AND action_key NOT IN (
        SELECT action_key FROM task_details WHERE action_key IS NOT NULL UNION SELECT action_key FROM action_results
        UNION SELECT action_key FROM acceptances)
      """, [])
    try connection.run(
      """
      DELETE FROM component_sets WHERE id NOT IN (
        SELECT code_set FROM fingerprints UNION SELECT inputs_set FROM fingerprints
        UNION SELECT data_set FROM fingerprints)
      """, [])
    var used: Set<Int64> = []
    do {
      var statement = try connection.statement("SELECT members FROM component_sets")
      while try statement.step() { used.formUnion(Varint.decode(statement.bytes(0) ?? [])) }
    }
    var unused: [Int64] = []
    var trees: Set<Digest> = []
    do {
      var statement = try connection.statement("SELECT id, tag, value FROM components")
      while try statement.step() {
        let id = statement.integer(0)
        if !used.contains(id) {
          unused.append(id)
        } else if case .digest(let root)? = Component.Value(encoded: statement.bytes(2) ?? []),
          [Int64(Component.Tag.codeTree.rawValue), Int64(Component.Tag.inputTree.rawValue)]
            .contains(statement.integer(1))
        {
          trees.insert(root)
        }
      }
    }
    for id in unused { try connection.run("DELETE FROM components WHERE id = ?", [.integer(id)]) }
    connection.interned = InternedRows()
    try collectTreeNodes(reachableFrom: trees, treeChildren, connection)
  }

  private static func collectTreeNodes(
    reachableFrom roots: Set<Digest>, _ treeChildren: @Sendable ([UInt8]) -> [Digest], _ connection: Connection
  ) throws(StoreError) {
    var kept: Set<Digest> = []
    var pending = Array(roots)
    while let digest = pending.popLast() {
      guard kept.insert(digest).inserted else { continue }
      var statement = try connection.statement("SELECT listing FROM tree_nodes WHERE digest = ?")
      try statement.bind([.digest(digest)])
      if try statement.step() { pending += treeChildren(statement.bytes(0) ?? []) }
    }
    var unused: [Digest] = []
    do {
      var statement = try connection.statement("SELECT digest FROM tree_nodes")
      while try statement.step() {
        if let digest = statement.digest(0), !kept.contains(digest) { unused.append(digest) }
      }
    }
    for digest in unused { try connection.run("DELETE FROM tree_nodes WHERE digest = ?", [.digest(digest)]) }
  }
}
