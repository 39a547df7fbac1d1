// The page of an exported site.

import { LocalSource } from "./source.js";
import { start } from "../studio.js";

start(new LocalSource());
