import Glibc
import PurserExecution
import Synchronization
import Testing

@testable import Purser

@Suite("The places of a run")
struct PlacesTests {
  @Test("as many have one as there are, and nobody is left out")
  func most() {
    let places = Places(count: 3)
    let held = Atomic(0)
    let most = Mutex(0)
    let done = Atomic(0)
    let pool = WorkerPool(count: 12)
    for _ in 0..<60 {
      pool.submit {
        places.hold {
          let now = held.add(1, ordering: .sequentiallyConsistent).newValue
          most.withLock { $0 = max($0, now) }
          usleep(500)
          held.subtract(1, ordering: .sequentiallyConsistent)
        }
        done.add(1, ordering: .sequentiallyConsistent)
      }
    }
    while done.load(ordering: .sequentiallyConsistent) < 60 { usleep(1000) }
    #expect(most.withLock { $0 } == 3)
  }

  @Test("one is given back once, however often that is said, and at the latest when nobody has it any more")
  func giveBack() {
    let places = Places(count: 1)
    do {
      let first = Places.Place(of: places)
      first.giveBack()
      first.take()
      first.giveBack()
      first.giveBack()
    }
    do {
      let second = Places.Place(of: places)
      second.take()
    }
    // There is one again, and only one.
    let third = Places.Place(of: places)
    third.take()
    let isTaken = Atomic(false)
    let pool = WorkerPool(count: 1)
    pool.submit { places.hold { isTaken.store(true, ordering: .sequentiallyConsistent) } }
    usleep(20_000)
    let wasTaken = isTaken.load(ordering: .sequentiallyConsistent)
    #expect(!wasTaken)
    third.giveBack()
    while !isTaken.load(ordering: .sequentiallyConsistent) { usleep(1000) }
  }

  @Test("more tasks than places are under way while commands are short, and with several places only")
  func ahead() {
    let (one, two) = (Places(count: 1), Places(count: 2))
    // Nobody knows yet.
    #expect(two.ahead == 0)
    for _ in 0..<60 {
      one.hold {}
      two.hold {}
    }
    #expect(two.ahead > 0)
    #expect(one.ahead == 0)
    two.hold { _ = usleep(250_000) }
    #expect(two.ahead == 0)
  }
}
