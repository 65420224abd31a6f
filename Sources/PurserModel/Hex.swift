/// Lower-case hexadecimal.
public enum Hex {
  /// Two digits a byte. O(n).
  public static func string(_ bytes: some Sequence<UInt8>) -> String {
    var text: [UInt8] = []
    for byte in bytes {
      text.append(digit(byte >> 4))
      text.append(digit(byte & 15))
    }
    return String(decoding: text, as: UTF8.self)
  }

  static func digit(_ value: UInt8) -> UInt8 {
    value < 10 ? UInt8(ascii: "0") + value : UInt8(ascii: "a") + value - 10
  }

  /// The value of one digit, either case, or `nil`.
  package static func value(_ digit: UInt8) -> UInt8? {
    switch digit {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): digit - UInt8(ascii: "0")
    case UInt8(ascii: "a")...UInt8(ascii: "f"): digit - UInt8(ascii: "a") + 10
    case UInt8(ascii: "A")...UInt8(ascii: "F"): digit - UInt8(ascii: "A") + 10
    default: nil
    }
  }

  /// The value of eight digits of either case, as they lie in memory, all at once; `wrong` gets a bit for each that is none.
  static func value(ofEight loaded: UInt64, _ wrong: inout UInt64) -> UInt64 {
    let digits = UInt64(bigEndian: loaded)
    let ones: UInt64 = 0x0101_0101_0101_0101
    // A letter has bit 6 set, and its last four bits count from 1.
    let letters = digits >> 6 & ones
    let values = (digits & (ones &* 15)) &+ letters &* 9
    // "0" to "?", or "`" to "o"; then: from 10 on exactly the letters, and nothing from 16 on.
    wrong |= ((digits | letters << 5) & (ones &* 0xf0)) ^ (ones &* 0x30 &+ letters &* 0x30)
    wrong |= ((values &+ ones &* 6) >> 4 & ones) ^ letters
    wrong |= values & (ones &* 16)
    let pairs = (values | values >> 4) & 0x00ff_00ff_00ff_00ff
    let fours = (pairs | pairs >> 8) & 0x0000_ffff_0000_ffff
    return (fours | fours >> 16) & 0xffff_ffff
  }
}
