/** The script of the worker, which build.js puts in. */
declare const WORKER_SOURCE: string;
/** A digest of the script that trains, which build.js puts in; undefined where modules are not bundled. */
declare const TRAINING_DIGEST: string | undefined;
