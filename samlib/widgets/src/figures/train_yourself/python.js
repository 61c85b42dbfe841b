// The lines of Python that compute what the figure "TrainYourself" shows.

import { callOf, real } from "../../shared/take-away/python.js";
import { rulesOf } from "./settings.js";
import { RUNS, radiusOf } from "./table.js";

/** @typedef {import("./figure.js").View} View */
/** @typedef {import("../../training/api.js").TrainingRule} TrainingRule */

/** At so many of the looks Python computes the curvature, too. */
const LOOKS = 20;

const COURSE = `
course = figure.course()  # computed by samlib; the page shows it before it trains
table = {"step": course.steps}
for run, name in enumerate(("first", "second")):
    table[f"{name}_eigenvalue_1"] = course.top[run]
    table[f"{name}_edge"] = course.edge[run]
`;

/** @param {View} view @param {Record<string, unknown>} state with ρ as it was before it moved by itself */
export function pythonOf(view, state) {
  const call = callOf("TrainYourself", state, view.config.presets);
  return { call, lines: !view.hasTrained() && view.course() ? COURSE : linesOf(view) };
}

/** @param {View} view */
function linesOf({ session, state }) {
  const { turns, step } = session.now;
  const all = turns.length ? turns : [{ step: 0, rules: rulesOf(state) }];
  const uses = (/** @type {string[]} */ ...names) => all.some(({ rules }) => rules.some(({ name }) => names.includes(name)));
  const { looks, ten, trace } = looksOf(session.now.history.looks);
  const rules = RUNS.map((name, run) => `    "${name}": ${changesOf(all, run)},`).join("\n");
  const draws = uses("sgd", "mini_batch", "one_sam");
  return `${state.precision === "float32" ? ROUNDED : ""}${uses("m_sam") ? MSAM : ""}
model, loss, start, data = figure.problem()
rules = {  # of each run, with the step from which on it holds
${rules}
}
steps = ${step}
looks = [${looks.join(", ")}]  # where the curvature is computed

${HELPERS}
table = {"step": range(steps + 1)}
for name, changes in rules.items():
    x, rule, rows = start, changes[0], []
${draws ? `    draws = torch.Generator().manual_seed(${state.seed})\n` : ""}    for step in range(steps + 1):
        gradient = loss.gradient(x)
${ROW}        if step in looks and row["loss"] < 1e6:
            top = samlib.top_eigenpairs(loss, x, k=${ten ? 10 : 1}, progress=False)
            cosines = top.vectors.T @ gradient / gradient.norm()
            for k, value in enumerate(top.values, 1):
                row[f"eigenvalue_{k}"] = float(value)
            row["alignment"] = float(cosines[0].abs())
${ten ? '            row["top_alignment"] = float(cosines.norm())\n' : ""}${trace ? TRACE : ""}        rows.append(row)
        rule = changes.get(step, rule)
${draws ? DRAWN : "        x = rule.step(loss, x[None])[0]"}
    for quantity, values in pd.DataFrame(rows).items():
        table[f"{name}_{quantity}"] = values
`;
}

/** The looks at which Python looks, too, and what was measured there. @param {readonly import("./history.js").Look[]} all */
function looksOf(all) {
  const has = (/** @type {"eigenvalues" | "trace"} */ name) => (/** @type {import("./history.js").Look} */ { runs }) => runs.some((run) => run[name]);
  const [ten, trace] = [all.some(has("eigenvalues")), all.some(has("trace"))];
  const long = ten || trace ? all.filter((look) => has("eigenvalues")(look) || has("trace")(look)) : all;
  const stride = Math.ceil(long.length / LOOKS);
  return { looks: long.filter((_, k) => k % stride === 0).map(({ step }) => step), ten, trace };
} // prettier-ignore

/** The rules of a run, where they change. @param {import("./session.js").Turn[]} turns @param {number} run */
function changesOf(turns, run) {
  const rules = turns.map(({ step, rules }) => ({ step, text: ruleText(rules[run]) }));
  const changes = rules.filter(({ text }, k) => text !== rules[k - 1]?.text);
  const entries = changes.map(({ step, text }) => `${step}: ${text}`);
  return entries.length === 1 ? `{${entries}}` : `{\n${entries.map((entry) => `        ${entry},\n`).join("")}    }`;
}

/** @param {TrainingRule} rule */
function ruleText(rule) {
  const { name, lr, batch } = rule;
  const both = `${real(lr)}, ${real(radiusOf(rule))}`;
  if (name === "gradient_descent") return `samlib.rules.GradientDescent(${real(lr)})`;
  if (name === "m_sam") return `MSAM(${both}, ${batch})`;
  if (name === "sam") return `samlib.rules.SAM(${both})`;
  return `samlib.rules.StochasticSAM(${both}, batch_size=${name === "one_sam" ? 1 : batch})`;
}

const ROUNDED = `# The page trains in single precision unless precision is "float64": its numbers are
# these up to rounding, which grows on the way.
`;

const MSAM = `from typing import NamedTuple


class MSAM(NamedTuple):
    """SAM on pieces of the rows: each climbs by itself, the step is the mean of theirs."""

    lr: float
    rho: float
    size: int

    def step(self, loss, x, drawn=None):
        rows, after = torch.arange(len(data.targets)), torch.zeros_like(x)
        for piece in rows.split(self.size):
            rule = samlib.rules.StochasticSAM(self.lr, self.rho, batch_size=len(piece))
            share = len(piece) / len(rows)
            after += share * rule.step(loss, x, piece[None])
        return after

`;

const HELPERS = `
def accuracy(x, inputs, labels):
    loss.load_flat_parameters(x)
    with torch.no_grad():
        return float((model(inputs).argmax(dim=1) == labels).double().mean())


def edge(rule, norm):
    """The λ at which a step of the full batch ceases to be stable: ηλ(1 + ρλ/‖∇L‖) = 2."""
    if not isinstance(rule, samlib.rules.GradientDescent | samlib.rules.SAM):
        return float("nan")
    reach = getattr(rule, "rho", 0.0) / norm
    return float(4 / (rule.lr * (1 + (1 + 8 * reach / rule.lr).sqrt())))

`;

const ROW = `        row = {
            "lr": rule.lr,
            "rho": getattr(rule, "rho", 0.0),
            "edge": edge(rule, gradient.norm()),
            "loss": float(loss.value(x)),
            "gradient_norm": float(gradient.norm()),
            "train_accuracy": accuracy(x, data.inputs, data.targets),
            "test_accuracy": accuracy(x, data.test_inputs, data.test_targets),
        }
`;

const TRACE = `            trace = samlib.trace(loss, x, rtol=0.1, progress=False)
            row |= {"trace": float(trace.value), "trace_error": float(trace.error)}
`;

const DRAWN = `        drawn = None
        if isinstance(rule, samlib.rules.StochasticSAM):
            drawn = torch.randint(len(data.targets), (1, rule.batch_size), generator=draws)
        x = rule.step(loss, x[None], drawn)[0]`;
