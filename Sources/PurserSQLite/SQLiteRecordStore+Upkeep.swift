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

  package func collectGarbage(
    olderThan cutoff: String, treeChildren: @Sendable ([UInt8]) -> [Digest]
  ) throws(StoreError) -> GarbageReport {
    try write { connection throws(StoreError) in
      var report = GarbageReport()
      // What may be being put back just now stays: its contents are read, and the record will hold on to it.
      try connection.run(
        """
        DELETE FROM action_results WHERE created_at < ?
          AND NOT EXISTS (SELECT 1 FROM task_details d WHERE d.result_id = action_results.id)
          AND NOT EXISTS (SELECT 1 FROM acceptances a WHERE a.result_id = action_results.id)
          AND action_key NOT IN (
            SELECT n.action_key FROM task_locks l JOIN task_runs n ON n.id = l.run_id WHERE n.action_key IS NOT NULL)
        """, [.text(cutoff)])
      report.results = connection.changedRows
      report.results += try Self.collectItemResults(olderThan: cutoff, connection)
      try connection.run(
        "DELETE FROM run_blobs WHERE run_id IN (SELECT id FROM task_runs WHERE finished_at < ?)", [.text(cutoff)])
      let unused = """
        NOT EXISTS (SELECT 1 FROM result_blobs WHERE blob_id = blobs.id)
          AND NOT EXISTS (SELECT 1 FROM item_blobs WHERE blob_id = blobs.id)
          AND NOT EXISTS (SELECT 1 FROM run_blobs WHERE blob_id = blobs.id)
        """
      report.bytes = UInt64(
        try connection.integer("SELECT coalesce(sum(size), 0) FROM blobs WHERE \(unused)") ?? 0)
      try connection.run("DELETE FROM blobs WHERE \(unused)", [])
      report.blobs = connection.changedRows
      try Self.collectComponents(treeChildren, connection)
      return report
    }
  }

  private static func collectComponents(
    _ treeChildren: @Sendable ([UInt8]) -> [Digest], _ connection: Connection
  ) throws(StoreError) {
    try connection.run(
      """
      DELETE FROM fingerprints WHERE action_key NOT IN (
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
