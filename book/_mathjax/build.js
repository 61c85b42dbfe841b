// Bundle MathJax for the book's pages, into book/assets/mathjax/ or the folder given as argument. Its fonts
// lie there as they were published.

import { build } from "esbuild";
import path from "node:path";
import { fileURLToPath } from "node:url";

const here = path.dirname(fileURLToPath(import.meta.url));
const out = path.resolve(process.argv[2] ?? path.join(here, "../assets/mathjax"));

await build({
  absWorkingDir: here,
  entryPoints: ["mathjax.js"],
  outfile: path.join(out, "mathjax.js"),
  bundle: true,
  minify: true,
  legalComments: "none",
  // what its modules ask of Node.js and find in a browser: a place for what they share, and a folder
  // that is asked for only until the script's own address is known
  define: { global: "globalThis", __dirname: '"."' },
  target: "es2022",
  format: "iife",
});
