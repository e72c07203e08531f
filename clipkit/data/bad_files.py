"""What a file that cannot be read does to a run."""

from __future__ import annotations

from clipkit.errors import ClipkitError, warn_outdated

ON_BAD = ("raise", "skip")


def read_on_bad(on_bad: str, broken: str | None = None) -> str:
    """'raise', which ends the run at a bad file, or 'skip', which goes on without it and says so.

    Args:
        on_bad: what is asked for.
        broken: the option's name before, with the values 'stop' and 'skip'; read until 1.0.

    Raises:
        ClipkitError: another value.
    """
    if broken is not None:
        on_bad = "raise" if broken == "stop" else broken
        warn_outdated(f"broken='{broken}'", f"on_bad='{on_bad}'")
    if on_bad not in ON_BAD:
        raise ClipkitError(f"on_bad='{on_bad}' is unknown; known: {', '.join(ON_BAD)}")
    return on_bad
