/// The keys of a task.
enum TaskKey: String, CaseIterable {
  case file
  case command
  case after
  case code
  case inputs
  case outputs
  case exclude
  case env
  case tools
  case args
  case cacheResult = "cache_result"
  case iterableItem = "iterable_item"
  case mapOver = "map_over"
  case bundleSize = "bundle_size"
  case groupSize = "group_size"
  case prefixArgs = "prefix_args"
  case cliArgs = "cli_args"
  case logs
  case tags
  case compute
  case timeout
  case retries
  case priority
  case pure
  case keepOutputs = "keep_outputs"
  case codeDigest = "code_digest"
  case depfile
  case trace
}

/// The keys at the top of a file.
enum RootKey: String, CaseIterable {
  case settings
  case config
  case graphs
  case tasks
}

/// The keys of a graph.
enum GraphKey: String, CaseIterable {
  case extends
  case config
  case tasks
}

/// The keys of a task's entry in a graph.
enum NodeKey: String, CaseIterable {
  case deps
  case args
}

/// The keys of an entry of `extends`.
enum ParentKey: String, CaseIterable {
  case graph
  case args
}

/// The keys of `settings`. All from `flows_dir` on are kptn's own, and change nothing here.
enum SettingKey: String, CaseIterable {
  case cacheNamespace = "cache_namespace"
  case sourceRoots = "source_roots"
  case storageKeys = "storage_keys"
  case code
  case codeDigest = "code_digest"
  case snapshotEvery = "snapshot_every"
  case pyTasksDir = "py_tasks_dir"
  case rTasksDir = "r_tasks_dir"
  case flowsDir = "flows_dir"
  case flowType = "flow_type"
  case db
  case duckdbTasksDir = "duckdb_tasks_dir"
  case importsSlot = "imports_slot"
  case storageKey = "storage_key"
  case branch
  case logging
}
