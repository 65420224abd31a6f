import Synchronization

/// The same work for many values, on several threads.
package enum ParallelMap {
  /// The results in the order of the values. The caller's thread works too; few values start no other.
  package static func map<Value: Sendable, Result: Sendable>(
    _ values: [Value], workers: Int, batch: Int = 8, _ body: @escaping @Sendable (Value) -> Result
  ) -> [Result] {
    let threads = min(workers, values.count / batch)
    guard threads > 1 else { return values.map(body) }
    let results = SharedBuffer<Result?>(count: values.count, nil)
    let next = Atomic(0)
    WorkerThreads.run(threads) {
      while true {
        let start = next.add(batch, ordering: .relaxed).oldValue
        guard start < values.count else { return }
        for index in start..<min(start + batch, values.count) { results[index] = body(values[index]) }
      }
    }
    return (0..<values.count).compactMap { results[$0] }
  }
}
