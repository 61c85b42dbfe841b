/** The script of the worker, which build.js puts in. */
declare const WORKER_SOURCE: string;

/** The configurations of figures that stand in scripts of their own, by name. */
interface Window {
  samlibConfigs?: Record<string, object>;
}
