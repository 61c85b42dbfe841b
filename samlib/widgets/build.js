// Bundle src/ into static/ (or the folder given as argument): the same source as an ES module for
// notebooks, as a classic script for pages (those opened from a file can load no module), and the styles. The
// script of the worker becomes a text in both, so that nothing has to be fetched to start one.

import { build } from "esbuild";
import { createHash } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";

const here = path.dirname(fileURLToPath(import.meta.url));
const out = path.resolve(process.argv[2] ?? path.join(here, "static"));

/** @type {import("esbuild").BuildOptions} */
const common = {
  absWorkingDir: here,
  bundle: true,
  minify: true,
  charset: "utf8",
  legalComments: "none",
  target: "es2022",
};

const worker = await build({
  ...common, entryPoints: ["src/figures/limiting_flow/worker.js"], format: "iife", write: false, define: { WORKER_SOURCE: '""' },
}); // prettier-ignore

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

/** @param {string} entry @param {string} name @param {"esm" | "iife"} [format] */
const bundle = (entry, name, format) =>
  build({
    ...common,
    entryPoints: [path.join("src", entry)],
    outfile: path.join(out, name),
    define: {
      WORKER_SOURCE: JSON.stringify(worker.outputFiles[0].text),
      TRAINING_DIGEST: JSON.stringify(createHash("sha256").update(script.contents).digest("hex").slice(0, 8)),
    },
    format,
  });

await mkdir(out, { recursive: true });
await Promise.all([
  writeFile(script.path, script.contents),
  bundle("index.js", "samlib-widgets.esm.js", "esm"),
  bundle("page.js", "samlib-widgets.js", "iife"),
  bundle("widgets.css", "samlib-widgets.css"),
]);
