import PurserModel

/// Finds tasks that wait for each other.
enum Cycles {
  /// Cycles of a directed graph, none sharing a vertex with one that was found before; each begins with its lowest
  /// vertex. Without recursion, since chains may be as long as the file. O(vertices + edges).
  static func find(_ successors: [[Int]]) -> [[Int]] {
    enum Colour { case white, grey, black }
    var colours = [Colour](repeating: .white, count: successors.count)
    var isReported = [Bool](repeating: false, count: successors.count)
    var cycles: [[Int]] = []
    var path: [(vertex: Int, next: Int)] = []
    for start in successors.indices where colours[start] == .white {
      colours[start] = .grey
      path.append((start, 0))
      while let (vertex, next) = path.last {
        guard next < successors[vertex].count else {
          colours[vertex] = .black
          path.removeLast()
          continue
        }
        path[path.count - 1].next += 1
        let successor = successors[vertex][next]
        switch colours[successor] {
        case .white:
          colours[successor] = .grey
          path.append((successor, 0))
        case .grey where !isReported[successor] && !isReported[vertex]:
          let first = path.lastIndex { $0.vertex == successor } ?? 0
          let cycle = path[first...].map(\.vertex)
          if cycle.contains(where: { isReported[$0] }) { continue }
          for member in cycle { isReported[member] = true }
          cycles.append(rotated(cycle))
        default: continue
        }
      }
    }
    return cycles
  }

  private static func rotated(_ cycle: [Int]) -> [Int] {
    let lowest = cycle.indices.min { cycle[$0] < cycle[$1] } ?? 0
    return Array(cycle[lowest...] + cycle[..<lowest])
  }

  /// `a -> b -> a`, at the first task. A long path is cut in the middle.
  static func diagnostic(_ cycle: [GraphDefinition.Node]) -> Diagnostic {
    var names = (cycle + cycle.prefix(1)).map { ByteString($0.task).printable }
    if names.count > 40 { names.replaceSubrange(20..<(names.count - 20), with: ["… (\(names.count - 40) more)"]) }
    return Diagnostic(
      .error,
      "tasks wait for each other: \(names.joined(separator: " -> ")) (each comes after the next); remove one of these "
        + "dependencies", at: cycle.first?.mark)
  }
}
