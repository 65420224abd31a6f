import PurserModel
import Testing

@Suite("An item of a mapped task")
struct SubtaskTests {
  private let key = Digest(bytes: [UInt8](repeating: 7, count: 32))

  private func event(_ status: Subtask.Status, _ time: String) -> SubtaskEvent {
    SubtaskEvent(index: 0, status: status, time: time, outputHash: "hash", error: "line", contentKey: key)
  }

  @Test("is started, fails, is started again and done")
  func course() {
    var item = Subtask(index: 0, key: "a")
    #expect(!item.isDone && item.attempt == 0)
    item.apply(event(.running, "1"))
    #expect(item.status == .running && item.startTime == "1" && item.attempt == 1)
    #expect(item.endTime == nil && item.outputHash == nil && item.error == nil && item.contentKey == nil)
    item.apply(event(.failed, "2"))
    #expect(item.status == .failed && item.startTime == "1" && item.attempt == 1 && item.error == "line")
    // What it was made from is known, so that a later list tells whether it is another item.
    #expect(item.endTime == nil && item.outputHash == nil && item.contentKey == key && !item.isDone)
    item.apply(event(.running, "3"))
    #expect(item.status == .running && item.startTime == "3" && item.attempt == 2 && item.error == nil)
    #expect(item.contentKey == nil)
    item.apply(event(.done, "4"))
    #expect(item.status == .done && item.startTime == "3" && item.endTime == "4" && item.attempt == 2 && item.isDone)
    #expect(item.outputHash == "hash" && item.contentKey == key && item.error == nil)
    item.apply(event(.running, "5"))
    #expect(item.endTime == nil && item.outputHash == nil && item.contentKey == nil && !item.isDone)
  }

  @Test("is done without a start where it was put back")
  func restored() {
    var item = Subtask(index: 0, key: "a")
    item.apply(event(.done, "1"))
    #expect(item.isDone && item.startTime == nil && item.attempt == 0)
  }

  @Test("is done for kptn's client where it has an end")
  func client() {
    var item = Subtask(index: 0, key: "a")
    item.endTime = "1"
    #expect(item.isDone)
    item.status = .failed
    #expect(!item.isDone)
  }
}
