import PurserCode
import PurserModel
import Testing

@Suite("Languages")
struct LanguageTests {
  @Test(
    "The suffix tells the language, in any case",
    arguments: [
      ("a/step.py", Language.Guess.known(.python)), ("STEP.PY", .known(.python)), ("gui.pyw", .known(.python)),
      ("model.R", .known(.r)), ("model.r", .known(.r)), ("lib.sh", .known(.shell)), ("lib.bash", .known(.shell)),
      ("data.csv", .none), ("Makefile", .unknown), ("bin/tool", .unknown), (".bashrc", .unknown),
      ("a.py/tool", .unknown),
      ("a.py.txt", .none), ("step.task", .unknown),
    ])
  func suffixes(_ path: String, _ guess: Language.Guess) {
    #expect(Language.guess(path: ByteString(path)) == guess)
  }

  @Test(
    "The first line tells the language of a file without suffix",
    arguments: [
      ("#!/usr/bin/env python3\n", Language.python), ("#!/usr/bin/python3.11 -u\nx", .python),
      ("#!/usr/bin/env -S FOO=1 python3", .python), ("#!/bin/sh -eu\n", .shell), ("#! /bin/bash\n", .shell),
      ("#!/usr/bin/env -S uv run --script\n", .python), ("#!/usr/bin/env -u FOO python3\n", .python),
      ("#!/usr/bin/env Rscript\n", .r), ("#!/usr/bin/perl\n", nil), ("import os\n", nil), ("", nil), ("#!", nil),
    ] as [(String, Language?)])
  func firstLines(_ text: String, _ language: Language?) {
    #expect(Language(firstBytes: Array(text.utf8)) == language)
  }
}
