import PurserPipeline
import Testing

@Suite("Graphs of a pipeline file")
struct GraphTests {
  /// `name: dependencies` for each task.
  private func shape(_ graph: GraphDefinition) -> [String] {
    graph.nodes.map { ([$0.task] + $0.dependencies).joined(separator: " ") }
  }

  private func arguments(_ node: GraphDefinition.Node) -> [String] {
    node.arguments.map { "\($0.name)=\($0.value.text)" }
  }

  @Test("parents come first, with arguments laid over theirs")
  func inheritance() throws {
    let file = try parse(Sample.purser)
    #expect(file.graphs.map(\.name) == ["base", "full"])
    #expect(shape(file.graphs[0]) == ["fetch", "clean fetch", "model fetch clean"])
    #expect(arguments(file.graphs[0].nodes[2]) == ["rate=0.5", "source={\"ref\":\"fetch\"}"])
    #expect(
      shape(file.graphs[1]) == ["fetch", "clean fetch", "model fetch clean", "each model", "report each clean"])
    #expect(arguments(file.graphs[1].nodes[2]) == ["rate=0.25", "source={\"ref\":\"fetch\"}", "seed=7"])
    #expect(file.graphs[0].mark == SourceMark(line: 13, column: 3))
    #expect(file.graphs[0].nodes[1].mark == SourceMark(line: 17, column: 7))
    #expect(file.graphs[1].nodes[1].mark == SourceMark(line: 17, column: 7))
    // A graph's config is laid over the file's, but not inherited.
    #expect(
      file.graphs[0].config.text
        == #"{"extra":31,"nested":{"list":[1,2.5,true,null,"no"],"name":"Käse"},"year":2025}"#)
    #expect(file.graphs[1].config.text == #"{"nested":{"list":[1,2.5,true,null,"no"],"name":"Käse"},"year":2024}"#)
  }

  @Test("dependencies may be nothing, a name, a list, or a mapping with 'deps'")
  func dependencies() throws {
    let file = try parse(Sample.kptn, .kptn)
    #expect(shape(file.graphs[0]) == ["P", "Q P", "R", "S R", "T Q S"])
    #expect(shape(file.graphs[1]) == ["pair_list", "pair_each pair_list", "pair_bundles pair_list"])
    #expect(shape(file.graphs[2]) == ["fixed"])
    #expect(shape(file.graphs[3]) == shape(file.graphs[0]) + shape(file.graphs[1]))
    let other = try parse(
      "graphs: {g: {tasks: {a: ~, b: [' a ', a, '', ~], c: {deps: [b, a, b]}, d: '', e: {args: {x: 1}}}}}\n"
        + "tasks: {" + "abcde".map { "\($0): {file: x.py}" }.joined(separator: ", ") + "}", .kptn)
    #expect(shape(other.graphs[0]) == ["a", "b a", "c b a", "d", "e"])
  }

  @Test("the first definition of a task counts, a parent's before the graph's own")
  func firstCounts() throws {
    let file = try parse(
      """
      graphs:
        one: {tasks: {a: , b: {deps: a, args: {x: 1}}}}
        two: {tasks: {c: , a: c, b: {args: {x: 2}}}}
        both:
          extends: [one, {graph: two, args: {b: {x: 3}, c: {y: 4}}}]
          tasks: {c: b, d: a}
      tasks: {a: {command: x}, b: {command: x}, c: {command: x}, d: {command: x}}
      """)
    #expect(shape(file.graphs[2]) == ["a", "b a", "c", "d a"])
    #expect(arguments(file.graphs[2].nodes[1]) == ["x=1"])
    #expect(arguments(file.graphs[2].nodes[2]) == ["y=4"])
    #expect(
      file.warnings.map { $0.text(file: "f") } == [
        "f:6:13: warning: task 'c' of graph 'both' is defined by graph 'two', which it extends and which counts; "
          + "remove this entry"
      ])
  }

  @Test("without graphs there is one, of all tasks and what they come after")
  func single() throws {
    let file = try parse(
      "tasks:\n  b: {command: x, after: a}\n  a: {command: x}\n  c: {command: x, after: [a, b]}\n", defaultGraph: "root"
    )
    #expect(file.graphs.map(\.name) == ["root"])
    #expect(shape(file.graphs[0]) == ["b a", "a", "c a b"])
    #expect(try file.graph(named: nil).name == "root")
    #expect(
      problems("tasks: {a: {file: x.py}}", .kptn)
        == ["1:1: error: the file has no 'graphs'; say there which tasks run, and after which"])
    #expect(
      problems("graphs: {g: {tasks: {a: }}}\ntasks: {a: {command: x, after: b}}") == [
        "2:32: error: 'after' is for files without 'graphs'; write what the task comes after into the graph's 'tasks'"
      ])
  }

  static let tasks = "\ntasks: {a: {command: x}, b: {command: x}, clean: {command: x}, c: {command: x}}\n"

  @Test(
    "graphs that hold together badly are refused with the place",
    arguments: [
      ("{g: {tasks: {a: d}}}", ["1:25: error: task 'a' comes after 'd', which is not defined; define it"]),
      (
        "{g: {tasks: {a: cleen, clean: }}}",
        ["1:25: error: task 'a' comes after 'cleen', which is not defined; did you mean 'clean'?"]
      ),
      (
        "{g: {tasks: {a: clean}}}",
        ["1:25: error: task 'a' comes after 'clean', which is not in graph 'g'; add it to the graph's 'tasks'"]
      ),
      (
        "{g: {tasks: {claen: }}}",
        ["1:22: error: graph 'g' has the task 'claen', which is not defined; did you mean 'clean'?"]
      ),
      (
        "{g: {tasks: {something: }}}",
        ["1:22: error: graph 'g' has the task 'something', which is not defined; define it in 'tasks'"]
      ),
      (
        "{base: {tasks: {a: }}, g: {extends: bsae}}",
        ["1:45: error: graph 'g' extends 'bsae', which is not defined; did you mean 'base'?"]
      ),
      (
        "{g: {extends: [{graph: other}]}}",
        ["1:32: error: graph 'g' extends 'other', which is not defined; define it in 'graphs'"]
      ),
      ("{g: {extends: g}}", ["1:23: error: graphs extend each other: g -> g; remove one of the 'extends'"]),
      (
        "{a: {extends: b}, b: {extends: c, tasks: {a: }}, c: {extends: a}}",
        ["1:71: error: graphs extend each other: a -> b -> c -> a; remove one of the 'extends'"]
      ),
      (
        "{g: {tasks: {a: c, b: a, c: b}}}",
        [
          "1:22: error: tasks wait for each other: a -> c -> b -> a (each comes after the next); remove one of "
            + "these dependencies"
        ]
      ),
      (
        "{g: {tasks: {a: [b], b: [a], c: clean, clean: [c, a]}}, h: {extends: g}}",
        [
          "1:22: error: tasks wait for each other: a -> b -> a (each comes after the next); remove one of these "
            + "dependencies",
          "1:38: error: tasks wait for each other: c -> clean -> c (each comes after the next); remove one of these "
            + "dependencies",
        ]
      ),
      ("{g: {}}", ["1:10: error: graph 'g' has no tasks; list some in its 'tasks', or extend one that has"]),
      ("{g: }", ["1:10: error: graph 'g' has no tasks; list some in its 'tasks', or extend one that has"]),
      (
        "{g: {tasks: }, h: {extends: g}}",
        [
          "1:10: error: graph 'g' has no tasks; list some in its 'tasks', or extend one that has",
          "1:24: error: graph 'h' has no tasks; list some in its 'tasks', or extend one that has",
        ]
      ),
      (
        "{g: {tasks: [a, b]}}",
        ["1:21: error: 'tasks' of graph 'g' must be a mapping from a task to what it comes after, not a list"]
      ),
      ("{g: [a]}", ["1:13: error: graph 'g' must be a mapping, not a list"]),
      ("[a]", ["1:9: error: 'graphs' must be a mapping from a name to a graph, not a list"]),
      ("{}", ["1:9: error: 'graphs' is empty; define a graph, or remove the key"]),
      ("{g: {task: {a: }, tasks: {a: }}}", ["1:14: error: unknown key 'task' of graph 'g'; did you mean 'tasks'?"]),
      (
        "{g: {tasks: {a: {dep: b}, b: }}}",
        ["1:26: error: unknown key 'dep' of task 'a' of graph 'g'; did you mean 'deps'?"]
      ),
      (
        "{g: {tasks: {a: {deps: {b: }}, b: }}}",
        ["1:32: error: 'deps' of task 'a' of graph 'g' must be a task, a list of tasks, or nothing, not a mapping"]
      ),
      (
        "{g: {tasks: {a: [[b]], b: }}}",
        ["1:26: error: task 'a' of graph 'g' comes after tasks, which are named by texts, not by a list"]
      ),
      (
        "{g: {tasks: {a: [''], b: }}}",
        ["1:26: error: task 'a' of graph 'g' has an empty name; name a task, or remove it"]
      ),
      (
        "{g: {tasks: {a: }, extends: [{graf: h}]}}",
        [
          "1:38: error: an entry of 'extends' of graph 'g' has no 'graph'; name the graph that is extended",
          "1:39: error: unknown key 'graf' in 'extends' of graph 'g'; did you mean 'graph'?",
        ]
      ),
      ("{g: {tasks: {a: }, extends: [[h]]}}", ["1:38: error: 'extends' of graph 'g' must name a graph, not a list"]),
      (
        "{g: {tasks: {a: }, extends: ''}}", ["1:37: error: 'extends' of graph 'g' must name a graph, not an empty text"]
      ),
      (
        "{h: {tasks: {clean: }}, g: {extends: {graph: h, args: {claen: {x: 1}}}}}",
        [
          "1:64: error: 'args' are given for task 'claen', which graph 'h' does not have; did you mean 'clean'?"
        ]
      ),
      (
        "{h: {tasks: {a: }}, g: {extends: {graph: h, args: {a: 1}}}}",
        ["1:63: error: 'args' for task 'a' in 'extends' of graph 'g' must be a mapping, not a number"]
      ),
      ("{g: {config: 1, tasks: {a: }}}", ["1:22: error: 'config' of graph 'g' must be a mapping, not a number"]),
    ])
  func refused(graphs: String, expected: [String]) {
    #expect(problems("graphs: \(graphs)" + Self.tasks) == expected)
  }

  @Test("a graph is chosen by its name, or is the only one")
  func choosing() throws {
    let file = try parse(Sample.purser)
    #expect(try file.graph(named: "full").name == "full")
    func message(_ name: String?) -> String? {
      do {
        _ = try file.graph(named: name)
        return nil
      } catch {
        return error.diagnostics.map { $0.text(file: "f") }.joined()
      }
    }
    #expect(message(nil) == "f: error: there are 2 graphs; choose one with --pipeline: base, full")
    #expect(message("fulll") == "f: error: there is no graph 'fulll'; did you mean 'full'?")
    #expect(message("penguins") == "f: error: there is no graph 'penguins'; there are base, full")
  }
}
