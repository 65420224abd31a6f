import PurserModel

/// The text of a bin of mapped items: `subtask_bins.data`.
///
/// A JSON array of at most 500 objects, as kptn's client has it: `i` and `key`, and where they are known `startTime`,
/// `endTime` and `outputHash`; then our own `status`, `error`, `attempt` and `contentKey`. What is not known is left
/// out, since kptn's models take no null. kptn's client writes any order of members, blanks between them, and null.
enum SubtaskBin {
  /// Which bin an item is in.
  static func number(of index: Int) -> Int { index / TaskData.binSize }

  /// Appends the items of a bin; `false`, and none, where the text is damaged. O(size).
  static func decode(_ text: UnsafeRawBufferPointer, into items: inout [Subtask]) -> Bool {
    let first = items.count
    var scanner = SubtaskScanner(text)
    if !scanner.scan(into: &items) {
      items.removeSubrange(first...)
      guard let parsed = parse(text) else { return false }
      items += parsed
    }
    for index in first..<items.count where items[index].endTime != nil {
      // An end beside another status: kptn's client, which knows no status, ended the item.
      guard let status = items[index].status, status != .done else { continue }
      items[index].status = .done
      items[index].error = nil
    }
    return true
  }

  /// For what is not as we or kptn's client write it, but is JSON.
  private static func parse(_ text: UnsafeRawBufferPointer) -> [Subtask]? {
    guard let elements = (try? JSON(parsing: text))?.array else { return nil }
    var items: [Subtask] = []
    for element in elements {
      guard let index = element["i"]?.integer, index >= 0, let key = element["key"] else { return nil }
      var item = Subtask(index: Int(index), key: key.string ?? key.serialized)
      item.startTime = element["startTime"]?.string
      item.endTime = element["endTime"]?.string
      item.outputHash = element["outputHash"]?.string
      item.status = element["status"]?.string.flatMap(Subtask.Status.init)
      item.error = element["error"]?.string
      item.attempt = Int(max(0, element["attempt"]?.integer ?? 0))
      item.contentKey = element["contentKey"]?.string.flatMap { Digest(hex: $0) }
      items.append(item)
    }
    return items
  }

  /// The text for these items. O(size).
  static func encode(_ items: some Collection<Subtask>) -> [UInt8] {
    var text: [UInt8] = []
    text.reserveCapacity(items.count * 320 + 2)
    text.append(UInt8(ascii: "["))
    for item in items {
      if text.count > 1 { text.append(UInt8(ascii: ",")) }
      text += #"{"i":"#.utf8
      text += String(item.index).utf8
      write(#","key":"#, item.key, to: &text)
      write(#","startTime":"#, item.startTime, to: &text)
      // An item that failed has no end: for kptn's client it would be done.
      write(#","endTime":"#, item.status == .failed ? nil : item.endTime, to: &text)
      write(#","outputHash":"#, item.outputHash, to: &text)
      write(#","status":"#, item.status?.rawValue, to: &text)
      write(#","error":"#, item.error, to: &text)
      if item.attempt > 0 {
        text += #","attempt":"#.utf8
        text += String(item.attempt).utf8
      }
      if let contentKey = item.contentKey {
        text += #","contentKey":""#.utf8
        write(contentKey, to: &text)
        text.append(UInt8(ascii: "\""))
      }
      text.append(UInt8(ascii: "}"))
    }
    text.append(UInt8(ascii: "]"))
    return text
  }

  private static func write(_ digest: Digest, to text: inout [UInt8]) {
    func digit(_ value: UInt8) -> UInt8 { value &+ (value < 10 ? UInt8(ascii: "0") : UInt8(ascii: "a") - 10) }
    digest.withBytes { bytes in
      for byte in bytes {
        text.append(digit(byte >> 4))
        text.append(digit(byte & 15))
      }
    }
  }

  private static func write(_ member: StaticString, _ value: String?, to text: inout [UInt8]) {
    guard let value else { return }
    member.withUTF8Buffer { text.append(contentsOf: $0) }
    JSON.write(value, to: &text)
  }

  /// Applies events, in their order, to items in the order of their index. Events of items that are not there are lost.
  static func apply(_ events: some Sequence<SubtaskEvent>, to items: inout [Subtask]) {
    for event in events {
      guard let position = position(of: event.index, in: items) else { continue }
      items[position].apply(event)
    }
  }

  /// Where an item stands: at its index after the first, unless kptn's client has thinned the list out.
  static func position(of index: Int, in items: [Subtask]) -> Int? {
    guard let first = items.first?.index, index >= first else { return nil }
    if index - first < items.count, items[index - first].index == index { return index - first }
    return items.firstIndex { $0.index == index }
  }
}
