"""The ground floor: RFC 6455 as values and pure functions. See the map in ``echo``."""
