import Purser
import PurserModel

let hashCommand = CommandSpec(
  name: "hash", summary: "print SHA-256 digests, in the format of sha256sum; of a folder, its tree's",
  operands: "PATH…", takesOperands: true
) { invocation in
  let session = try Session(invocation)
  guard !invocation.operands.isEmpty else { throw UsageError(message: "name a file or folder", command: "hash") }
  let cache = try session.cache()
  if invocation.has("store") { try cache.prepareStore() }
  var exitCode: Int32 = 0
  var results: [JSON] = []
  for (path, result) in zip(invocation.operands, cache.digests(of: invocation.operands)) {
    switch result {
    case .success(let digest):
      if session.console.isJSON {
        results.append(.object([("path", .string(path.escaped)), ("digest", .string(digest.hex))]))
      } else {
        Console.write(digestLine(digest, path), to: 1)
      }
    case .failure(let error):
      session.console.error(error.message)
      exitCode = error.code.rawValue
    }
  }
  if session.console.isJSON { session.console.print(.object([("files", .array(results))])) }
  cache.saveStatCache()
  return exitCode
}

/// As `sha256sum` writes it: a name with a newline or a backslash is escaped, and the line then begins with one.
private func digestLine(_ digest: Digest, _ path: ByteString) -> [UInt8] {
  var name: [UInt8] = []
  for byte in path.bytes {
    switch byte {
    case UInt8(ascii: "\\"): name += "\\\\".utf8
    case UInt8(ascii: "\n"): name += "\\n".utf8
    case UInt8(ascii: "\r"): name += "\\r".utf8
    default: name.append(byte)
    }
  }
  return Array((name == path.bytes ? "" : "\\").utf8) + Array("\(digest.hex)  ".utf8) + name + [0x0a]
}
