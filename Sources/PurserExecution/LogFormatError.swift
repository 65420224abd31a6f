/// A captured log whose frames are damaged.
package struct LogFormatError: Error, Sendable, Equatable {
  /// What is wrong with the frame.
  package enum Problem: Sendable, Equatable {
    /// The stream is neither 1 nor 2.
    case unknownStream(UInt8)
    /// The log ends inside the frame's header or its bytes.
    case truncated
  }

  /// Where in the encoded log the frame starts, in bytes.
  package var offset: Int64
  /// What is wrong with it.
  package var problem: Problem

  /// Puts an error together.
  package init(offset: Int64, problem: Problem) {
    self.offset = offset
    self.problem = problem
  }
}

extension LogFormatError: CustomStringConvertible {
  package var description: String {
    let reason =
      switch problem {
      case .unknownStream(let stream): "names stream \(stream), which is neither 1 nor 2"
      case .truncated: "is longer than what is left of the log"
      }
    return "captured log is damaged: the frame at byte \(offset) \(reason); run the task again to make a new one"
  }
}
