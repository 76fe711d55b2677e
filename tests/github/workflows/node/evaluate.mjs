// Parses workflows and evaluates expressions with GitHub's own packages: one JSON request on stdin, one answer on stdout.
//   {"workflow": text}                         -> {"errors": [message, ...]}
//   {"rows": [[expression, contexts], ...]}    -> {"values": [value, ...]}
// Of a job's contexts, `needs` decides what success(), failure() and the like say; `cancelled` may be true beside it.
import { readFileSync } from "node:fs";
import { Evaluator, Lexer, Parser, data } from "@actions/expressions";
import { NoOperationTraceWriter, convertWorkflowTemplate, parseWorkflow } from "@actions/workflow-parser";

const request = JSON.parse(readFileSync(0, "utf8"));

function toData(value) {
  if (value === null || value === undefined) return new data.Null();
  if (Array.isArray(value)) return new data.Array(...value.map(toData));
  if (typeof value === "object") {
    return new data.Dictionary(...Object.entries(value).map(([key, item]) => ({ key, value: toData(item) })));
  }
  if (typeof value === "boolean") return new data.BooleanData(value);
  if (typeof value === "number") return new data.NumberData(value);
  return new data.StringData(value);
}

function statusFunctions(contexts) {
  const results = Object.values(contexts.needs ?? {}).map((need) => need.result);
  const says = {
    always: true,
    cancelled: contexts.cancelled === true,
    failure: results.includes("failure"),
    success: results.every((result) => result === "success"),
  };
  const make = ([name, value]) => ({ name, minArgs: 0, maxArgs: 0, call: () => new data.BooleanData(value) });
  return Object.entries(says).map(make);
}

function evaluate(expression, contexts) {
  const tokens = new Lexer(expression).lex().tokens;
  const functions = statusFunctions(contexts);
  const parsed = new Parser(tokens, Object.keys(contexts), functions).parse();
  const known = new Map(functions.map((one) => [one.name, one]));
  const result = new Evaluator(parsed, toData(contexts), known).evaluate();
  return result.kind === data.Kind.Boolean ? result.value : result.coerceString();
}

async function errors(content) {
  const parsed = parseWorkflow({ name: "workflow.yml", content }, new NoOperationTraceWriter());
  const template = await convertWorkflowTemplate(parsed.context, parsed.value);
  return [...parsed.context.errors.getErrors(), ...(template.errors ?? [])].map(
    (error) => error.message ?? error.Message ?? String(error),
  );
}

const answer =
  "workflow" in request
    ? { errors: await errors(request.workflow) }
    : { values: request.rows.map(([expression, contexts]) => evaluate(expression, contexts)) };
process.stdout.write(JSON.stringify(answer));
