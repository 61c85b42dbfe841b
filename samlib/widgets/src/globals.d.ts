/** The script of the worker, which build.js puts in. */
declare const WORKER_SOURCE: string;

/** The script itself, where build.js wraps it as a function. */
declare const SCRIPT: Function;

/** The scripts of their own by name, which build.js puts in: the name of each file, with what tells its versions apart. */
declare const PARTS: Record<string, string>;
/** A digest of the script that trains, which build.js puts in; undefined where modules are not bundled. */
declare const TRAINING_DIGEST: string | undefined;
