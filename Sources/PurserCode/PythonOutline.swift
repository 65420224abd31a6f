import PurserModel

/// What one Python file says at module level: which names its statements bind, what executing them does, and what they
/// use. A function of the file's bytes alone.
///
/// Where it cannot be told, more counts rather than less: a statement binds and uses every name that it may. Names are
/// told apart by their bytes; those that are not ASCII all count as one (``otherName``), for Python takes some of them
/// for the same.
struct PythonOutline: Sendable, Equatable {
  /// Each name once.
  var names: [ByteString] = []
  /// Each dotted name that is used, once, behind what it is an attribute of.
  var paths: [Path] = []
  /// The statements that bind names, or do something; in order.
  var units: [Unit] = []
  /// Why there are no units, and every byte of the file has to count.
  var refusal: References.Remark?

  /// What every name counts as that is not ASCII.
  static let otherName: ByteString = "(not ASCII)"
  /// Of `a.b.c.…`, the first name and so many attributes count.
  static let attributeLimit = 8

  /// A name, or an attribute of a path.
  struct Path: Sendable, Equatable {
    /// A number in ``PythonOutline/paths``, smaller than its own; -1 for a name that stands alone.
    var parent: Int
    /// A number in ``PythonOutline/names``.
    var name: Int
  }

  /// A statement at module level: a whole compound statement, or one module or name of an import statement.
  struct Unit: Sendable, Equatable {
    /// From 1.
    var line: Int
    /// Of its normal form.
    var digest: Digest
    var traits: Traits = []
    /// The names that it may bind at module level, each once.
    var binds: [Int] = []
    /// The paths that it uses, each once. Of a path that goes on, the parents are not among them for that.
    var uses: [Use] = []
    var imports: [Import] = []
    /// The paths of decorators at module level.
    var decorators: [Int] = []
    /// Names of the file that its strings hold; only where a statement of the file has ``Traits/evaluatesText``.
    var words: [Int] = []
    /// Imported names of which it takes an attribute by a computed name.
    var reflections: [Reflection] = []
    /// Why it cannot be told which names it uses.
    var obstacle: References.Remark?
  }

  struct Traits: OptionSet, Sendable {
    let rawValue: UInt8

    /// Executing it may do more than bind names.
    static let isActive = Traits(rawValue: 1)
    /// `if __name__ == "__main__":` without an alternative.
    static let isMain = Traits(rawValue: 2)
    /// A function, with its decorators.
    static let isFunction = Traits(rawValue: 4)
    /// One module or name of an import statement.
    static let isImport = Traits(rawValue: 8)
    /// Binds names to values that are written out and cannot change.
    static let isConstant = Traits(rawValue: 16)
    /// Executing it runs other code: a call, a decorator, what a base class does with the classes made of it.
    static let runsCode = Traits(rawValue: 32)
    /// Calls what may take names from a string: `frame.query("x > @limit")`.
    static let evaluatesText = Traits(rawValue: 64)
    /// An import of a name that nothing in the file uses.
    static let isIdle = Traits(rawValue: 128)
  }

  struct Use: Sendable, Equatable {
    /// A number in ``PythonOutline/paths``.
    var path: Int
    var modes: Modes
  }

  struct Modes: OptionSet, Sendable {
    let rawValue: UInt8

    /// When the statement is executed.
    static let immediate = Modes(rawValue: 1)
    /// When a function in it is called.
    static let deferred = Modes(rawValue: 2)
    /// In an annotation at module level, or in a class or a header of a function there.
    static let annotation = Modes(rawValue: 4)
    /// What is assigned to, or a part of it.
    static let stored = Modes(rawValue: 8)
  }

  /// One module or name that is imported.
  struct Import: Sendable, Equatable {
    var kind: Kind
    /// The parts of the module's name.
    var path: [Int]
    /// How many dots stand before it.
    var level: Int
    /// What is imported of it, for ``Kind/member``.
    var member: Int?
    /// The name that it gets; `nil` for those that get none.
    var binding: Int?
    /// Whether it is executed with its statement, and not when a function in it is called.
    var isImmediate: Bool

    enum Kind: UInt8, Sendable {
      /// `import a.b`, which binds `a`.
      case top = 1
      /// `import a.b as c`.
      case whole = 2
      /// `from a import b`.
      case member = 3
      /// `from a import *`.
      case all = 4
      /// `import_module("a.b")`.
      case call = 5
    }
  }

  /// `getattr(module, name)`.
  struct Reflection: Sendable, Equatable {
    var name: Int
    var line: Int
  }
}

extension PythonOutline {
  /// Reads a file. O(bytes).
  ///
  /// - Throws: the error of a file that is no Python, as far as that is looked at.
  init(of bytes: [UInt8]) throws(PythonSyntaxError) {
    let source = try PythonTokens(bytes)
    try PythonStructure.check(source)
    var builder = PythonOutlineBuilder(source)
    self = builder.build()
  }

  /// A path's first name and its attributes.
  func parts(of path: Int) -> [Int] {
    var parts: [Int] = []
    var path = path
    while path >= 0 {
      parts.append(paths[path].name)
      path = paths[path].parent
    }
    return parts.reversed()
  }
}
