// The script of the figure, which comes when its figure is near; it is the script of its worker, too.

import { offer } from "../../shared/parts.js";
import { renderLimitingFlow } from "./figure.js";
import { createQueue } from "./laboratory.js";

if (typeof document === "undefined") {
  const receive = createQueue((answer) => postMessage(answer));
  onmessage = ({ data }) => receive(data);
} else offer("limiting-flow", { render: renderLimitingFlow });
