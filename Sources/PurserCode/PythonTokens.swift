package import PurserModel

/// The tokens of a Python 3 source (3.8 to 3.14), and the bytes that they stand in.
///
/// Comments, blank lines, newlines within brackets and backslashes that join lines are no tokens. A formatted string is
/// one token. Every logical line ends with a `newline`; every `indent` has its `dedent`; the last token, always there,
/// is `endOfFile`. Brackets are in pairs.
package struct PythonTokens: Sendable {
  /// The whole source.
  package let bytes: [UInt8]
  /// In the order of the source; never empty.
  package let tokens: [PythonToken]

  /// Reads a source. O(bytes).
  ///
  /// That the lexer accepts it does not say that Python would: see ``PythonStructure``.
  package init(_ bytes: [UInt8]) throws(PythonSyntaxError) {
    let outcome = Self.prefix(of: bytes)
    if let error = outcome.error { throw error }
    self = outcome.tokens
  }

  private init(bytes: [UInt8], tokens: [PythonToken]) {
    self.bytes = bytes
    self.tokens = tokens
  }

  /// The tokens before the first error, and the error if there is one. The tokens end with `endOfFile` also then, but
  /// the last line, brackets and blocks may be open.
  package static func prefix(of bytes: [UInt8]) -> (tokens: PythonTokens, error: PythonSyntaxError?) {
    let outcome = PythonLexer.run(over: bytes)
    return (PythonTokens(bytes: bytes, tokens: outcome.tokens), outcome.error)
  }

  /// The tokens of the expressions inside the fields of a formatted string, in order: `{ name ! r : > { width } }` gives
  /// `{`, `name`, `{`, `width`, `}`, `}`.
  ///
  /// Each field stands in its braces. What surrounds the fields, conversions (`!r`), format specifications and the `=`
  /// of `{x=}` are left out. A formatted string inside a field is not a token; the tokens of its own fields stand in
  /// its place. There are no `newline`, `indent`, `dedent` or `endOfFile`. Empty for any other token. O(its bytes).
  package func fieldTokens(of token: PythonToken) -> [PythonToken] {
    token.kind == .formattedString ? PythonLexer.fieldTokens(of: token, in: bytes) : []
  }

  /// The bytes of a token, as they are written.
  package func text(of token: PythonToken) -> ArraySlice<UInt8> { bytes[token.range] }

  /// The bytes of a token, as they are written.
  package func string(of token: PythonToken) -> ByteString { ByteString(bytes: Array(bytes[token.range])) }

  /// Whether the token is written so, whatever its kind: `is(token, ":=")`.
  package func `is`(_ token: PythonToken, _ text: StaticString) -> Bool {
    guard token.count == text.utf8CodeUnitCount else { return false }
    let start = token.start
    return text.withUTF8Buffer { text in
      for offset in 0..<text.count where bytes[start + offset] != text[offset] { return false }
      return true
    }
  }
}
