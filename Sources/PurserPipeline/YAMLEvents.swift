import CYaml

/// What libyaml reads next.
enum YAMLEvent {
  case documentStart
  case streamEnd
  case alias(String)
  case scalar(YAMLScalar, anchor: String?, tag: String?)
  case sequenceStart(anchor: String?, tag: String?)
  case mappingStart(anchor: String?, tag: String?)
  case collectionEnd
  /// The start of the stream, the end of a document.
  case other
}

/// A text that is not YAML, or not YAML that Purser takes.
struct YAMLProblem: Error {
  var message: String
  var mark: SourceMark?
}

/// libyaml's events as Swift values, one after the other. The only place that sees its pointers.
struct YAMLEvents: ~Copyable {
  private let parser: UnsafeMutablePointer<yaml_parser_t>
  private let source: UnsafeBufferPointer<UInt8>

  /// Reads UTF-8, which has to outlive this.
  init(_ source: UnsafeBufferPointer<UInt8>) throws(YAMLProblem) {
    self.source = source
    parser = .allocate(capacity: 1)
    guard yaml_parser_initialize(parser) == 1 else {
      parser.deallocate()
      throw YAMLProblem(message: "there is not enough memory to read the file")
    }
    yaml_parser_set_input_string(parser, source.baseAddress, source.count)
    yaml_parser_set_encoding(parser, YAML_UTF8_ENCODING)
  }

  deinit {
    yaml_parser_delete(parser)
    parser.deallocate()
  }

  /// The next event, and where it starts.
  mutating func next() throws(YAMLProblem) -> (event: YAMLEvent, mark: SourceMark) {
    var event = yaml_event_t()
    guard yaml_parser_parse(parser, &event) == 1 else { throw problem() }
    defer { yaml_event_delete(&event) }
    return (Self.value(of: event), Self.mark(event.start_mark))
  }

  private static func value(of event: yaml_event_t) -> YAMLEvent {
    switch event.type {
    case YAML_DOCUMENT_START_EVENT: return .documentStart
    case YAML_STREAM_END_EVENT: return .streamEnd
    case YAML_SEQUENCE_END_EVENT, YAML_MAPPING_END_EVENT: return .collectionEnd
    case YAML_ALIAS_EVENT: return .alias(text(event.data.alias.anchor) ?? "")
    case YAML_SEQUENCE_START_EVENT:
      let start = event.data.sequence_start
      return .sequenceStart(anchor: text(start.anchor), tag: text(start.tag))
    case YAML_MAPPING_START_EVENT:
      let start = event.data.mapping_start
      return .mappingStart(anchor: text(start.anchor), tag: text(start.tag))
    case YAML_SCALAR_EVENT:
      let scalar = event.data.scalar
      let bytes = UnsafeBufferPointer(start: scalar.value, count: scalar.length)
      let tag = text(scalar.tag)
      let isText = tag.map { $0 == "!" || $0 == "tag:yaml.org,2002:str" }
      let isPlain = isText.map { !$0 } ?? (scalar.style == YAML_PLAIN_SCALAR_STYLE)
      let value = YAMLScalar(text: String(decoding: bytes, as: UTF8.self), isPlain: isPlain)
      return .scalar(value, anchor: text(scalar.anchor), tag: tag)
    default: return .other
    }
  }

  private static func text(_ pointer: UnsafePointer<UInt8>?) -> String? {
    pointer.map { String(cString: $0) }
  }

  private static func text(_ pointer: UnsafeMutablePointer<UInt8>?) -> String? {
    pointer.map { String(cString: $0) }
  }

  private static func mark(_ mark: yaml_mark_t) -> SourceMark {
    SourceMark(line: mark.line + 1, column: mark.column + 1)
  }

  // MARK: Problems

  private func problem() -> YAMLProblem {
    let text = parser.pointee.problem.map { String(cString: $0) } ?? ""
    switch parser.pointee.error {
    case YAML_MEMORY_ERROR: return YAMLProblem(message: "there is not enough memory to read the file")
    case YAML_READER_ERROR: return encodingProblem(text)
    default: break
    }
    let mark = parser.pointee.problem_mark
    if text == "found character that cannot start any token" {
      return YAMLProblem(message: Self.misplaced(character(at: mark)), mark: Self.mark(mark))
    }
    let message = Self.words[text] ?? "this is not YAML: \(text)"
    guard let context = parser.pointee.context, parser.pointee.context_mark.index != mark.index else {
      return YAMLProblem(message: message, mark: Self.mark(mark))
    }
    let start = Self.mark(parser.pointee.context_mark)
    // Found missing only where the next key begins.
    if text == "could not find expected ':'" { return YAMLProblem(message: message, mark: start) }
    let place = String(cString: context).split(separator: " ").dropFirst(2).joined(separator: " ")
    return YAMLProblem(
      message: "\(message) (in \(place) that begins at line \(start.line), column \(start.column))",
      mark: Self.mark(mark))
  }

  /// libyaml names the byte, not the line, where bytes are no text.
  private func encodingProblem(_ text: String) -> YAMLProblem {
    var offset = min(Int(parser.pointee.problem_offset), source.count)
    if text == "invalid trailing UTF-8 octet" {
      // The character begins before it.
      repeat { offset -= 1 } while offset > 0 && source[offset] & 0xc0 == 0x80
    }
    let before = source[..<max(offset, 0)]
    let lineStart = before.lastIndex(of: UInt8(ascii: "\n")).map { $0 + 1 } ?? 0
    let mark = SourceMark(
      line: before.count { $0 == UInt8(ascii: "\n") } + 1,
      column: before[lineStart...].count { $0 & 0xc0 != 0x80 } + 1)
    guard text == "control characters are not allowed" else {
      return YAMLProblem(message: "the file is not UTF-8 here (\(text)); save it as UTF-8", mark: mark)
    }
    let digits = String(max(parser.pointee.problem_value, 0), radix: 16, uppercase: true)
    let code = "U+" + String(repeating: "0", count: max(0, 4 - digits.count)) + digits
    return YAMLProblem(
      message: "the character \(code) is not allowed in YAML; remove it, or write it as an escape in double quotes",
      mark: mark)
  }

  private func character(at mark: yaml_mark_t) -> UInt8? {
    var line = 0
    var start = 0
    while line < mark.line, let end = source[start...].firstIndex(of: UInt8(ascii: "\n")) {
      start = end + 1
      line += 1
    }
    var column = 0
    var index = start
    while index < source.count {
      if column == mark.column { return source[index] }
      index += 1
      while index < source.count, source[index] & 0xc0 == 0x80 { index += 1 }
      column += 1
    }
    return nil
  }

  private static func misplaced(_ byte: UInt8?) -> String {
    switch byte {
    case UInt8(ascii: "\t"): "a tab stands where YAML takes only spaces; indent with spaces"
    case let byte? where byte > 0x20 && byte < 0x7f:
      "a value cannot begin with '\(Character(Unicode.Scalar(byte)))'; put it in quotes"
    default: "a value cannot begin with this character; put it in quotes"
    }
  }

  /// What libyaml says, in words that say what to do.
  private static let words = [
    "mapping values are not allowed in this context":
      "a ':' stands where no key can be; check the indentation, or put a text that holds ': ' in quotes",
    "could not find expected ':'": "a key has no ':' behind it; write 'key: value', or check the indentation",
    "did not find expected key": "a key is expected here; check the indentation and the quotes",
    "did not find expected '-' indicator":
      "a list's element, which begins with '-', is expected here; check the indentation",
    "did not find expected ',' or ']'": "a list in brackets does not go on with ',' or end with ']' here",
    "did not find expected ',' or '}'": "a mapping in braces does not go on with ',' or end with '}' here",
    "did not find expected node content": "a value is expected here",
    "did not find expected <document start>": "the file's value ended before this; check the indentation",
    "block sequence entries are not allowed in this context": "a list cannot begin here; put it on a line of its own",
    "block mapping entries are not allowed in this context": "a key cannot stand here; put it on a line of its own",
    "block mapping keys are not allowed in this context": "a key cannot stand here; put it on a line of its own",
    "found unexpected end of stream": "the file ends inside a quoted text; close the quotes",
    "found unknown escape character":
      "a backslash in double quotes begins an escape that YAML does not know; write '\\\\' for a backslash, or use "
      + "single quotes",
    "found undefined tag handle": "a '!' begins a tag that is not defined; put the value in quotes",
    "found a tab character that violates indentation": "a tab stands where YAML takes only spaces; indent with spaces",
    "found a tab character where an indentation space is expected":
      "a tab stands where YAML takes only spaces; indent with spaces",
    "did not find expected alphabetic or numeric character":
      "'&' and '*' begin the name of an anchor, which has letters and digits; put a text that begins with them in "
      + "quotes",
  ]
}
