"""The middle floor: gevent's sockets. See the map in ``echo``."""
