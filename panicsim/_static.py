"""Whether a page is being built: its figures must live without Python, and nothing may blink in it."""

import os


def is_static() -> bool:
    """Tell whether the environment says `PANICSIM_STATIC=1`, as the build of the book does."""
    return os.environ.get("PANICSIM_STATIC", "") not in ("", "0")
