import Testing

@testable import PurserPipeline

@Suite("YAML scalars")
struct YAMLScalarTests {
  @Test(
    "a plain scalar stands for what PyYAML takes it for",
    arguments: [
      ("", .null), ("~", .null), ("null", .null), ("Null", .null), ("NULL", .null), ("nULL", .text),
      ("yes", .bool(true)), ("Yes", .bool(true)), ("YES", .bool(true)), ("on", .bool(true)), ("TRUE", .bool(true)),
      ("no", .bool(false)), ("Off", .bool(false)), ("false", .bool(false)), ("yEs", .text), ("y", .text), ("N", .text),
      ("0", .integer(0)), ("1", .integer(1)), ("-1", .integer(-1)), ("+1", .integer(1)), ("-0", .integer(0)),
      ("00", .integer(0)), ("07", .integer(7)), ("08", .text), ("010", .integer(8)), ("-010", .integer(-8)),
      ("0_7", .integer(7)), ("0_", .integer(0)), ("0x1F", .integer(31)), ("-0x1f", .integer(-31)), ("0xg", .text),
      ("0x", .text), ("0b101", .integer(5)), ("0b2", .text), ("0b", .text), ("0o17", .text), ("1_000", .integer(1000)),
      ("_1", .text), ("1_", .integer(1)), ("--1", .text), ("+-1", .text), ("+", .text), ("-", .text), ("1 2", .text),
      ("9223372036854775807", .integer(.max)), ("-9223372036854775808", .integer(.min)),
      ("9223372036854775808", .overflow), ("-9223372036854775809", .overflow), ("0xffffffffffffffff", .overflow),
      ("1.5", .number(1.5)), ("-1.5", .number(-1.5)), ("1.", .number(1)), (".5", .number(0.5)), ("-.5", .text),
      (".", .text), ("..", .text), (".e1", .text), ("1.e+5", .number(100_000)), ("1.5e3", .text),
      ("1.5e+3", .number(1500)), ("1.5E-3", .number(0.0015)), ("1e5", .text), ("1e+5", .text), ("1.5e+", .text),
      ("1_0.5", .number(10.5)), ("1._5", .number(1.5)), ("._5", .text), (".5_", .number(0.5)), ("0.", .number(0)),
      ("007.5", .number(7.5)), ("1.2.3", .text), ("1.5.e+3", .text), ("1.0e+999", .number(.infinity)),
      ("1:30", .integer(90)), ("01:30", .text), ("1:60", .text), ("1:3:5", .integer(3785)), ("-1:30", .integer(-90)),
      ("1:30.5", .number(90.5)), ("1:30.", .number(90)), ("0:30", .text), ("0:30.5", .number(30.5)), ("1:300", .text),
      (":1", .text), ("1:2_", .text), ("1_0:30", .integer(630)), ("99999999999999999999:10", .overflow),
      (".inf", .number(.infinity)), ("-.inf", .number(-.infinity)), (".iNF", .text), ("-.nan", .text),
      ("2024-01-02", .text), ("0x1p3", .text), ("²", .text), ("١", .text), ("=", .text),
    ] as [(String, YAMLScalar.Value)])
  func plain(text: String, value: YAMLScalar.Value) {
    #expect(YAMLScalar(text: text, isPlain: true).value == value)
    #expect(YAMLScalar(text: text, isPlain: false).value == .text)
  }

  @Test("a number that is none is not one", arguments: [".nan", ".NaN", ".NAN"])
  func notANumber(text: String) {
    guard case .number(let number) = YAMLScalar(text: text, isPlain: true).value else {
      Issue.record("\(text) is no number")
      return
    }
    #expect(number.isNaN)
  }

  @Test("values of config and args become JSON with sorted members")
  func json() throws {
    let file = try parse(
      #"""
      config:
        b: {z: 1, a: [0x10, 010, 1_0, 1.50, 1.e+3, yes, off, ~, "~", "1", 2024-01-02, !!str 5, ! 6, 'no']}
        a: "\u00e9\"\\\n"
        1: x
      tasks: {t: {command: x}}
      """#)
    #expect(
      file.graphs[0].config.text
        == #"{"1":"x","a":"é\"\\\n","b":{"a":[16,8,10,1.5,1000.0,true,false,null,"~","1","2024-01-02","5","6","no"],"#
        + #""z":1}}"#)
  }

  @Test("numbers that JSON does not have are refused")
  func refused() {
    #expect(
      problems(
        "config:\n  a: [1, .inf]\n  b: {c: .nan}\n  d: 9223372036854775808\n  e: 1.0e+999\ntasks: {t: {command: x}}")
        == [
          "2:10: error: 'config' holds '.inf', a number that JSON does not have; put it in quotes",
          "3:10: error: 'config' holds '.nan', a number that JSON does not have; put it in quotes",
          "4:6: error: 'config' holds '9223372036854775808', a number that does not fit into 64 bits; put it in quotes",
          "5:6: error: 'config' holds '1.0e+999', a number that JSON does not have; put it in quotes",
        ])
  }

  @Test("where a text is meant, it is taken as it is written")
  func texts() throws {
    let words = try task("command: [echo, yes, 010, 1.50, 'no', ''], outputs: [1.10, off], env: NO")
    #expect(words.command == .words(["echo", "yes", "010", "1.50", "no", ""]))
    #expect(words.outputs == ["1.10", "off"])
    #expect(words.environment == ["NO"])
    #expect(try task("command: true").command == .shell("true"))
  }
}
