import PurserModel

extension PipelineFile {
  /// The most bytes a pipeline file may have.
  public static let maximumSize = 32 << 20

  /// Reads and checks a pipeline file. O(size) but for what budgets bound: nesting, aliases, inheritance.
  ///
  /// Names, keys and cycles refuse the file. What tasks of one graph mean for each other refuses only that graph, and
  /// is what ``checks(graph:)`` says.
  ///
  /// - Parameters:
  ///   - bytes: The file's content: YAML 1.1 in UTF-8.
  ///   - dialect: Whose format it is.
  ///   - defaultGraph: The name of the graph in a `purser.yaml` that defines none.
  /// - Throws: Everything that is wrong with the file, in its order, the warnings too.
  public static func parse(
    _ bytes: [UInt8], dialect: Dialect, defaultGraph: String
  ) throws(PipelineFileError) -> PipelineFile {
    let root: YAMLNode?
    let duplicates: [Diagnostic]
    do {
      (root, duplicates) = try YAMLNode.read(bytes)
    } catch {
      throw PipelineFileError([Diagnostic(.error, error.message, at: error.mark)])
    }
    guard let root, !root.isNull else {
      throw PipelineFileError([Diagnostic(.error, "the file is empty; define 'tasks', and 'graphs' of them", at: nil)])
    }
    var parser = PipelineParser(dialect: dialect, defaultGraph: defaultGraph)
    for duplicate in duplicates { parser.log.report(duplicate) }
    var file = parser.parse(root)
    let diagnostics = parser.log.sorted
    guard parser.log.errorCount == 0 else { throw PipelineFileError(diagnostics) }
    file.warnings = diagnostics
    for index in file.graphs.indices { file.graphs[index].findings = file.findings(file.graphs[index]) }
    return file
  }

  /// The graph of that name; without a name, the only one.
  ///
  /// - Throws: Where there is no such graph, or where there are several and none is named.
  public func graph(named name: String?) throws(PipelineFileError) -> GraphDefinition {
    let names = graphs.map(\.name)
    if let name {
      if let graph = graphs.first(where: { $0.name == name }) { return graph }
      let hint = Suggestion.hint(name, among: names)
      let next = hint.isEmpty ? "; there \(names.count == 1 ? "is" : "are") \(Self.list(names))" : hint
      throw PipelineFileError([Diagnostic(.error, "there is no graph \(quoted(name))\(next)", at: nil)])
    }
    guard let graph = graphs.first, graphs.count == 1 else {
      throw PipelineFileError([
        Diagnostic(
          .error,
          graphs.isEmpty
            ? "there are no graphs; define one"
            : "there are \(graphs.count) graphs; choose one with --pipeline: \(Self.list(names))", at: nil)
      ])
    }
    return graph
  }

  private static func list(_ names: [String]) -> String {
    let shown = names.prefix(20).map { ByteString($0).printable }.joined(separator: ", ")
    return names.count > 20 ? shown + " and \(names.count - 20) more" : shown
  }
}
