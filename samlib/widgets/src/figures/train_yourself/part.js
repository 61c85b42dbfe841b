// The script of the figure, which comes when its figure is near.

import { offer } from "../../shared/parts.js";
import { renderTrainYourself } from "./figure.js";

offer("train-yourself", { render: renderTrainYourself });
