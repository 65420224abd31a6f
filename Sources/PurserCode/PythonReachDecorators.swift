import PurserModel

/// Names whose meaning is known.
enum PythonReachDecorators {
  /// Libraries whose decorators only act on what they decorate.
  private static let libraries: Set<ByteString> = [
    "abc", "attr", "attrs", "beartype", "cachetools", "contextlib", "dask", "dataclasses", "enum", "functools", "jax",
    "joblib", "numba", "prefect", "pytest", "ray", "tenacity", "torch", "typeguard", "typing", "typing_extensions",
  ]

  /// Whether a decorator of no project file leaves alone all but what it decorates. What registers something does not.
  static func isInert(_ path: [ByteString]) -> Bool {
    guard let library = path.first, libraries.contains(library) else { return false }
    return !path.contains { $0.escaped.contains("regist") }
  }

  static func isBuiltin(_ name: ByteString) -> Bool {
    name == "staticmethod" || name == "classmethod" || name == "property"
  }

  /// Whether every module has an attribute of the name without a statement for it.
  static func isModuleOwn(_ name: ByteString) -> Bool {
    switch name {
    case "__name__", "__file__", "__path__", "__package__", "__spec__", "__loader__", "__cached__", "__doc__": true
    default: false
    }
  }
}
