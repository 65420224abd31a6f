import PurserPipeline

/// What parsing gives: a file, or what is wrong with it.
func parse(
  _ text: String, _ dialect: PipelineFile.Dialect = .purser, defaultGraph: String = "main"
) throws(PipelineFileError) -> PipelineFile {
  try PipelineFile.parse(Array(text.utf8), dialect: dialect, defaultGraph: defaultGraph)
}

/// Everything that is said about a file, as `line:column: severity: message`: why it is refused, or what it is warned
/// about.
func problems(_ bytes: [UInt8], _ dialect: PipelineFile.Dialect = .purser) -> [String] {
  do {
    return try PipelineFile.parse(bytes, dialect: dialect, defaultGraph: "main").warnings.map(line)
  } catch {
    return error.diagnostics.map(line)
  }
}

func problems(_ text: String, _ dialect: PipelineFile.Dialect = .purser) -> [String] {
  problems(Array(text.utf8), dialect)
}

/// What is said about a file's graph.
func findings(
  _ text: String, graph: String = "main", _ dialect: PipelineFile.Dialect = .purser
) throws(PipelineFileError) -> [String] {
  try parse(text, dialect).checks(graph: graph).map(line)
}

private func line(_ diagnostic: Diagnostic) -> String {
  let place = diagnostic.mark.map { "\($0.line):\($0.column): " } ?? ""
  return "\(place)\(diagnostic.severity.rawValue): \(diagnostic.message)"
}

/// The only task of a file that has nothing else to say about it.
func task(_ fields: String, _ dialect: PipelineFile.Dialect = .purser) throws -> TaskDefinition {
  let graphs = dialect == .kptn ? "graphs: {g: {tasks: {t: }}}\n" : ""
  return try parse(graphs + "tasks: {t: {\(fields)}}\n", dialect).tasks[0]
}

/// Files of both dialects that have about everything in them.
enum Sample {
  static let purser = """
    # A comment: ✓
    settings:
      cache_namespace: shared
      py_tasks_dir: [steps, "more steps"]
    config: &config
      year: 2024
      nested: {list: [1, 2.5, yes, ~, "no"], name: "Käse"}
    x-defaults: &defaults
      timeout: 1h30m
      retries: 2
      tools: python3
    graphs:
      base:
        config: {year: 2025, extra: 0x1f}
        tasks:
          fetch:
          clean: fetch
          model:
            deps: [fetch, clean]
            args: {rate: 0.5, source: {ref: fetch}}
      full:
        extends:
          - graph: base
            args: {model: {rate: 0.25, seed: 7}}
        tasks:
          each: model
          report: [each, "clean"]
    tasks:
      fetch:
        <<: *defaults
        command: [curl, -o, raw.csv, "https://example.org/"]
        outputs: raw.csv
        env: [API_KEY]
        pure: off
      clean:
        file: src/clean.py
        inputs: [raw.csv, data/**/*.csv]
        outputs: [build/clean.csv]
        exclude: ["*.tmp"]
        tags: [slow, nightly]
      model:
        file: src/model.py:fit
        args: {rate: 1, names: [a, b]}
        cache_result: true
        iterable_item: "region, year"
        code: src/lib
        compute: {cpu: 256, memory: 512}
      each:
        <<: [*defaults, {priority: 3, retries: 9}]
        file: src/each.R
        map_over: region,year
        prefix_args: nice -n 5
        cli_args: --region ${region}
        logs: logs/${region}-${year}.log
        outputs: out/${region}/${some.thing}.csv
        bundle_size: 10
        group_size: 4
        keep_outputs: true
      report:
        command: >
          cat out/*/*.csv
          | sort
        timeout: 90

    """

  static let kptn = """
    settings:
      flows_dir: "flows"
      py_tasks_dir: "steps"
      r_tasks_dir: [r, more]
      flow_type: vanilla
      db: sqlite

    graphs:
      sample:
        tasks:
          P:
          Q: P
          R:
          S: R
          T: [Q, S]
      pairs:
        tasks:
          pair_list:
          pair_each: [pair_list]
          pair_bundles:
            deps: pair_list
      static:
        tasks:
          fixed: []
      both:
        extends: [sample, pairs]

    tasks:
      P:
        file: "r/P/run.R"
        outputs: ["P_${year}"]
        compute: {cpu: 256, memory: 512}
      Q:
        file: steps/Q.py
        outputs: ["Q_${year}"]
      R:
        file: steps/R.py
        cache_result: true
        iterable_item: R_VALUE
      S:
        file: "r/S/run.R"
        outputs: ["S_${year}"]
        map_over: R_VALUE
      T:
        file: steps/T.py
      pair_list:
        file: steps/pair_list.py
        cache_result: true
        iterable_item: first,second
      pair_each:
        file: steps/pair.py:each
        map_over: first,second
        bundle_size: 3
        group_size: 10
      pair_bundles:
        file: r/pair/run.R
        logs: "${first}_${second}.log"
        map_over: first,second
        bundle_size: 3
      fixed:
        file: r/fixed.R
        outputs:
        - mine/one-${some.var}.txt
        - mine/two-${some.var}.txt

    """
}
