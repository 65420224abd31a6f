import Glibc
import PurserModel

/// Where text goes: data to standard output, messages to standard error, each in one write.
struct Console: Sendable {
  enum Verbosity {
    case quiet
    case normal
    case verbose
  }

  let usesColor: Bool
  let messagesUseColor: Bool
  let verbosity: Verbosity
  let isJSON: Bool

  init(_ invocation: Invocation, noColor: Bool) throws {
    switch invocation.text("color") ?? "auto" {
    case "auto":
      usesColor = !noColor && isatty(1) == 1
      messagesUseColor = !noColor && isatty(2) == 1
    case "always":
      usesColor = true
      messagesUseColor = true
    case "never":
      usesColor = false
      messagesUseColor = false
    case let other:
      throw UsageError(message: "--color is auto, always or never, not '\(other)'")
    }
    verbosity = invocation.has("quiet") ? .quiet : invocation.has("verbose") ? .verbose : .normal
    isJSON = invocation.has("json")
  }

  /// Whether progress may be shown: somebody is looking, or asked for it.
  var showsDecisions: Bool { verbosity == .verbose || (verbosity == .normal && isatty(2) == 1) }

  func print(_ text: String) { Self.write(text + "\n", to: 1) }

  func print(_ json: JSON) { print(json.serialized) }

  /// JSON as bytes, which may be many: the end of the line is put behind them in place.
  func print(json: consuming [UInt8]) {
    json.append(UInt8(ascii: "\n"))
    Self.write(json, to: 1)
  }

  func warn(_ message: String) {
    guard verbosity != .quiet else { return }
    Self.write(paint("warning:", .yellow, messagesUseColor) + " \(message)\n", to: 2)
  }

  func error(_ message: String) {
    Self.write(paint("error:", .red, messagesUseColor) + " \(message)\n", to: 2)
  }

  func note(_ message: String) {
    Self.write(paint("purser: \(message)", .dim, messagesUseColor) + "\n", to: 2)
  }

  enum Style: String {
    case red = "31"
    case green = "32"
    case yellow = "33"
    case blue = "36"
    case bold = "1"
    case dim = "2"
  }

  func paint(_ text: String, _ style: Style) -> String { paint(text, style, usesColor) }

  private func paint(_ text: String, _ style: Style, _ isOn: Bool) -> String {
    isOn ? "\u{1b}[\(style.rawValue)m\(text)\u{1b}[0m" : text
  }

  static func write(_ text: String, to descriptor: Int32) {
    write(Array(text.utf8), to: descriptor)
  }

  static func write(_ bytes: [UInt8], to descriptor: Int32) {
    var rest = bytes[...]
    while !rest.isEmpty {
      let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
      guard count > 0 || errno == EINTR else { return }
      rest = rest.dropFirst(max(0, count))
    }
  }

  /// Rows in aligned columns, two blanks between; styles do not count as width. The last column is not padded.
  func table(_ header: [String], _ rows: [[(text: String, style: Style?)]]) -> String {
    var widths = header.map(\.count)
    for row in rows { for (index, cell) in row.enumerated() { widths[index] = max(widths[index], cell.text.count) } }
    func line(_ cells: [(text: String, style: Style?)]) -> String {
      cells.enumerated().map { index, cell in
        let padding = index == cells.count - 1 ? 0 : widths[index] - cell.text.count
        let text = cell.style.map { paint(cell.text, $0) } ?? cell.text
        return text + String(repeating: " ", count: padding)
      }.joined(separator: "  ")
    }
    return ([line(header.map { ($0, .dim) })] + rows.map(line)).joined(separator: "\n")
  }
}
