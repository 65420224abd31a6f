/// The tasks behind each task.
struct Dependents {
  private var starts: [Int] = [0]
  private var places: [Int] = []

  init() {}

  /// Those of the tasks that are asked for.
  init(_ tasks: PipelineTasks, _ plan: Plan) {
    starts = Array(repeating: 0, count: tasks.count + 1)
    for place in tasks.indices where plan.entries[place] != nil {
      for dependency in tasks.dependencies(of: place) { starts[dependency + 1] += 1 }
    }
    for place in tasks.indices { starts[place + 1] += starts[place] }
    places = Array(repeating: 0, count: starts[tasks.count])
    var next = starts
    for place in tasks.indices where plan.entries[place] != nil {
      for dependency in tasks.dependencies(of: place) {
        places[next[dependency]] = place
        next[dependency] += 1
      }
    }
  }

  subscript(place: Int) -> ArraySlice<Int> { places[starts[place]..<starts[place + 1]] }
}
