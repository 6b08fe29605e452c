import { composer, load, roundTrips } from "./texts_tools_zh.js";

export default {
  composer,
  roundTrips,
  load,
};
