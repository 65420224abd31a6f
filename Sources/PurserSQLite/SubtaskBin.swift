import PurserModel

/// The text of a bin of mapped items: `subtask_bins.data`.
///
/// A JSON array of at most 500 objects, as ``Subtask/encoded(_:)`` writes them. kptn's client writes any order of members,
/// blanks between them, and null.
enum SubtaskBin {
  /// Which bin an item is in.
  static func number(of index: Int) -> Int { index / TaskData.binSize }

  /// Appends the items of a bin; `false`, and none, where the text is damaged. O(size).
  static func decode(_ text: UnsafeRawBufferPointer, into items: inout [Subtask]) -> Bool {
    var isOurs = false
    return decode(text, into: &items, &isOurs)
  }

  /// Also tells whether ``Subtask/encoded(_:)`` of the items is that text again.
  static func decode(_ text: UnsafeRawBufferPointer, into items: inout [Subtask], _ isOurs: inout Bool) -> Bool {
    let first = items.count
    var scanner = SubtaskScanner(text)
    isOurs = scanner.scan(into: &items)
    if !isOurs {
      items.removeSubrange(first...)
      guard let parsed = parse(text) else { return false }
      items += parsed
    }
    // What is not UTF-8 was repaired.
    isOurs = isOurs && scanner.isOurs && text.reduce(0, |) < 0x80
    for index in first..<items.count where items[index].endTime != nil {
      // An end beside another status: kptn's client, which knows no status, ended the item.
      guard let status = items[index].status, status != .done else { continue }
      items[index].status = .done
      items[index].error = nil
      isOurs = false
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
