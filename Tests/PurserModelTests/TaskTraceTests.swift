import PurserModel
import Testing

struct TaskTraceTests {
  private let trace = TaskTrace(
    entries: [
      TaskTrace.Entry(path: ByteString(bytes: [0x61, 0xff]), use: .read, isDeclared: false),
      TaskTrace.Entry(path: "b", use: .listed, isDeclared: true),
      TaskTrace.Entry(path: "c", use: .missing, isDeclared: false),
      TaskTrace.Entry(path: "d", use: .written, isDeclared: true),
    ], gap: "é")

  @Test func `What is stored is read back, and its form is version 1's`() {
    #expect(TaskTrace(encoded: trace.encoded) == trace)
    #expect(TaskTrace(encoded: TaskTrace(entries: []).encoded) == TaskTrace(entries: []))
    #expect(
      Hex.string(trace.encoded) == "01000000" + "010200000000000000c3a9" + "01020000000000000061ff"
        + "82010000000000000062" + "03010000000000000063" + "84010000000000000064")
    #expect(trace.undeclared(.read) == [ByteString(bytes: [0x61, 0xff])])
    #expect(trace.undeclared(.written).isEmpty)
  }

  @Test func `Damage is noticed`() {
    let bytes = trace.encoded
    // At these ends an entry is over.
    let whole = [15, 26, 36, 46]
    for count in 0..<bytes.count where !whole.contains(count) {
      #expect(TaskTrace(encoded: Array(bytes[..<count])) == nil, "\(count)")
    }
    #expect(TaskTrace(encoded: [2] + bytes.dropFirst()) == nil)
  }

  @Test func `Components by themselves are read back`() {
    let components = [
      Component(.tracedFile, ByteString(bytes: [0xff]), .absent), Component(.tracedFolder, "", .text("")),
    ]
    #expect([Component](encoded: components.encoded) == components)
    #expect([Component](encoded: []) == [])
    #expect([Component](encoded: [0x26, 1]) == nil)
  }
}
