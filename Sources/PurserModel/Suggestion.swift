/// Finds the name that a misspelt word was probably meant to be.
public enum Suggestion {
  /// Longer words get no suggestion: comparing costs the product of the lengths.
  private static let maximumLength = 200

  /// `; did you mean 'x'?` for the nearest of the known names, if it is near; else nothing. O(n l²) at worst, where l
  /// is the length of the word; names whose length alone makes them too far are not compared.
  public static func hint(_ word: String, among known: [String]) -> String {
    let letters = Array(word.unicodeScalars)
    guard letters.count <= maximumLength else { return "" }
    var limit = min(max(2, letters.count / 3), letters.count - 1)
    var nearest: String?
    for name in known {
      // A scalar has one to four bytes.
      guard name.utf8.count >= letters.count - limit, name.utf8.count <= (letters.count + limit) * 4 else { continue }
      let other = Array(name.unicodeScalars)
      guard limit >= 0, abs(other.count - letters.count) <= limit else { continue }
      guard let distance = distance(letters, other, limit: limit) else { continue }
      nearest = name
      limit = distance - 1
      if limit < 0 { break }
    }
    return nearest.map { "; did you mean '\(ByteString($0).printable)'?" } ?? ""
  }

  /// Insertions, deletions, substitutions and swaps of neighbours that turn one word into the other (Damerau,
  /// restricted). O(n m).
  public static func distance(_ left: String, _ right: String) -> Int {
    let (a, b) = (Array(left.unicodeScalars), Array(right.unicodeScalars))
    return distance(a, b, limit: max(a.count, b.count)) ?? max(a.count, b.count)
  }

  /// `nil` if it is more than `limit`, as soon as that is certain. Places further apart than the limit are not looked
  /// at. O(n limit).
  private static func distance(_ a: [Unicode.Scalar], _ b: [Unicode.Scalar], limit: Int) -> Int? {
    guard abs(a.count - b.count) <= limit else { return nil }
    let tooFar = limit + 1
    var previous = (0...b.count).map { min($0, tooFar) }
    var beforePrevious = previous
    var row = previous
    var previousLeast = 0
    for i in a.indices {
      let first = max(0, i - limit)
      let last = min(b.count - 1, i + limit)
      row[first] = first == 0 ? min(i + 1, tooFar) : tooFar
      var least = row[first]
      if first <= last {
        for j in first...last {
          var cost = min(row[j] + 1, previous[j + 1] + 1, previous[j] + (a[i] == b[j] ? 0 : 1), tooFar)
          if i > 0, j > 0, a[i] == b[j - 1], a[i - 1] == b[j] { cost = min(cost, beforePrevious[j - 1] + 1) }
          row[j + 1] = cost
          least = min(least, cost)
        }
        if last + 2 <= b.count { row[last + 2] = tooFar }
      }
      // A swap of neighbours reaches back two rows.
      if least > limit, previousLeast > limit { return nil }
      previousLeast = least
      swap(&beforePrevious, &previous)
      swap(&previous, &row)
    }
    return previous[b.count] <= limit ? previous[b.count] : nil
  }
}
