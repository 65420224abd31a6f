package import PurserHashing
package import PurserModel

/// What of a Python file counts, where comments, docstrings and layout do not.
package enum PythonForm: Sendable, Hashable {
  /// The digests of its normal form without and with docstrings, and what the file reads of itself and of others.
  case normal(plain: Digest, documented: Digest, readings: PythonNormalForm.Readings)
  /// It cannot be told from its text what counts; so every byte does.
  case raw(CodeClosure.Remark)
}

extension CodeFollower {
  /// The normal forms of Python files, in their order. A content that was seen before is not read.
  ///
  /// - Throws: `unstable` for a file that is not any more what was digested.
  package func normalForms(of wanted: [CodeClosure.File]) throws(FileError) -> [PythonForm] {
    var forms = wanted.map { file in
      summaries.summary(.normalForm, of: file.content.digest).flatMap { Self.form($0, file.path) }
    }
    let open = forms.indices.filter { forms[$0] == nil }
    let (root, overlay) = (root, hasher.overlay)
    let jobs = open.map { wanted[$0] }
    let made = ParallelMap.map(jobs, workers: hasher.workers) { file in
      Self.summary(of: root.appending(path: file.path), file.content, overlay)
    }
    for (index, summary) in zip(open, made) {
      guard let summary else { throw .changed(wanted[index].path) }
      summaries.set(.normalForm, of: wanted[index].content.digest, summary)
      forms[index] = Self.form(summary, wanted[index].path)
    }
    return zip(forms, wanted).map { form, file in
      form ?? .raw(CodeClosure.Remark(path: file.path, line: 0, message: "cannot be read: every byte of it counts"))
    }
  }

  /// A digest; or a line and why there is none. `nil` if the file is not what was digested.
  private static func summary(
    of path: ByteString, _ content: FileDigest, _ overlay: FileOverlay?
  ) -> [UInt8]? {
    var writer = ByteWriter()
    func refuse(_ line: Int, _ message: String) -> [UInt8] {
      writer.append(byte: 0)
      writer.append(littleEndian: UInt32(clamping: line))
      writer.append(Array(message.utf8))
      return writer.bytes
    }
    guard content.identity.size <= CodeFileTable.scanLimit else {
      return refuse(0, "is too large to be looked through")
    }
    guard let bytes = SourceFile.read(path, limit: Int(CodeFileTable.scanLimit) + 1, in: overlay),
      SHA256.digest(of: bytes) == content.digest
    else { return nil }
    do throws(PythonSyntaxError) {
      let forms = try PythonNormalForm.forms(of: bytes)
      writer.append(byte: 1)
      writer.append(byte: forms.readings.rawValue)
      writer.append(forms.plain)
      writer.append(forms.documented)
      return writer.bytes
    } catch {
      writer = ByteWriter()
      return refuse(error.line, "has a syntax error (\(error.message))")
    }
  }

  private static func form(_ summary: [UInt8], _ path: ByteString) -> PythonForm? {
    var reader = ByteReader(summary)
    switch reader.readByte() {
    case 1?:
      guard let readings = reader.readByte(), let plain = reader.readDigest(), let documented = reader.readDigest()
      else { return nil }
      return .normal(
        plain: plain, documented: documented, readings: PythonNormalForm.Readings(rawValue: readings))
    case 0?:
      guard let line: UInt32 = reader.readInteger() else { return nil }
      let message = String(decoding: summary.dropFirst(5), as: UTF8.self)
      return .raw(CodeClosure.Remark(path: path, line: Int(line), message: message + ": every byte of it counts"))
    default: return nil
    }
  }
}
