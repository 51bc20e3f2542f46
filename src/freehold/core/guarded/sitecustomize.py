"""Found by Python processes that a guarded one starts, through PYTHONPATH: they come under the same guard first.

Python imports a module of this name when it starts (see ``site`` in its library). One that stood behind this one in
the search path is imported afterwards.
"""

import importlib
import os
import sys

_HERE = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120 - nothing else is imported yet
_ROOT = os.path.dirname(os.path.dirname(os.path.dirname(_HERE)))  # noqa: PTH120


def _come_under_guard() -> None:
    sys.path.append(_ROOT)  # a Python of another environment: it knows of no Freehold
    try:
        from freehold.core.egress import inherit

        inherit()
    except BaseException as error:
        # Python would go on without the guard. Better no process than one that nothing holds.
        sys.stderr.write(f"freehold: this Python cannot come under the guard ({type(error).__name__}), it ends\n")
        sys.stderr.flush()
        os._exit(70)
    finally:
        sys.path.remove(_ROOT)


def _next() -> None:
    """Import the module of this name that would have been found without this one."""
    here = [place for place in sys.path if os.path.abspath(place) == _HERE]  # noqa: PTH100
    for place in here:
        sys.path.remove(place)
    if sys.modules.get("sitecustomize") is not None:
        del sys.modules["sitecustomize"]
    try:
        importlib.import_module("sitecustomize")
    except ImportError as error:
        if error.name != "sitecustomize":
            raise


_come_under_guard()
_next()
