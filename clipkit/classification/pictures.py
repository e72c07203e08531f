"""Pictures of results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from torch import Tensor

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_NAMED = 40  # classes whose names fit on the axes


def confusion_picture(confusion: Tensor, names: Sequence[str]) -> Figure:
    """What is taken for what: `confusion` (K, K + 1) counts as shares of each row, classes without images left out.
    The last column, guesses that are no class, is shown where there are some."""
    kept = confusion.sum(1) > 0
    columns = [*kept.tolist(), bool(confusion[:, -1].any())]
    shares = confusion.double() / confusion.sum(1, keepdim=True).clamp(min=1)
    shares = shares[kept][:, [i for i, keep in enumerate(columns) if keep]]
    side = min(max(3.5, 0.28 * len(shares) + 2), 14)
    figure = _figure(side + 0.8, side)
    axes = figure.add_subplot()
    image = axes.imshow(100 * shares.numpy(), vmin=0, vmax=100, cmap="viridis")
    figure.colorbar(image, label="% of the class's images", shrink=0.8)
    axes.set(xlabel="guess", ylabel="class")
    if len(shares) <= _NAMED:
        shown = [name for name, keep in zip(names, kept.tolist()) if keep]
        axes.set_yticks(range(len(shown)), shown, fontsize=8, parse_math=False)
        across = [*shown, "no class"] if columns[-1] else shown
        axes.set_xticks(range(len(across)), across, rotation=90, fontsize=8, parse_math=False)
    return figure


def curve_picture(
    curves: Mapping[str, Mapping[int, float]], *, across: str, up: str, level: Mapping[str, float] | None = None
) -> Figure:
    """Lines over a logarithmic axis of whole numbers; `level` draws dashed horizontal ones."""
    figure = _figure(6.4, 4.2)
    axes = figure.add_subplot()
    for name, curve in curves.items():
        axes.plot(list(curve), list(curve.values()), marker="o", markersize=4, label=name)
    for name, value in (level or {}).items():
        axes.axhline(value, color="0.4", linestyle="--", linewidth=1, label=name)
    ticks = sorted({x for curve in curves.values() for x in curve})
    axes.set_xscale("log", base=2)
    axes.set_xticks(ticks, [str(x) for x in ticks])
    axes.set(xlabel=across, ylabel=up)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    return figure


def _figure(width: float, height: float) -> Figure:
    # Without pyplot: no global state, and no window system is asked for.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    return figure
