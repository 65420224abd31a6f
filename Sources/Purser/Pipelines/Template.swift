import PurserHashing
import PurserModel

/// Text with `${NAME}` in it.
struct Template: Sendable {
  private enum Part {
    case literal(ArraySlice<UInt8>)
    case variable(String)
  }

  private var parts: [Part] = []

  /// Reads the text; a `${` without its `}` is taken as it is.
  init(_ text: ByteString) {
    var rest = text.bytes[...]
    while let dollar = rest.indices.first(where: { index in
      rest[index] == UInt8(ascii: "$") && index + 1 < rest.endIndex && rest[index + 1] == UInt8(ascii: "{")
    }), let end = rest[dollar...].firstIndex(of: UInt8(ascii: "}")) {
      if dollar > rest.startIndex { parts.append(.literal(rest[..<dollar])) }
      parts.append(.variable(String(decoding: rest[(dollar + 2)..<end], as: UTF8.self)))
      rest = rest[(end + 1)...]
    }
    if !rest.isEmpty { parts.append(.literal(rest)) }
  }

  /// The names in the text, in order.
  var names: [String] {
    parts.compactMap { part in
      if case .variable(let name) = part { name } else { nil }
    }
  }

  /// The text with values in place of their names; other names stay as they are.
  func replacing(_ values: [String: ByteString]) -> ByteString {
    var bytes: [UInt8] = []
    for part in parts {
      switch part {
      case .literal(let literal): bytes += literal
      case .variable(let name): bytes += values[name]?.bytes ?? Array("${\(name)}".utf8)
      }
    }
    return ByteString(bytes: bytes)
  }

  /// A path: values in place of their names, and `*` for other names, which are not known before the run. Where that
  /// makes it a pattern, a value stands for itself, whatever characters it has.
  func path(_ values: [String: ByteString]) -> ByteString {
    let isPattern =
      names.contains { values[$0] == nil } || Glob.isPattern(replacing(values.mapValues { _ in "" }))
      || values.contains { name, value in names.contains(name) && Glob.isPattern(value) }
    var bytes: [UInt8] = []
    for part in parts {
      switch part {
      case .literal(let literal): bytes += literal
      case .variable(let name):
        guard let value = values[name] else {
          bytes.append(UInt8(ascii: "*"))
          continue
        }
        for byte in value.bytes {
          if isPattern, "*?[]{}\\".utf8.contains(byte) { bytes.append(UInt8(ascii: "\\")) }
          bytes.append(byte)
        }
      }
    }
    return ByteString(bytes: bytes)
  }
}
