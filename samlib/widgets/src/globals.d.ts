/** The script of the worker, which build.js puts in. */
declare const WORKER_SOURCE: string;

/** What the book's own script asks of MathJax, where a page uses it. */
interface Window {
  MathJax?: { startup?: { promise?: Promise<void> } };
}
