/** The script of the worker, which build.js puts in. */
declare const WORKER_SOURCE: string;
