"""``/ws/inspect``: tells a client what the server sees of its connection, frame by frame."""
