// Who computes the maps: the graphics card; without one a worker; without workers the page itself.

import { createCard } from "./card.js";
import { createPasses } from "./passes.js";
import { createRows } from "./rows.js";

/** @typedef {import("./ends.js").Task} Task */
/** @typedef {import("./queue.js").Field} Field */
/** @typedef {{ask: (task: Task) => void, dispose: () => void}} Maker */

/** @param {(field: Field) => void} answer */
export function createMaps(answer) {
  let open = true;
  /** @type {Task | null} the last that was asked for */
  let asked = null;
  const deliver = (/** @type {Field} */ field) => open && answer(field);
  const card = createCard();
  const maps = {
    /** Does a graphics card compute them? */
    hasCard: card !== null,
    /** @param {Task} task */
    ask(task) {
      asked = task;
      try {
        maker.ask(task);
      } catch (error) {
        if (!maps.hasCard) throw error;
        giveUp(error); // a shader that a driver refuses
      }
    },
    dispose() {
      open = false;
      maker.dispose();
      card?.dispose();
    },
  };
  let maker = card ? onCard(card) : inWorker(deliver);

  /** @param {import("./card.js").Card} it @returns {Maker} */
  function onCard(it) {
    it.canvas.addEventListener("webglcontextlost", () => open && giveUp("the graphics card was lost"));
    return createPasses(it, deliver);
  }

  /** Go on without the card. @param {unknown} reason */
  function giveUp(reason) {
    console.info(`The map is computed without the graphics card: ${reason}`);
    maker.dispose();
    maps.hasCard = false;
    maker = inWorker(deliver);
    if (asked) maker.ask(asked);
  }

  return maps;
}

/** @param {(field: Field) => void} deliver @returns {Maker} */
function inWorker(deliver) {
  /** @type {Task | null} what was asked, in case the worker cannot start */
  let waiting = null;
  /** @type {Maker | null} */
  let here = null;
  /** @type {Worker | undefined} */
  let worker;
  const computeHere = () => {
    worker?.terminate();
    here = createRows(deliver);
    if (waiting) here.ask(waiting);
  };
  try {
    const address = URL.createObjectURL(new Blob([WORKER_SOURCE], { type: "text/javascript" }));
    worker = new Worker(address);
    URL.revokeObjectURL(address);
    worker.onmessage = ({ data }) => {
      waiting = null;
      deliver(data);
    };
    worker.onerror = computeHere;
  } catch {
    computeHere();
  }
  return {
    ask(task) {
      waiting = task;
      if (here) here.ask(task);
      else worker?.postMessage(task);
    },
    dispose() {
      here?.dispose();
      worker?.terminate();
    },
  };
}
