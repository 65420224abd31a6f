import PurserPipeline
extension PipelineFile {
  var encoded: [UInt8] { [] }
  init?(encoded: [UInt8]) { return nil }
}
