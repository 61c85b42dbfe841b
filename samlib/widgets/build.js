// Bundle src/ into static/ (or the folder given as argument): the same source as an ES module for
// notebooks, as a classic script for pages (those opened from a file can load no module), and the styles. The
// scripts of workers become a text in them, so that nothing has to be fetched to start one. What is heavy becomes a
// script of its own (src/shared/parts.js), which comes when it is needed.

import { createHash } from "node:crypto";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { build } from "esbuild";
import path from "node:path";
import { fileURLToPath } from "node:url";

const here = path.dirname(fileURLToPath(import.meta.url));
const out = path.resolve(process.argv[2] ?? path.join(here, "static"));

/**
 * The scripts of their own: the entry of each, and that of its worker, if it has one; or it is wrapped as a function
 * that knows its own text, SCRIPT, of which it makes the worker.
 *
 * @type {Record<string, {entry: string, worker?: string, wrap?: boolean}>}
 */
const PARTS = {
  "basin-map": { entry: "figures/basin_map/part.js", worker: "figures/basin_map/worker.js" },
  formulas: { entry: "figures/basin_map/formulas.js" },
  "limiting-flow": { entry: "figures/limiting_flow/part.js", wrap: true },
  rescaling: { entry: "figures/rescaling/part.js" },
  thermostat: { entry: "figures/thermostat/part.js" },
  "train-yourself": { entry: "figures/train_yourself/part.js" },
};

/** @type {import("esbuild").BuildOptions} */
const common = {
  absWorkingDir: here,
  bundle: true,
  minify: true,
  charset: "utf8",
  legalComments: "none",
  target: "es2022",
};

/** The script of a worker as a text. @param {string} entry */
async function workerOf(entry) {
  const { outputFiles } = await build({
    ...common, entryPoints: [path.join("src", entry)], format: "iife", write: false,
    define: { WORKER_SOURCE: '""', PARTS: "{}" },
  }); // prettier-ignore
  return outputFiles[0].text;
}

/** The modules that a part finds in the bundle, as src/kit.js names them. */
const lent = [...(await readFile(path.join(here, "src/kit.js"), "utf8")).matchAll(/^ {2}"(.+?)":/gm)].map((m) => m[1]);

/** @type {import("esbuild").Plugin} */
const kit = {
  name: "kit",
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /./ }, ({ path: wanted, resolveDir, kind }) => {
      if (kind === "entry-point") return;
      const from = wanted.startsWith(".") ? path.relative(path.join(here, "src"), path.join(resolveDir, wanted)) : wanted;
      const name = from.split(path.sep).join("/");
      return lent.includes(name) ? { path: name, namespace: "kit" } : undefined;
    });
    onLoad({ filter: /./, namespace: "kit" }, ({ path: name }) => ({
      contents: `module.exports = globalThis.samlibKit[${JSON.stringify(name)}];`,
    }));
  },
};

/** Write a part. @param {string} name @returns {Promise<[string, string]>} its name, and its file with its digest */
async function part(name) {
  const { entry, worker, wrap } = PARTS[name];
  const text = worker ? await workerOf(worker) : "";
  const { outputFiles } = await build({
    ...common, entryPoints: [path.join("src", entry)], format: "iife", write: false, plugins: [kit],
    define: { WORKER_SOURCE: JSON.stringify(text), SCRIPT: "script", PARTS: "{}", TRAINING_DIGEST },
    banner: { js: wrap ? "(function script(){" : "" }, footer: { js: wrap ? "})();" : "" },
  }); // prettier-ignore
  const file = `samlib-${name}.js`;
  await writeFile(path.join(out, file), outputFiles[0].contents);
  const digest = createHash("sha256").update(outputFiles[0].contents).digest("hex").slice(0, 8);
  return [name, `${file}?v=${digest}`];
}

/** The script that trains, as one function that knows its own text: on a page it makes a worker of itself. */
const training = await build({
  ...common,
  entryPoints: ["src/training/main.js"],
  outfile: path.join(out, "samlib-training.js"),
  format: "iife",
  globalName: "training",
  banner: { js: "(function script(){" },
  footer: { js: "training.begin(script)})();" },
  write: false,
});
const [script] = training.outputFiles;
const TRAINING_DIGEST = JSON.stringify(createHash("sha256").update(script.contents).digest("hex").slice(0, 8));

const parts = Object.fromEntries(await Promise.all(Object.keys(PARTS).map(part)));

/** @param {string} entry @param {string} name @param {"esm" | "iife"} [format] */
const bundle = (entry, name, format) =>
  build({
    ...common,
    entryPoints: [path.join("src", entry)],
    outfile: path.join(out, name),
    define: { WORKER_SOURCE: '""', PARTS: JSON.stringify(parts), TRAINING_DIGEST },
    format,
  });

await mkdir(out, { recursive: true });
await Promise.all([
  writeFile(script.path, script.contents),
  bundle("index.js", "samlib-widgets.esm.js", "esm"),
  bundle("page.js", "samlib-widgets.js", "iife"),
  bundle("widgets.css", "samlib-widgets.css"),
]);
