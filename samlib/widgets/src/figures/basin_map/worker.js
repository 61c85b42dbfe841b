// The worker that computes maps where there is no graphics card; build.js makes one text of it, which maps.js starts.

import { createRows } from "./rows.js";

const rows = createRows((field) => postMessage(field));
onmessage = ({ data }) => rows.ask(data);
