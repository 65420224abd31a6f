/// Memory that several threads fill, each its own elements.
final class SharedBuffer<Element>: @unchecked Sendable {
  // Guard: an element is written by one thread only, and read after that thread was joined.
  private let elements: UnsafeMutableBufferPointer<Element>

  init(count: Int, _ value: Element) {
    elements = .allocate(capacity: count)
    elements.initialize(repeating: value)
  }

  deinit {
    elements.deinitialize()
    elements.deallocate()
  }

  subscript(index: Int) -> Element {
    get { elements[index] }
    set { elements[index] = newValue }
  }
}
