"""Large libraries without the garbage collector."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncollected_imports() -> Iterator[None]:
    """Has no garbage collected within, and what is there at its end never walked through again.

    Importing TensorFlow makes so many objects that Python walks through all of them again and
    again, which takes a quarter of the time; so does each later call that collects garbage, as
    those of Arrow's CSV reader do.
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if collects:
            gc.enable()
