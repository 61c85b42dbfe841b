// The worker that trains networks; build.js makes one text of it, which laboratory.js starts.

import { createQueue } from "./laboratory.js";

const receive = createQueue((answer) => postMessage(answer));
onmessage = ({ data }) => receive(data);
