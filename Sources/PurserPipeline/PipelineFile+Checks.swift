extension PipelineFile {
  public func checks(graph name: String) -> [Diagnostic] { [] }
}
