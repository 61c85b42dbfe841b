// Bundle MathJax for the build of the book, into this folder or the one given as argument, so that
// a build needs Node.js and no packages for it. Its fonts lie in fonts/ as they were published.

import { build } from "esbuild";
import path from "node:path";
import { fileURLToPath } from "node:url";

const here = path.dirname(fileURLToPath(import.meta.url));

await build({
  absWorkingDir: here,
  entryPoints: ["typeset.js"],
  outfile: path.join(path.resolve(process.argv[2] ?? here), "typeset.cjs"),
  bundle: true,
  minify: true,
  legalComments: "none",
  platform: "node",
  target: "es2022",
  format: "cjs",
});
