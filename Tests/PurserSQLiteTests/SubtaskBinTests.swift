import PurserModel
import Testing

@testable import PurserSQLite

@Suite("The text of a bin")
struct SubtaskBinTests {
  private func decode(_ text: String) -> [Subtask]? {
    var items: [Subtask] = []
    return Array(text.utf8).withUnsafeBytes { SubtaskBin.decode($0, into: &items) } ? items : nil
  }

  private func scan(_ text: String) -> [Subtask]? {
    var items: [Subtask] = []
    return Array(text.utf8).withUnsafeBytes {
      var scanner = SubtaskScanner($0)
      return scanner.scan(into: &items)
    } ? items : nil
  }

  private var full: Subtask {
    var item = Subtask(index: 1234, key: "a")
    item.startTime = "s"
    item.endTime = "e"
    item.outputHash = "h"
    item.status = .done
    item.error = "x"
    item.attempt = 2
    item.contentKey = digest("k")
    return item
  }

  @Test("is kptn's, with our members behind, and nothing for what is not known")
  func golden() {
    var failed = full
    failed.status = .failed
    let items = [Subtask(index: 0, key: "é\"\n"), full, failed]
    let key = digest("k").hex
    #expect(
      String(decoding: Subtask.encoded(items), as: UTF8.self)
        == #"[{"i":0,"key":"é\"\n"},{"i":1234,"key":"a","startTime":"s","endTime":"e","outputHash":"h","#
        + #""status":"done","error":"x","attempt":2,"contentKey":"\#(key)"},"#
        + #"{"i":1234,"key":"a","startTime":"s","outputHash":"h","status":"failed","error":"x","attempt":2,"#
        + #""contentKey":"\#(key)"}]"#)
    #expect(Subtask.encoded([]) == Array("[]".utf8))
  }

  private func isOurs(_ text: String) -> Bool {
    var items: [Subtask] = []
    var isOurs = false
    let bytes = Array(text.utf8)
    let isRead = bytes.withUnsafeBytes { SubtaskBin.decode($0, into: &items, &isOurs) }
    // Whatever else: it may be given for what would be written.
    #expect(!isOurs || isRead && Subtask.encoded(items) == bytes, "\(text)")
    return isOurs
  }

  @Test("is known for ours to the byte, and no other text is")
  func ours() {
    var failed = full
    (failed.status, failed.endTime) = (.failed, nil)
    for items in [[], [Subtask(index: 0, key: "a")], [full], [failed, full, Subtask(index: 7, key: "")]] {
      #expect(isOurs(String(decoding: Subtask.encoded(items), as: UTF8.self)))
    }
    let whole = String(decoding: Subtask.encoded([full]), as: UTF8.self)
    for position in whole.indices.dropFirst() where !whole[position].isLetter {
      var blank = whole
      blank.insert(" ", at: position)
      _ = isOurs(blank)
    }
    let texts = [
      " []", "[] ", "[ ]", #"[{"i":0, "key":"a"}]"#, #"[{"key":"a","i":0}]"#, #"[{"i":0,"key":"a","key":"b"}]"#,
      #"[{"i":0,"i":1,"key":"a"}]"#, #"[{"i":0,"key":"\u0061"}]"#, #"[{"i":0,"key":"é"}]"#,
      #"[{"i":0,"key":"a","endTime":"e","startTime":"s"}]"#, #"[{"i":0,"key":"a","startTime":null}]"#,
      #"[{"i":0,"key":"a","attempt":0}]"#, #"[{"i":0,"key":"a","endTime":"e","status":"failed","error":"x"}]"#,
      whole.replacing(digest("k").hex, with: digest("k").hex.uppercased()), #"[{"i":0,"key":"a","extra":1}]"#, "[{",
    ]
    for text in texts { #expect(!isOurs(text), "\(text)") }
  }

  @Test(
    "is scanned in one pass in every layout that a client writes",
    arguments: [
      ("[]", 0), (" [ ] ", 0), (#"[{"i": 0, "key": "a"}, {"i": 1, "key": "b"}]"#, 2),
      (#"[{"key":"a","i":0}]"#, 1), ("[\n{\t\"i\" : 0 ,\r\"key\":\"a\" } ]\n", 1),
      (#"[{"i": 0, "key": "caf\u00e9 \ud83d\ude00 \"x\" \\"}]"#, 1),
      (#"[{"i":0,"key":"a","startTime":null,"endTime": null,"outputHash":null,"error":null}]"#, 1),
      (#"[{"i":999999999999999999,"key":""}]"#, 1), (#"[{"i":0,"key":"a much longer key than eight bytes é"}]"#, 1),
    ])
  func scanned(text: String, count: Int) throws {
    let items = try #require(scan(text))
    #expect(items.count == count)
    #expect(decode(text) == items)
  }

  @Test(
    "that is JSON in another form is read all the same",
    arguments: [
      #"[{"i":0,"key":"a","more":[1,{"x":null}]}]"#, #"[{"i":0,"key":"a","status":"QUEUED"}]"#,
      #"[{"\u0069":0,"key":"a"}]"#, #"[{"i":0,"key":"a","attempt":null,"contentKey":"ABC"}]"#,
      #"[{"i":0,"key":"b","key":"a"}]"#,
    ])
  func other(text: String) throws {
    #expect(try #require(decode(text)) == [Subtask(index: 0, key: "a")])
  }

  @Test("with a key that is no string has its JSON text for key")
  func numericKey() {
    #expect(decode(#"[{"i":3,"key":17},{"i":4,"key":["a",1]}]"#)?.map(\.key) == ["17", #"["a",1]"#])
  }

  @Test(
    "that is damaged is told from an empty one, and leaves what was there",
    arguments: [
      "", "[", "]", "{}", "null", "[1]", "[{}]", #"[{"i":0}]"#, #"[{"key":"a"}]"#, #"[{"i":-1,"key":"a"}]"#,
      #"[{"i":0,"key":"a"}"#, #"[{"i":0,"key":"a"}]x"#, #"[{"i":0,"key":"a}]"#, #"[{"i":00,"key":"a"}]"#,
      #"[{"i":0,"key":"a"},]"#, #"[{"i":0,"key":"a",}]"#, "[{\"i\":0,\"key\":\"a\nb\"}]", #"[{"i":0,"key":"\x"}]"#,
      #"[{"i":0,"key":"\ud800"}]"#, #"[{"i":0.5,"key":"a"}]"#, #"[{"i":0,"key":"a","startTime":tru}]"#,
      #"[{"i":0,"key":"a\"#,
    ])
  func damaged(text: String) {
    var items = [full]
    #expect(!Array(text.utf8).withUnsafeBytes { SubtaskBin.decode($0, into: &items) })
    #expect(items == [full])
  }

  @Test("every cut of a bin is damage, not a crash")
  func cuts() {
    let text = Array(Subtask.encoded([full, Subtask(index: 2, key: "é\"\\")]))
    for length in 0..<text.count {
      var items: [Subtask] = []
      #expect(!text.prefix(length).withUnsafeBytes { SubtaskBin.decode($0, into: &items) })
    }
  }

  @Test("an item that kptn's client ended is done, whatever our status said")
  func endedByClient() {
    let items = decode(
      #"[{"i":0,"key":"a","endTime":"e","status":"failed","error":"x"},{"i":1,"key":"b","endTime":"e"},"#
        + #"{"i":2,"key":"c","status":"failed","error":"x"},{"i":3,"key":"d","endTime":"e","status":"running"}]"#)
    #expect(items?.map(\.isDone) == [true, true, false, true])
    #expect(items?.map(\.status) == [.done, nil, .failed, .done])
    #expect(items?.map(\.error) == [nil, nil, "x", nil])
  }

  @Test("strings of all lengths end where they end, whatever is in them")
  func strings() throws {
    for length in 0..<40 {
      for (special, written) in [
        ("\"", "\\\""), ("\\", "\\\\"), ("\u{1f}", "\\u001f"), ("é", "é"), ("\u{7f}", "\u{7f}"),
      ] {
        for position in 0...length {
          let (before, after) = (
            String(repeating: "a", count: position), String(repeating: " ", count: length - position)
          )
          let text = "[{\"i\":0,\"key\":\"\(before)\(written)\(after)\"}]"
          let expected = Subtask(index: 0, key: before + special + after)
          #expect(try #require(scan(text)) == [expected])
          #expect(String(decoding: Subtask.encoded([expected]), as: UTF8.self) == text)
        }
      }
    }
  }
}
