enum PipelineSchema { static let json = "{}" }
