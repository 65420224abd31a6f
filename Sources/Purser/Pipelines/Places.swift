import Glibc
import PurserExecution
import PurserModel
import Synchronization

/// The places for the commands of a run, as many as it may have at once.
///
/// Around short commands, deciding about them and recording them takes as long as they do. Then more tasks are under way
/// than there are places: some are made ready while others are recorded, and what they record shares transactions.
///
/// `@unchecked Sendable`: POSIX semaphores may be used from any thread.
final class Places: @unchecked Sendable {
  private let count: Int
  private let free = UnsafeMutablePointer<sem_t>.allocate(capacity: 1)
  /// The running average of how long a place is held, in microseconds; long, until it is known.
  private let average = Atomic(Places.unknown)

  private static let unknown = 1_000_000
  /// Commands that take less, in microseconds, are short.
  private static let short = 20_000
  /// How many tasks may be ready for a place, or be recorded, beside those that have one.
  static let mostAhead = 22

  init(count: Int) {
    self.count = count
    sem_init(free, 0, UInt32(count))
  }

  deinit {
    sem_destroy(free)
    free.deallocate()
  }

  /// Waits for a place, and has it while `body` runs.
  func hold<Result>(_ body: () throws -> Result) rethrows -> Result {
    let place = Place(of: self)
    place.take()
    defer { place.giveBack() }
    return try body()
  }

  /// A place, for one who waits for it, has it, and gives it back; for one thread.
  final class Place {
    private let places: Places
    private var taken: MonotonicTime?

    init(of places: Places) {
      self.places = places
    }

    deinit {
      giveBack()
    }

    /// Waits until there is one.
    func take() {
      while sem_wait(places.free) != 0 && errno == EINTR {}
      taken = .now()
    }

    /// Does nothing where none was taken, or was given back already.
    func giveBack() {
      guard let start = taken else { return }
      taken = nil
      let held = Int(clamping: start.duration(to: .now()).microseconds)
      // Where two threads meet here, one of them is not counted, which does no harm.
      let before = places.average.load(ordering: .relaxed)
      places.average.store((before * 7 + min(held, Places.unknown)) / 8, ordering: .relaxed)
      sem_post(places.free)
    }
  }

  /// How many tasks more than there are places are worth being under way. With one place, none: then each task is looked
  /// at when the one before it is over, also where one makes what another reads and does not say so.
  var ahead: Int { count > 1 && average.load(ordering: .relaxed) < Self.short ? Self.mostAhead : 0 }
}
