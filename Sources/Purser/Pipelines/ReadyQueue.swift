/// Tasks that can be started, the one that goes first at hand. A binary heap: O(log n) to add and to take.
struct ReadyQueue {
  /// What a task is chosen by.
  struct Entry: Comparable {
    /// Higher goes first.
    var priority: Int
    /// The expected time from its start to the end of the graph; longer goes first.
    var path: Int64
    /// Its place in the pipeline; lower goes first.
    var place: Int

    /// Whether it goes after another one.
    static func < (left: Entry, right: Entry) -> Bool {
      if left.priority != right.priority { return left.priority < right.priority }
      return left.path != right.path ? left.path < right.path : left.place > right.place
    }
  }

  private var heap: [Entry] = []

  /// The one that goes first.
  var first: Entry? { heap.first }

  mutating func add(_ entry: Entry) {
    heap.append(entry)
    var index = heap.count - 1
    while index > 0, heap[(index - 1) / 2] < heap[index] {
      heap.swapAt(index, (index - 1) / 2)
      index = (index - 1) / 2
    }
  }

  /// Takes the one that goes first out.
  mutating func takeFirst() -> Entry? {
    guard let last = heap.popLast() else { return nil }
    guard let first = heap.first else { return last }
    heap[0] = last
    var index = 0
    while true {
      var largest = index
      for child in [2 * index + 1, 2 * index + 2] where child < heap.count && heap[largest] < heap[child] {
        largest = child
      }
      if largest == index { return first }
      heap.swapAt(index, largest)
      index = largest
    }
  }
}
