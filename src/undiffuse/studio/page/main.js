// The page of a server.

import { HttpSource } from "./source-http.js";
import { start } from "./studio.js";

start(new HttpSource());
