/// Something that a walk through code comes to.
enum PythonReachTarget: Equatable {
  /// A file is loaded as a module.
  case execute(Int)
  /// A file is run as a program.
  case run(Int)
  /// All names of a module are imported.
  case exports(Int)
  /// A module is used in a way that does not tell what of it.
  case everything(Int)
  /// So is a package: then what lies in its folder may be used as well.
  case below(Int)
  case attribute(Attribute)
  case unit(Unit)

  /// A name of a module, and attributes of what it stands for.
  struct Attribute: Equatable {
    var file: Int
    /// In the walk's table of paths.
    var path: Int
    /// Whether the module itself uses the name.
    var isOwn: Bool
    /// Whether something is assigned to it, or to a part of it.
    var isStored: Bool
  }

  /// A statement of a module.
  struct Unit: Equatable {
    var file: Int
    var number: Int
    /// Whether the functions in it are called.
    var isWhole: Bool
  }
}

extension PythonReachTarget: Hashable {
  /// One word for all of it: a walk looks up every target that it comes to.
  func hash(into hasher: inout Hasher) {
    let word: (kind: Int, file: Int, rest: Int) =
      switch self {
      case .execute(let file): (0, file, 0)
      case .run(let file): (1, file, 0)
      case .exports(let file): (2, file, 0)
      case .everything(let file): (3, file, 0)
      case .below(let folder): (4, folder, 0)
      case .attribute(let attribute):
        (8 + (attribute.isOwn ? 1 : 0) + (attribute.isStored ? 2 : 0), attribute.file, attribute.path)
      case .unit(let unit): (12 + (unit.isWhole ? 1 : 0), unit.file, unit.number)
      }
    hasher.combine(word.kind ^ word.file << 4 ^ word.rest << 30)
  }
}

/// Names with attributes, `a.b.c`, each with a number: a list of its first name and the path of the rest.
struct PythonReachPaths {
  private struct Pair: Hashable {
    var name: Int
    var rest: Int
  }

  private var pairs = [Pair(name: -1, rest: 0)]
  private var numbers: [Pair: Int] = [:]

  /// The path without names.
  static let empty = 0

  mutating func number(of name: Int, rest: Int = empty) -> Int {
    let pair = Pair(name: name, rest: rest)
    if let number = numbers[pair] { return number }
    numbers[pair] = pairs.count
    pairs.append(pair)
    return pairs.count - 1
  }

  /// The first name of a path that is not empty.
  func name(_ path: Int) -> Int { pairs[path].name }

  func rest(_ path: Int) -> Int { pairs[path].rest }
}
