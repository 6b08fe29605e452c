"""Loaded by Python at its start, from PYTHONPATH: takes away what Windows does not have."""

import _socket
import ctypes
import gc
import os
import select
import signal
import sys

for module in ("fcntl", "resource", "gunicorn", "redis"):
    sys.modules[module] = None
for owner, names in {
    os: ("register_at_fork", "fork"),
    select: ("poll",),
    signal: ("SIGHUP", "SIGQUIT", "SIGUSR1", "pthread_sigmask"),
}.items():
    for name in names:
        delattr(owner, name)
# A method of a built-in class goes by its dictionary alone.
(methods,) = gc.get_referents(_socket.socket.__dict__)
del methods["sendmsg"]
ctypes.pythonapi.PyType_Modified(ctypes.py_object(_socket.socket))
