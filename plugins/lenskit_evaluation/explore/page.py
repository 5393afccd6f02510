"""Self-contained HTML page with an interactive map of features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from itertools import cycle, islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lenskit.evaluation import stamp
from lenskit.plugin import Parameter
from lenskit_evaluation.explore.sprites import COLUMNS, Sprites
from lenskit_evaluation.explore.text import label

Array = NDArray[np.float64]

MIDDLE = (1, 99)
"""Percentiles of a parameter at the ends of its colour scale, so that outliers do not stretch the scale."""

BEYOND = 0.25
"""Margin of a histogram beyond the percentiles `MIDDLE`, as a share of the range between these percentiles."""

BINS = 24
"""Number of bins of a histogram."""

SIZES = (3.5, 9.0)
"""Smallest and largest diameter of the points in pixels; points are smaller if there are more lenses."""

UNKNOWN, ALL, CHOSEN = "#bdbdbd", "#c4c4c4", "#0b5cad"
"""Colours of points without a known value, of histograms of all lenses, and of histograms of selected lenses."""


@dataclass(frozen=True)
class Shown:
    """Content of a page.

    Attributes:
        heading: Title of the page.
        facts: Lines of text that describe the lenses and the map.
        places: (n, 2), coordinates of each lens on the map.
        names: n names of the lenses.
        parameters: Parameters of the lenses, in the order of display.
        values: Values (n,) of each parameter by its name; NaN if not known.
        sprites: Thumbnails of the lenses; None if there are no images.
    """

    heading: str
    facts: Sequence[str]
    places: Array
    names: Sequence[str]
    parameters: Sequence[Parameter]
    values: Mapping[str, Array]
    sprites: Sprites | None = None


def page(shown: Shown) -> str:
    """Return the HTML of the page."""
    from bokeh.document import Document
    from bokeh.embed import file_html
    from bokeh.events import DocumentReady
    from bokeh.models import CustomJS
    from bokeh.resources import INLINE

    parameters = [described(parameter, shown.values[parameter.name]) for parameter in shown.parameters]
    figure, models = _map(shown)
    histograms = [_histogram(parameter, number) for number, parameter in enumerate(parameters)]
    document = Document()
    for root in (figure, *(root for root, _ in histograms)):
        document.add_root(root)
    given = models | {
        "parameters": parameters,
        "histograms": [source for _, source in histograms],
        "names": list(shown.names),
        "side": shown.sprites.side if shown.sprites else 0,
        "columns": COLUMNS,
    }
    document.js_on_event(DocumentReady, CustomJS(args={"page": given}, code="explore.start(page)"))
    texts = {"heading": shown.heading, "facts": shown.facts, "css": _file("page.css"), "js": _file("page.js")}
    return file_html(
        document,
        INLINE,
        shown.heading,
        template=_file("page.html"),
        template_variables=texts
        | {
            "stamp": stamp(),
            "sheets": shown.sprites.css() if shown.sprites else "",
            "pictured": shown.sprites is not None,
            "coloured": len(parameters),
        },
    )


def described(parameter: Parameter, values: Array) -> dict[str, Any]:
    """Return a parameter's labels, colour scale, bins and values for page.js.

    Args:
        parameter: The parameter.
        values: (n,), NaN if not known.
    """
    from bokeh.palettes import Viridis256

    finite = values[np.isfinite(values)]
    classes = [name.replace("$", "") for name in parameter.classes]
    if classes:
        bins, palette = len(classes), _categories(len(classes))
        low, high = first, last = -0.5, len(classes) - 0.5
    else:
        bins, palette = BINS, list(Viridis256)
        low, high = np.percentile(finite, MIDDLE) if len(finite) else (0.0, 1.0)
        margin = BEYOND * (high - low)
        first, last = max(low - margin, min(finite, default=low)), min(high + margin, max(finite, default=high))
        if not high > low:  # constant values have one colour and one bin
            low, high = first, last = low - 0.5, low + 0.5
    return {
        "name": parameter.name,
        "label": label(parameter),
        "classes": classes,
        "low": float(low),
        "high": float(high),
        "edges": np.linspace(first, last, bins + 1),
        "palette": palette,
        "unknown": len(values) - len(finite),
        "values": np.where(np.isfinite(values), values, np.nan).astype(np.float32),
    }


def _categories(n: int) -> list[str]:
    """Return n colours: up to twenty are all different, more repeat."""
    from bokeh.palettes import Bright6, Category20_20

    colours: Sequence[str] = Bright6 if n <= len(Bright6) else Category20_20
    return list(islice(cycle(colours), n))


def _map(shown: Shown) -> tuple[Any, dict[str, Any]]:
    """Return the Bokeh figure of the map, and the models in it that page.js changes."""
    from bokeh.models import ColumnDataSource, CustomJS, HoverTool, LinearColorMapper
    from bokeh.models.annotations import ColorBar
    from bokeh.palettes import Viridis256
    from bokeh.plotting import figure

    x, y = shown.places.T.astype(np.float32)
    unknown = np.full(len(x), np.nan, np.float32)
    points = ColumnDataSource({"x": x, "y": y, "value": unknown})
    here = ColumnDataSource({"x": [], "y": []})
    mapper = LinearColorMapper(palette=Viridis256, low=0, high=1, nan_color=UNKNOWN)
    plot = figure(
        name="map",
        sizing_mode="stretch_both",
        match_aspect=True,
        output_backend="webgl",
        tools="box_select,lasso_select,pan,wheel_zoom,reset,save",
        active_drag="box_select",
        active_scroll="wheel_zoom",
        toolbar_location="above",
        background_fill_color="#fafafa",
        outline_line_color="#cccccc",
    )
    plot.toolbar.logo = None
    plot.axis.visible = False  # coordinates of a UMAP have no meaning
    plot.grid.visible = False
    dots = plot.scatter(
        "x",
        "y",
        source=points,
        size=float(np.clip(300 / np.sqrt(len(x)), *SIZES)),
        fill_color={"field": "value", "transform": mapper},
        line_color=None,
        fill_alpha=0.85,
        nonselection_fill_alpha=0.12,
    )
    plot.scatter("x", "y", source=here, size=15, fill_color=None, line_color="#111111", line_width=2)
    looks = CustomJS(code="explore.hover(cb_data)")
    plot.add_tools(HoverTool(renderers=[dots], tooltips=None, callback=looks, visible=False))
    points.selected.js_on_change("indices", CustomJS(code="explore.select(cb_obj.indices)"))
    bar = ColorBar(color_mapper=mapper, width=12, padding=4, title=None, visible=False)
    plot.add_layout(bar, "right")
    return plot, {"points": points, "here": here, "mapper": mapper, "bar": bar}


def _histogram(parameter: Mapping[str, Any], number: int) -> tuple[Any, Any]:
    """Return the Bokeh figure of the histogram of a parameter, and its data source."""
    from bokeh.models import ColumnDataSource, Range1d
    from bokeh.plotting import figure

    edges = parameter["edges"]
    finite = parameter["values"][~np.isnan(parameter["values"])]
    share = np.histogram(finite.clip(edges[0], edges[-1]), edges)[0] / max(len(finite), 1)
    source = ColumnDataSource({"left": edges[:-1], "right": edges[1:], "all": share, "selected": 0 * share})
    plot: Any = figure(
        name=f"histogram-{number}",
        title=parameter["label"],
        sizing_mode="stretch_both",
        tools="",
        toolbar_location=None,
        min_border=4,
        outline_line_color=None,
        x_range=Range1d(edges[0], edges[-1]),
    )
    plot.title.update(text_font_size="12px", text_font_style="normal", text_color="#222222")
    plot.grid.visible = plot.yaxis.visible = False
    plot.y_range.start = 0
    plot.xaxis.update(axis_line_color="#999999", major_tick_in=0, minor_tick_line_color=None)
    plot.xaxis.ticker.update(desired_num_ticks=4)
    classes = parameter["classes"]
    if classes:
        plot.xaxis.ticker = list(range(len(classes)))
        plot.xaxis.major_label_overrides = {k: _short(name, len(classes)) for k, name in enumerate(classes)}
    plot.quad(left="left", right="right", top="all", bottom=0, source=source, color=ALL, line_color=None)
    plot.quad(
        left="left", right="right", top="selected", bottom=0, source=source,
        fill_color=CHOSEN, fill_alpha=0.45, line_color=CHOSEN, line_width=1,
    )  # fmt: skip
    return plot, source


def _short(name: str, classes: int) -> str:
    """Shorten the name of a class to the width of its bar."""
    room = max(24 // classes, 2)
    return name if len(name) <= room else name[: room - 1] + "…"


def _file(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")
