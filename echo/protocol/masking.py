"""apply_mask: a payload masked, or unmasked (RFC 6455, section 5.3).

The function in C of the websockets package, loaded without the rest of the package, whose import
would take a tenth of the service's start.
"""

from collections.abc import Callable
from importlib.machinery import PathFinder
from importlib.util import find_spec, module_from_spec
from typing import Final, cast

Bytes = bytes | bytearray | memoryview


def _load() -> Callable[[Bytes, Bytes], bytes]:
    """Import websockets.speedups without its package."""
    package = find_spec("websockets")
    places = None if package is None else package.submodule_search_locations
    spec = PathFinder.find_spec("websockets.speedups", places)
    if spec is None or spec.loader is None:
        raise ImportError("there is no websockets.speedups: install requirements.txt")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return cast(Callable[[Bytes, Bytes], bytes], module.apply_mask)


#: The payload, exclusive-or with the four bytes of the key over and over.
apply_mask: Final = _load()
