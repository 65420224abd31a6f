import PurserModel

/// A name or value for a message, so that it can neither break a line nor drive a terminal; long ones are cut.
func quoted(_ text: String) -> String {
  let shown = ByteString(text.utf8.prefix(200)).printable
  return text.utf8.count > 200 ? "'\(shown)…'" : "'\(shown)'"
}
