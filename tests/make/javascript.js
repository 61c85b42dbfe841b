// What the files of JavaScript that are named as arguments hold, as JSON: the lines of code of each
// function, and which file imports which. Comments and empty lines are no code.

import { parse } from "acorn";
import { build } from "esbuild";
import { readFileSync } from "node:fs";

/** @typedef {{ type: string, loc: { start: { line: number }, end: { line: number } }, [key: string]: any }} Node */

/** Every node below a node, itself included. @param {any} node @returns {Generator<Node>} */
function* nodes(node) {
  if (Array.isArray(node)) for (const each of node) yield* nodes(each);
  else if (node && typeof node.type === "string") {
    yield node;
    yield* nodes(Object.values(node));
  }
}

/** @param {string} file */
function functionsOf(file) {
  const code = /** @type {Set<number>} */ (new Set());
  const tree = parse(readFileSync(file, "utf8"), {
    ecmaVersion: "latest",
    sourceType: "module",
    allowHashBang: true,
    locations: true,
    onToken: ({ loc }) => {
      for (let line = loc?.start.line ?? 0; line <= (loc?.end.line ?? -1); line++) code.add(line);
    },
  });
  return [...nodes(tree)]
    .filter(({ type }) => /Function/.test(type))
    .map(({ body, loc }) => ({
      at: `${file}:${loc.start.line}`,
      // Without the lines of its braces.
      lines: [...code].filter((line) =>
        body.type === "BlockStatement"
          ? body.loc.start.line < line && line < body.loc.end.line
          : body.loc.start.line <= line && line <= body.loc.end.line,
      ).length,
    }));
}

const files = process.argv.slice(2);
const { metafile } = await build({
  entryPoints: files, bundle: true, write: false, metafile: true, format: "esm", outdir: "unused",
  logLevel: "error", packages: "external", external: ["*.css"],
}); // prettier-ignore

const imports = Object.entries(metafile.inputs).map(([file, input]) => [
  file,
  input.imports.filter((each) => !each.external).map((each) => each.path),
]);
console.log(JSON.stringify({ functions: files.flatMap(functionsOf), imports: Object.fromEntries(imports) }));
