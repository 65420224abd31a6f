import Glibc
import PurserExecution
public import PurserModel
import PurserStore
import Synchronization

/// A closure that carries a task, or an item of it, out.
package struct TaskClosure: Sendable {
  /// What its author says it does; `nil` where the program itself stands for it.
  var version: String?
  /// Takes an item's JSON, for a mapped task, and gives the JSON text of what it returned, if it returns anything.
  var body: @Sendable (TaskContext, String?) async throws -> String?

  static func decode<Item: Decodable>(_ item: String?, of context: TaskContext) throws -> Item {
    let text = item ?? "null"
    do {
      return try JSON(parsing: text.utf8).decoded()
    } catch {
      throw PurserError(
        .refused,
        "an item of task '\(context.task)' is no \(Item.self): \(PurserError.words(for: error)); it is \(text)")
    }
  }

  /// Runs the closure on the calling thread and blocks until it is over.
  ///
  /// - Parameter isStopped: looked at a few times a second; once it is true, the closure's task is cancelled.
  func run(_ context: TaskContext, item: String?, isStopped: () -> Bool) throws -> String? {
    let executor = CallingThread()
    let outcome = Mutex<Result<String?, any Error>?>(nil)
    let task = Task.detached(executorPreference: executor) { [body] in
      do {
        let text = try await body(context, item)
        outcome.withLock { $0 = .success(text) }
      } catch {
        outcome.withLock { $0 = .failure(error) }
      }
      executor.wake()
    }
    executor.work(until: { outcome.withLock { $0 != nil } }) {
      if isStopped() { task.cancel() }
    }
    return try outcome.withLock { $0 }?.get() ?? nil
  }
}

/// Carries asynchronous work out on the thread that waits for it, where blocking harms nobody else.
private final class CallingThread: TaskExecutor, @unchecked Sendable {
  private static let patience: Int = 100_000_000

  // Guard: `mutex`, for `jobs`.
  private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
  private let changed = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
  private var jobs: [UnownedJob] = []

  init() {
    pthread_mutex_init(mutex, nil)
    pthread_cond_init(changed, nil)
  }

  deinit {
    pthread_cond_destroy(changed)
    pthread_mutex_destroy(mutex)
    changed.deallocate()
    mutex.deallocate()
  }

  func enqueue(_ job: consuming ExecutorJob) {
    pthread_mutex_lock(mutex)
    jobs.append(UnownedJob(job))
    pthread_cond_signal(changed)
    pthread_mutex_unlock(mutex)
  }

  func wake() {
    pthread_mutex_lock(mutex)
    pthread_cond_signal(changed)
    pthread_mutex_unlock(mutex)
  }

  /// Works off jobs until the work is over and no job is left; `lookAround` is called now and then meanwhile.
  func work(until isOver: () -> Bool, lookAround: () -> Void) {
    while true {
      pthread_mutex_lock(mutex)
      if jobs.isEmpty {
        if isOver() {
          pthread_mutex_unlock(mutex)
          return
        }
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        time.tv_nsec += Self.patience
        if time.tv_nsec >= 1_000_000_000 {
          time.tv_nsec -= 1_000_000_000
          time.tv_sec += 1
        }
        pthread_cond_timedwait(changed, mutex, &time)
      }
      let due = jobs
      jobs = []
      pthread_mutex_unlock(mutex)
      for job in due { job.runSynchronously(on: asUnownedTaskExecutor()) }
      lookAround()
    }
  }
}

/// What a closure that carries a task out is told, and may ask.
public struct TaskContext: Sendable {
  /// The task.
  public let task: String
  /// The key of the item that is carried out; `nil` for a task that is not mapped.
  public let item: String?
  /// The project, and the storage key and pipeline under which the run is recorded.
  public let project: Project
  let cache: TaskCache
  let upstream: [String]
  let printLine: @Sendable (String) -> Void

  /// Whether the run was told to stop: what is not done by now need not be.
  public var isCancelled: Bool { Task.isCancelled }

  /// What a task that this one comes after returned.
  ///
  /// - Throws: `refused` for a task that is not among those, `missing` for one that returned nothing, and where the data
  ///   is of another type.
  public func data<Value: Decodable>(of task: String, as type: Value.Type = Value.self) throws -> Value {
    guard upstream.contains(task) else {
      throw PurserError(
        .refused,
        "task '\(self.task)' asks for the data of '\(task)', which it does not come after"
          + Suggestion.hint(task, among: upstream) + "; name it in 'after'")
    }
    guard let value: Value = try cache.data(of: task, as: type) else {
      throw PurserError(.missing, "task '\(task)' returned no data, which '\(self.task)' asks for")
    }
    return value
  }

  /// The absolute path of a path of the project, for the file functions of Swift.
  public func path(_ path: ByteString) -> String { String(decoding: project.location(of: path).bytes, as: UTF8.self) }

  /// Prints a line to the task's log, and to whoever observes the run.
  public func print(_ text: String) { printLine(text) }
}

extension PurserError {
  /// What an error of somebody else's says.
  static func words(for error: any Error) -> String {
    switch error {
    case let error as PurserError: error.message
    case DecodingError.typeMismatch(_, let context), DecodingError.valueNotFound(_, let context),
      DecodingError.keyNotFound(_, let context), DecodingError.dataCorrupted(let context):
      words(context.codingPath, context.debugDescription)
    case EncodingError.invalidValue(_, let context): words(context.codingPath, context.debugDescription)
    case is CancellationError: "it was cancelled"
    default: "\(error)"
    }
  }

  /// What is wrong with a value, and where in it.
  private static func words(_ path: [any CodingKey], _ what: String) -> String {
    guard !path.isEmpty else { return what }
    return path.map { $0.intValue.map { "[\($0)]" } ?? $0.stringValue }.joined(separator: ".") + ": " + what
  }
}
