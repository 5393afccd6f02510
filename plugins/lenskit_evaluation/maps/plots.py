"""Plots of maps coloured by parameters, and of predictions from neighbours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import wrap
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from lenskit.plugin import Parameter
from lenskit.toolbox import as_label
from lenskit_evaluation.maps.feature_map import Local, Trust
from lenskit_evaluation.plots import COLORS, name_groups

Array = NDArray[Any]

PANEL = 3.1
"""Width and height of a panel in inches."""

UNKNOWN = "0.85"
"""Colour of points without a known value: light grey."""

MOST = 20
"""Maximum number of classes in a legend; for more classes there is a colour bar."""

SHOWN = 1.0, 99.0
"""Percentiles of a parameter at the ends of its colour scale."""


def umap_figure(
    maps: Mapping[str, Array],
    values: Mapping[str, Mapping[str, Array]],
    parameters: Sequence[Parameter],
    *,
    trust: Mapping[str, Trust],
    local: Mapping[str, Mapping[str, Local]],
    title: str,
) -> Figure:
    """Plot maps in rows and parameters in columns.

    All rows of a column have the same colour scale.

    Args:
        maps: Coordinates (n, 2) by the label of the map.
        values: Values (n,) by the label of the map and the name of the parameter; NaN is plotted in grey.
        parameters: Parameter of each column.
        trust: Trustworthiness by the label of the map.
        local: Predictability of a parameter from the neighbours on the map, by the label of the map and the name of the
            parameter.
        title: Title of the plot.
    """
    paints = [_Paint(each, np.concatenate([values[label][each.name] for label in maps])) for each in parameters]
    height = 1.1 + (PANEL + 0.1) * len(maps) + max(paint.height for paint in paints)
    figure = Figure(figsize=(0.4 + (PANEL - 0.2) * len(parameters), height), layout="constrained")
    figure.suptitle("\n".join(wrap(as_label(title), int(13 * figure.get_figwidth()))), fontsize=9, x=0.01, ha="left")
    panels = figure.subplots(len(maps), len(parameters), squeeze=False)
    for column, (parameter, paint) in enumerate(zip(parameters, paints, strict=True)):
        for row, (label, places) in enumerate(maps.items()):
            panel = panels[row, column]
            _scatter(panel, places, paint.colours(values[label][parameter.name]))
            panel.set_xlabel(_local_text(local[label][parameter.name]), fontsize=8)
            if column == 0:
                panel.set_ylabel("\n".join([*wrap(as_label(label), 40), _trust_text(trust[label])]), fontsize=8)
            if row == 0:
                panel.set_title(parameter.label, fontsize=12)
        paint.explain(figure, panels[:, column])
    return figure


class _Paint:
    """Colour scale of a parameter.

    Args:
        parameter: The parameter.
        values: (n,), all values in a column of the plot.
    """

    def __init__(self, parameter: Parameter, values: Array) -> None:
        self.parameter = parameter
        finite = values[np.isfinite(values)]
        if parameter.classes:
            names = dict(enumerate(parameter.classes))
            present = np.unique(finite).astype(int).tolist()
            self.classes = {number: names.get(number, str(number)) for number in present}
            # Okabe and Ito's palette is the easiest to distinguish, but has only eight colours.
            self.cmap = colormaps["turbo"].resampled(len(present)) if len(present) > MOST else colormaps["tab20"]
            self.palette: dict[int, Any] = {number: self.cmap(place) for place, number in enumerate(present)}
            if set(present) <= set(range(len(COLORS))):
                self.palette = {number: COLORS[number] for number in present}
            return
        low, high = np.percentile(finite, SHOWN) if len(finite) else (0.0, 1.0)
        self.beyond = bool(len(finite)) and (finite.min() < low or finite.max() > high)
        self.norm = Normalize(low, high if high > low else low + 1)
        # The scale of a parameter with both signs is symmetric about zero.
        if low < 0 < high and min(-low, high) > 0.5 * max(-low, high):
            self.norm = Normalize(-max(-low, high), max(-low, high))
        self.cmap = colormaps["viridis"]

    @property
    def height(self) -> float:
        """Height of the legend of classes below the panels, in inches.

        The height is 0 if there is a colour bar instead.
        """
        listed = len(self.classes) if self.parameter.classes and len(self.classes) <= MOST else 0
        return 0.18 * -(-listed // 3) + (0.25 if listed else 0)

    def colours(self, values: Array) -> Array:
        """Return the colours (n, 4) of values (n,)."""
        colours = np.array([_rgba(UNKNOWN)] * len(values)).reshape(-1, 4)
        finite = np.isfinite(values)
        if self.parameter.classes:
            for number, colour in self.palette.items():
                colours[values == number] = _rgba(colour)
        else:
            colours[finite] = self.cmap(self.norm(values[finite]))
        return colours

    def explain(self, figure: Figure, panels: Array) -> None:
        """Add a legend of classes, or a colour bar with the unit, below a column."""
        if self.parameter.classes and len(self.classes) > MOST:
            last = len(self.classes) - 1
            norm = Normalize(-0.5, last + 0.5)
            bar = figure.colorbar(
                ScalarMappable(norm, self.cmap),
                ax=list(panels),
                location="bottom",
                aspect=25,
                pad=0.01,
                shrink=0.85,
                panchor=False,
            )
            names, places = list(self.classes.values()), (0, last // 2, last)
            bar.set_ticks(places, labels=[names[place][:14] for place in places])
            bar.set_label(f"{len(names)} classes; adjacent colours are similar", fontsize=8)
            bar.ax.tick_params(labelsize=7)
            return
        if self.parameter.classes:
            marks = [
                Line2D([], [], ls="", marker="o", ms=5, color=self.palette[number], label=as_label(name))
                for number, name in self.classes.items()
            ]
            panels[-1].legend(
                handles=marks, loc="upper center", bbox_to_anchor=(0.5, -0.14), frameon=False, fontsize=8,
                ncols=max(1, min(len(marks), 3)),
            )  # fmt: skip
            return
        bar = figure.colorbar(
            ScalarMappable(self.norm, self.cmap), ax=list(panels), location="bottom", aspect=25, pad=0.01, shrink=0.85,
            panchor=False, extend="both" if self.beyond else "neither",
        )  # fmt: skip
        unit = f" [{self.parameter.unit}]" if self.parameter.unit else ""
        bar.set_label(f"{self.parameter.label}{unit}", fontsize=9)
        bar.ax.tick_params(labelsize=8)


def _scatter(panel: Axes, places: Array, colours: Array) -> None:
    """Plot the points of a map.

    There are no ticks, because coordinates of a UMAP have no meaning.
    """
    # All points together cover about a third of the panel.
    size = float(np.clip(0.33 * (PANEL * 72) ** 2 / max(len(places), 1), 0.4, 18))
    grey = (colours[:, :3] == _rgba(UNKNOWN)[0]).all(1)
    for which in (grey, ~grey):  # known values are plotted on top
        panel.scatter(places[which, 0], places[which, 1], s=size, c=colours[which], lw=0, alpha=0.9, rasterized=True)
    panel.set(xticks=[], yticks=[], box_aspect=1, anchor="N")
    for spine in panel.spines.values():
        spine.set_color("0.8")


def _rgba(colour: Any) -> tuple[float, float, float, float]:
    from matplotlib.colors import to_rgba

    return to_rgba(colour)


def _local_text(local: Local) -> str:
    about = [f"by chance {local.chance:.2f}"] if local.chance else []
    about += [f"{local.dropped} unknown"] if local.dropped else []
    # On a separate line, because a single line would be wider than the panel.
    more = f"\n({', '.join(about)})" if about else ""
    if np.isnan(local.value.value):
        return f"{local.measure} not defined{more}"
    measure = "$R^2$" if local.measure == "R2" else local.measure
    value = f"{local.value.value:.2f}".replace("-0.00", "0.00")
    return f"from neighbours: {measure} = {value}{more}"


def _trust_text(trust: Trust) -> str:
    if np.isnan(trust.value):
        return f"trustworthiness not defined\n({trust.n} images for {trust.k} neighbours)"
    return f"trustworthiness {trust.value:.3f}\n(k = {trust.k}, n = {trust.n})"


def local_figure(
    rows: Mapping[str, tuple[Mapping[str, Local], Mapping[str, Local]]], parameters: Sequence[Parameter], k: int
) -> Figure:
    """Plot bars of how well neighbours predict each parameter.

    Filled bars are for neighbours on the map, outlined bars for neighbours in the features.

    Args:
        rows: For each label, the scores of neighbours on the map and the scores of neighbours in the features, by the
            name of the parameter.
        parameters: Parameter of each group of bars.
        k: Number of neighbours.
    """
    figure = Figure(
        figsize=(max(5.0, 1.5 + len(parameters) * (0.5 + 0.5 * len(rows))), 3.4 + 0.2 * len(rows)), layout="constrained"
    )
    axes = figure.subplots()
    width = 0.8 / (2 * len(rows))
    lowest = 0.0
    for number, (label, pair) in enumerate(rows.items()):
        colour = COLORS[number % len(COLORS)]
        for inside, locals_ in enumerate(pair):
            for group, parameter in enumerate(parameters):
                each = locals_[parameter.name]
                if np.isnan(each.value.value):
                    continue
                x = group + (2 * number + inside - len(rows) + 0.5) * width
                style: dict[str, Any] = {"color": colour} if not inside else {"fill": False, "edgecolor": colour}
                error = np.clip([[each.value.value - each.value.low], [each.value.high - each.value.value]], 0, None)
                axes.bar(
                    x, each.value.value, 0.9 * width, yerr=np.nan_to_num(error), error_kw={"lw": 1, "ecolor": "0.3"},
                    label=f"{label}, {'features' if inside else 'map'}" if group == 0 else None, lw=1.3, **style,
                )  # fmt: skip
                lowest = min(lowest, each.value.value)
                if each.chance:
                    axes.plot([x - width / 2, x + width / 2], [each.chance] * 2, color="0.1", lw=1, ls=":")
    axes.axhline(0, color="0.25", lw=0.8)
    axes.set(ylim=(max(-0.25, lowest - 0.05) if lowest < 0 else 0, 1.03), xlim=(-0.6, len(parameters) - 0.4))
    name_groups(axes, [p.label for p in parameters], 12)
    kinds = {"accuracy (dotted: by chance)" if parameter.classes else "$R^2$" for parameter in parameters}
    axes.set_ylabel(" or ".join(sorted(kinds)))
    axes.set_title(f"Prediction from the {k} nearest neighbours, with 95 % intervals", loc="left", fontsize=10)
    axes.grid(axis="y", color="0.9")
    axes.set_axisbelow(True)
    handles = _legend(rows)
    figure.legend(handles=handles, loc="outside lower center", ncols=2, frameon=False, fontsize=8)
    return figure


def _legend(rows: Mapping[str, Any]) -> list[Any]:
    from matplotlib.patches import Patch

    colours = {label: COLORS[number % len(COLORS)] for number, label in enumerate(rows)}
    return [
        patch
        for label, colour in colours.items()
        for patch in (
            Patch(color=colour, label=f"{as_label(label)}: in the map"),
            Patch(fill=False, edgecolor=colour, label=f"{as_label(label)}: in the features"),
        )
    ]
