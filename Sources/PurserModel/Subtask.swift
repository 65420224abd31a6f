/// One item of a mapped task, as a bin holds it: kptn's fields, and ours.
public struct Subtask: Sendable, Hashable {
  /// Its place in the list, from 0.
  public var index: Int
  /// The item's value as a string; the parts of a tuple joined by commas.
  public var key: String
  /// ISO 8601; `nil` before it started.
  public var startTime: String?
  /// ISO 8601; `nil` until it is done. An item that failed has none.
  public var endTime: String?
  /// The digest (hex) of what it made; `nil` where it makes nothing.
  public var outputHash: String?
  /// How it stands; `nil` before it started, and in bins that kptn's client wrote.
  public var status: Status?
  /// What went wrong, in one line.
  public var error: String?
  /// How often it was started; 0 before the first time.
  public var attempt: Int
  /// What it was made from, for an item that is done.
  public var contentKey: Digest?

  /// How an item stands. The raw value is what bins hold.
  public enum Status: String, Sendable {
    case running
    case done
    case failed
  }

  /// An item that was not started yet.
  public init(index: Int, key: String) {
    self.index = index
    self.key = key
    attempt = 0
  }

  /// Whether it need not run again, as far as the bin tells: for kptn's client, an item that has an end.
  public var isDone: Bool { endTime != nil && status != .failed }

  /// Takes in what happened to the item. Another start forgets how the one before ended; an end keeps the start.
  public mutating func apply(_ event: SubtaskEvent) {
    status = event.status
    endTime = event.status == .done ? event.time : nil
    outputHash = event.status == .done ? event.outputHash : nil
    error = event.status == .failed ? event.error : nil
    contentKey = event.status == .running ? nil : event.contentKey
    if event.status == .running {
      startTime = event.time
      attempt += 1
    }
  }
}

/// Something that happened to an item, for the progress journal.
public struct SubtaskEvent: Sendable, Hashable {
  /// The item's place in the list.
  public var index: Int
  /// Its key, for who does not hold the task's lease: the list may have changed since it was looked at.
  public var key: String?
  /// What happened.
  public var status: Subtask.Status
  /// When, ISO 8601.
  public var time: String
  /// The digest (hex) of what the item made, when done.
  public var outputHash: String?
  /// What went wrong, in one line, when failed.
  public var error: String?
  /// What the item was made from, when done or failed.
  public var contentKey: Digest?

  /// Makes an event.
  public init(
    index: Int, key: String? = nil, status: Subtask.Status, time: String, outputHash: String? = nil,
    error: String? = nil, contentKey: Digest? = nil
  ) {
    self.index = index
    self.key = key
    self.status = status
    self.time = time
    self.outputHash = outputHash
    self.error = error
    self.contentKey = contentKey
  }
}
