import PurserHashing
import PurserModel
package import PurserPipeline

/// A graph of the pipeline file that was made ready before: names, dependencies, and each task's definition, which is
/// read when the task is asked for. It spares the next command the reading and checking of 10,000 tasks, of which it
/// needs three.
///
/// A flat file beside the kept plan, for the same key (see ``PlanCache/Place``), derived from the pipeline file: written
/// once the whole graph was made ready without an error or a warning, so that each of its tasks can be. Whatever is
/// damaged, or of another key or version, counts as missing: then the pipeline file is read.
///
/// Format, version 1, integers little-endian: "PURSGRPH", a checksum over all that follows (u64), version, number of
/// tasks, of dependencies, length of the settings, of the names, of the tasks (u32 each), the key (32 bytes); then, each
/// filled up to 8 bytes, the settings (a ``PipelineFile`` without tasks, with one graph without nodes), where each
/// task's dependencies begin and the last ones end, the dependencies by place, where each name begins and the last one
/// ends, the names, where each task begins and the last one ends (u32 each), and the tasks (see ``GraphMemberEncoder``).
package final class KeptGraph: @unchecked Sendable {
  // Guard: the bytes are only read.
  private static let version: UInt32 = 1

  /// The file without its tasks.
  package let file: PipelineFile
  /// The graph without its nodes.
  package let graph: GraphDefinition
  let taskCount: Int
  private let bytes: UnsafeRawBufferPointer
  private let names: Table
  private let members: Table
  /// Where each task's begin in `dependencies`; and where the last one's end.
  private let starts: [Int]
  private let dependencies: [Int]

  /// Reads a kept graph; `nil` where there is none, or it is damaged, or of another key. O(tasks + dependencies).
  package init?(at place: PlanCache.Place) {
    guard let bytes = StateFile.read(place.graphPath, .graph, version: Self.version, key: place.key) else { return nil }
    guard let parts = Parts(bytes), let graph = parts.file.graphs.first else {
      bytes.deallocate()
      return nil
    }
    self.bytes = bytes
    (file, self.graph, taskCount) = (parts.file, graph, parts.taskCount)
    (names, members, starts, dependencies) = (parts.names, parts.members, parts.starts, parts.dependencies)
  }

  deinit {
    bytes.deallocate()
  }

  func name(of place: Int) -> String { String(decoding: names[place], as: UTF8.self) }

  func dependencies(of place: Int) -> ArraySlice<Int> { dependencies[starts[place]..<starts[place + 1]] }

  /// A task as the file defines it; `nil` where that is not what it should be.
  func member(at place: Int) -> GraphMember? {
    guard let member = GraphMember(encoded: members[place]), member.definition.name == name(of: place),
      member.node.task == member.definition.name, member.node.dependencies == dependencies(of: place).map(name(of:))
    else { return nil }
    return member
  }

  /// Pieces of bytes, one after the other.
  private struct Table {
    let offsets: UnsafeRawBufferPointer
    let content: UnsafeRawBufferPointer

    /// `nil` where a piece would not lie within the content.
    init?(offsets: UnsafeRawBufferPointer, content: UnsafeRawBufferPointer) {
      (self.offsets, self.content) = (offsets, content)
      var last = 0
      for index in 0..<offsets.count / 4 {
        guard (last...content.count).contains(offset(index)) else { return nil }
        last = offset(index)
      }
    }

    private func offset(_ index: Int) -> Int { StateFile.number(in: offsets, at: index * 4) }

    subscript(index: Int) -> UnsafeRawBufferPointer {
      UnsafeRawBufferPointer(rebasing: content[offset(index)..<offset(index + 1)])
    }
  }

  private struct Parts {
    let taskCount: Int
    let file: PipelineFile
    let starts: [Int]
    let dependencies: [Int]
    let names: Table
    let members: Table

    init?(_ bytes: UnsafeRawBufferPointer) {
      func number(_ offset: Int) -> Int { StateFile.number(in: bytes, at: offset) }
      taskCount = number(20)
      let lengths = [
        number(28), (taskCount + 1) * 4, number(24) * 4, (taskCount + 1) * 4, number(32), (taskCount + 1) * 4,
        number(36),
      ]
      guard StateFile.contentStart + lengths.reduce(0, { $0 + ($1 + 7) / 8 * 8 }) == bytes.count else { return nil }
      var end = StateFile.contentStart
      let parts = lengths.map { length in
        defer { end += (length + 7) / 8 * 8 }
        return UnsafeRawBufferPointer(rebasing: bytes[end..<end + length])
      }
      func integers(_ part: UnsafeRawBufferPointer) -> [Int] {
        part.bindMemory(to: UInt32.self).map { Int(UInt32(littleEndian: $0)) }
      }
      starts = integers(parts[1])
      dependencies = integers(parts[2])
      guard let file = PipelineFile(encoded: Array(parts[0])), file.tasks.isEmpty, file.graphs.count == 1,
        let names = Table(offsets: parts[3], content: parts[4]),
        let members = Table(offsets: parts[5], content: parts[6]), Self.areSound(starts, dependencies)
      else { return nil }
      (self.file, self.names, self.members) = (file, names, members)
    }

    /// Whether each task comes after what it depends on.
    private static func areSound(_ starts: [Int], _ dependencies: [Int]) -> Bool {
      guard starts.first == 0, starts.last == dependencies.count else { return false }
      for place in 0..<starts.count - 1 {
        guard starts[place] <= starts[place + 1], starts[place + 1] <= dependencies.count else { return false }
        for index in starts[place]..<starts[place + 1] where dependencies[index] >= place { return false }
      }
      return true
    }
  }

  // MARK: Writing

  /// Keeps a graph that was made ready. Failing costs time later.
  package static func save(
    _ tasks: PipelineTasks, _ graph: GraphDefinition, of file: PipelineFile, at place: PlanCache.Place
  ) {
    var definitions: [String: Int] = [:]
    for (index, task) in file.tasks.enumerated() { definitions[task.name] = index }
    var nodes: [String: Int] = [:]
    for (index, node) in graph.nodes.enumerated() { nodes[node.task] = index }
    var starts = ByteWriter()
    var dependencies = ByteWriter()
    var (nameOffsets, names) = (ByteWriter(), ByteWriter())
    var (offsets, members) = (ByteWriter(), GraphMemberEncoder())
    var count = 0
    for task in tasks {
      guard let definition = definitions[task.spec.id], let node = nodes[task.spec.id] else { return }
      starts.append(littleEndian: UInt32(count))
      nameOffsets.append(littleEndian: UInt32(names.bytes.count))
      offsets.append(littleEndian: UInt32(members.bytes.count))
      for dependency in task.dependencies { dependencies.append(littleEndian: UInt32(dependency)) }
      count += task.dependencies.count
      names.append(Array(task.spec.id.utf8))
      members.append(file.tasks[definition], graph.nodes[node])
    }
    starts.append(littleEndian: UInt32(count))
    nameOffsets.append(littleEndian: UInt32(names.bytes.count))
    offsets.append(littleEndian: UInt32(members.bytes.count))
    var settings = file
    settings.tasks = []
    settings.graphs = [GraphDefinition(name: graph.name, nodes: [], config: graph.config, mark: graph.mark)]
    let head = settings.encoded
    var body = ByteWriter()
    body.append(Array(repeating: 0, count: StateFile.headerSize))
    for number in [Int(version), tasks.count, count, head.count, names.bytes.count, members.bytes.count] {
      body.append(littleEndian: UInt32(number))
    }
    body.append(place.key)
    for part in [head, starts.bytes, dependencies.bytes, nameOffsets.bytes, names.bytes, offsets.bytes, members.bytes] {
      body.append(part)
      body.append(Array(repeating: 0, count: (8 - part.count % 8) % 8))
    }
    StateFile.replace(place.graphPath, .graph, with: body.bytes)
  }
}
