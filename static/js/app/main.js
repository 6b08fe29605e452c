/* The page's only script: starts the application on the document. */

import { createApp } from "./app.js";

createApp(document);
