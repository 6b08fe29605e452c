export default {
  composer: {},
  roundTrips: {},
  load: {},
};
