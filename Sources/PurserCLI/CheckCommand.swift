import Purser
import PurserModel

let checkCommand = CommandSpec(
  name: "check", summary: "say whether tasks are fresh, and why not; exit 0 if all are, 1 if not",
  operands: "TASK… | [OPTIONS] -- COMMAND [ARGUMENT…]", options: stepOptions, takesOperands: true, takesCommand: true
) { invocation in
  let session = try Session(invocation)
  let cache = try session.cache()
  var specs: [TaskSpec] = []
  if invocation.command != nil {
    specs.append(try session.declaredSpec(cache.project))
  } else {
    let tasks = try session.requiredTasks("check")
    let declaration = try session.declarations(cache)
    for task in tasks { specs.append(try session.required(declaration(task), task, cache)) }
  }
  var options = DecisionOptions()
  options.isForced = invocation.has("force")
  options.mayRestore = !invocation.has("no-restore")
  var isFresh = true
  var results: [JSON] = []
  for spec in specs {
    let assessment = try cache.checkedAssessment(spec, options)
    for warning in assessment.survey.warnings { session.console.warn(warning) }
    if case .fresh = assessment.decision {} else { isFresh = false }
    if session.console.isJSON {
      results.append(
        .object([
          ("task", .string(spec.id)), ("decision", .string(assessment.decision.word)),
          ("reasons", .array(assessment.decision.reasons.map(\.json))),
          ("fingerprint", .string(assessment.survey.fingerprint.actionKey.hex)),
        ]))
    } else if session.console.verbosity != .quiet {
      let reasons = assessment.decision.reasons
      session.console.print(
        "\(spec.id): \(assessment.decision.word)" + (reasons.isEmpty ? "" : " (\(summary(reasons)))"))
    }
  }
  if session.console.isJSON { session.console.print(JSON.object([("tasks", .array(results))])) }
  cache.saveStatCache()
  return isFresh ? 0 : 1
}
