import { composer, load, roundTrips } from "./texts_tools_en.js";

export default {
  composer,
  roundTrips,
  load,
};
