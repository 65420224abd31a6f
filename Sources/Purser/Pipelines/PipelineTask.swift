import PurserModel
package import PurserPipeline

/// A task of a pipeline: what it is made from, what it makes, and how it is carried out.
public struct PipelineTask: Sendable {
  /// What it is made from and what it makes.
  public var spec: TaskSpec
  /// How it is carried out.
  package var work: Work
  /// The places of the tasks that it comes after.
  package var dependencies: [Int]
  /// How long one attempt may take.
  package var timeout: Duration?
  /// How often it is tried again.
  package var retries: Int
  /// Higher goes first.
  package var priority: Int
  /// Items per process; `nil` where nobody said.
  package var bundleSize: Int?
  /// Items in flight; `nil` for as many as there are places.
  package var groupSize: Int?
  /// Where what is printed is written too: a path from the root, with `${NAME}` for the parts of an item.
  package var log: ByteString?
  /// Constants for a function, by the names of its parameters.
  package var arguments: [Argument]
  /// Data of upstream tasks for a function, by the names of its parameters.
  package var data: [(task: String, name: String)]
  /// Variables that its commands have beside the others.
  var variables: [(name: ByteString, value: ByteString)] = []

  /// How a task is carried out.
  package enum Work: Sendable {
    /// Words, with `${NAME}` for the parts of an item.
    case words([ByteString])
    /// Text for `sh -eu -c`; the shell replaces the variables.
    case shell(ByteString)
    /// A function of a Python file.
    case python(file: ByteString, function: String)
    /// An R script, with words before the interpreter and behind the file.
    case r(prefix: [ByteString], file: ByteString, words: [ByteString])
    /// A closure of this program.
    case closure(TaskClosure)
  }
}

extension PipelineTask {
  /// Whether it is a function, which tells of each of its items as that ends.
  var isFunction: Bool {
    if case .python = work { true } else { false }
  }

  /// The closure that carries it out, if one does.
  var closure: TaskClosure? {
    if case .closure(let closure) = work { closure } else { nil }
  }

  /// Items per process, for so many of them on so many places.
  ///
  /// A function is given several where nobody said how many: starting Python costs more than most items do, and an item
  /// that fails, or a process that is killed, takes no other with it. Not with a time limit, which is for one item then.
  func bundleSize(for count: Int, jobs: Int) -> Int {
    if let bundleSize { return max(1, bundleSize) }
    guard isFunction && timeout == nil || closure != nil else { return 1 }
    return min(100, max(1, count / (jobs * 4)))
  }

  /// How many processes it may have at once; `nil` for as many as there are places.
  var processLimit: Int? { groupSize.map { max(1, $0 / max(1, bundleSize ?? 1)) } }
}

/// A graph of tasks, each in an order in which they can run.
public struct Pipeline: Sendable {
  /// The graph's name.
  package var graph: String
  /// The file's name, for messages.
  package var fileName: String
  /// Whose format the file has.
  package var dialect: PipelineFile.Dialect
  /// Each after what it depends on; otherwise as in the file.
  public package(set) var tasks: PipelineTasks
  /// `config`, as JSON.
  package var config: ConfigValue
  /// The scratch folder, absolute.
  package var scratch: ByteString
  /// How often a run takes a snapshot of its branch; `nil` for at its end only.
  package var snapshotInterval: Duration?

  /// The task's place. Throws `missing`, with a suggestion.
  package func place(of task: String) throws(PurserError) -> Int {
    if let place = tasks.place(of: task) { return place }
    let hint = Suggestion.hint(task, among: tasks.indices.map(tasks.name))
    let name = fileName.isEmpty ? "pipeline '\(graph)'" : "graph '\(graph)' of \(fileName)"
    throw PurserError(.missing, "\(name) has no task '\(task)'\(hint)")
  }

  /// The tasks that are asked for, and all that they depend on; everything for an empty list.
  package func selection(_ targets: [String]) throws(PurserError) -> [Bool] {
    guard !targets.isEmpty else { return Array(repeating: true, count: tasks.count) }
    var selected = Array(repeating: false, count: tasks.count)
    for target in targets { selected[try place(of: target)] = true }
    for place in tasks.indices.reversed() where selected[place] {
      for dependency in tasks.dependencies(of: place) { selected[dependency] = true }
    }
    return selected
  }
}
