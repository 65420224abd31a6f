import PurserModel
import Testing

@Suite("Timestamps")
struct TimestampTests {
  /// Python: `(datetime(…, tzinfo=timezone.utc) - datetime(1970, 1, 1, tzinfo=timezone.utc)) // timedelta(microseconds=1)`.
  static let vectors: [(Int64, String)] = [
    (0, "1970-01-01T00:00:00.000000Z"),
    (1, "1970-01-01T00:00:00.000001Z"),
    (-1, "1969-12-31T23:59:59.999999Z"),
    (951_782_400_000_000, "2000-02-29T00:00:00.000000Z"),
    (951_868_799_999_999, "2000-02-29T23:59:59.999999Z"),
    (951_868_800_000_000, "2000-03-01T00:00:00.000000Z"),
    (4_107_542_399_000_000, "2100-02-28T23:59:59.000000Z"),
    (4_107_542_400_000_000, "2100-03-01T00:00:00.000000Z"),
    (1_709_164_800_000_000, "2024-02-29T00:00:00.000000Z"),
    (1_795_250_461_123_456, "2026-11-21T08:41:01.123456Z"),
    (-2_203_891_200_000_000, "1900-03-01T00:00:00.000000Z"),
    (-2_203_977_600_000_000, "1900-02-28T00:00:00.000000Z"),
    (-11_676_096_000_000_000, "1600-01-01T00:00:00.000000Z"),
    (-62_135_596_800_000_000, "0001-01-01T00:00:00.000000Z"),
    (-62_167_219_200_000_000, "0000-01-01T00:00:00.000000Z"),
    (253_402_300_799_999_999, "9999-12-31T23:59:59.999999Z"),
  ]

  @Test("known times are written and read", arguments: vectors)
  func known(microseconds: Int64, text: String) {
    #expect(Timestamp.string(microseconds: microseconds) == text)
    #expect(Timestamp.microseconds(text) == microseconds)
  }

  @Test("every time of the years 0 to 9999 is read back, and text sorts as time, for 10,000 random ones")
  func roundTrip() {
    var generator = SeededGenerator(seed: 5)
    var times: [Int64] = []
    for _ in 0..<10_000 {
      let time = Int64.random(in: -62_167_219_200_000_000...253_402_300_799_999_999, using: &generator)
      #expect(Timestamp.microseconds(Timestamp.string(microseconds: time)) == time)
      times.append(time)
    }
    let texts = times.map { Timestamp.string(microseconds: $0) }
    #expect(texts.sorted() == times.sorted().map { Timestamp.string(microseconds: $0) })
  }

  @Test(
    "the forms that kptn's Python client writes are read",
    arguments: [
      ("1970-01-01T00:00:01", 1_000_000), ("1970-01-01 00:00:01", 1_000_000), ("1970-01-01T00:00:01Z", 1_000_000),
      ("1970-01-01T00:00:01.5", 1_500_000), ("1970-01-01T00:00:01.123456+00:00", 1_123_456),
      ("1970-01-01T00:00:00.1234567Z", 123_456), ("1970-01-01T00:00:00.000001", 1),
    ] as [(String, Int64)])
  func otherForms(text: String, microseconds: Int64) {
    #expect(Timestamp.microseconds(text) == microseconds)
  }

  @Test(
    "anything else is not a time",
    arguments: [
      "", "1970", "1970-01-01", "1970-01-01T00:00", "1970-13-01T00:00:00Z", "1970-00-01T00:00:00Z",
      "1970-01-32T00:00:00Z", "1970-01-00T00:00:00Z", "1970-01-01T00:00:00+01:00", "1970-01-01T00:00:00 Z",
      "1970/01/01T00:00:00Z", "1970-01-01T00:00:00Zx", "yesterday", "+970-01-01T00:00:00Z", "1970-+1-01T00:00:00Z",
      "-970-01-01T00:00:00Z", "1970-01-01T24:00:00Z", "1970-01-01T00:60:00Z", "1970-01-01T00:00:61Z",
      "1970-02-31T00:00:00Z", "2100-02-29T00:00:00Z", "1970-01-01T-0:00:00Z",
    ])
  func invalid(text: String) {
    #expect(Timestamp.microseconds(text) == nil)
  }

  @Test(
    "durations are written for people",
    arguments: [
      (0, "0 µs"), (850, "850 µs"), (999, "999 µs"), (1000, "1 ms"), (12_345, "12 ms"), (999_999, "999 ms"),
      (1_000_000, "1.0 s"), (3_456_789, "3.4 s"), (59_999_999, "59.9 s"), (60_000_000, "1 min 00 s"),
      (125_000_000, "2 min 05 s"), (3_600_000_000, "1 h 00 min"), (11_400_000_000, "3 h 10 min"),
    ] as [(Int64, String)])
  func durations(microseconds: Int64, text: String) {
    #expect(Timestamp.duration(microseconds: microseconds) == text)
  }
}
