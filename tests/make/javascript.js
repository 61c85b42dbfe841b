// The lines of code of each function in the files named as arguments, and which file imports which,
// as JSON. Comments and empty lines are no code. A function that declares others, where Python
// would have a class, counts without them; they count for themselves.

import { parse } from "acorn";
import { build } from "esbuild";
import { readFileSync } from "node:fs";

/** @typedef {import("acorn").Node & { loc: import("acorn").SourceLocation, body: any }} Node */

/** All nodes below a node, itself included. @param {any} node @returns {Generator<Node>} */
function* nodesOf(node) {
  if (typeof node?.type === "string") yield node;
  if (node && typeof node === "object") for (const child of Object.values(node)) yield* nodesOf(child);
}

/** @param {Node} node @param {number} line */
const holds = ({ loc }, line) => loc.start.line <= line && line <= loc.end.line;

/** The numbers of the lines that hold a token, and the functions. @param {string} file */
function read(file) {
  const code = new Set();
  const tree = parse(readFileSync(file, "utf8"), {
    ecmaVersion: "latest",
    sourceType: "module",
    locations: true,
    onToken({ loc }) {
      if (loc) for (let line = loc.start.line; line <= loc.end.line; line++) code.add(line);
    },
  });
  const functions = [...nodesOf(tree)].filter(({ type }) => type.includes("Function"));
  return { code: [...code], functions };
}

/** @param {string} file */
function measure(file) {
  const { code, functions } = read(file);
  return functions.map((each) => {
    const { start, end } = each.body.loc;
    const isBlock = each.body.type === "BlockStatement";
    const [first, last] = isBlock ? [start.line + 1, end.line - 1] : [start.line, end.line];
    const inner = functions.filter(
      (other) => other.body.type === "BlockStatement" && each.body.start <= other.start && other.end <= each.body.end,
    );
    const own = code.filter((line) => first <= line && line <= last && !inner.some((other) => holds(other, line)));
    return { file, line: each.loc.start.line, length: own.length };
  });
}

const files = process.argv.slice(2);
const { metafile } = await build({
  entryPoints: files, bundle: true, format: "esm", packages: "external", outdir: "nowhere", write: false,
  metafile: true,
}); // prettier-ignore
const imports = Object.entries(metafile.inputs).map(([file, input]) => [
  file,
  input.imports.filter(({ external }) => !external).map(({ path }) => path),
]);
console.log(JSON.stringify({ functions: files.flatMap(measure), imports: Object.fromEntries(imports) }));
