"""Properties of the bundled components, such as the parameters of a simulator."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch

from lenskit.encoders.words import told
from lenskit.found import Record
from lenskit.kinds.method import Predictor, Reconstructor, Scorer
from lenskit.kinds.parameter import Parameter
from lenskit.options import options_of
from tests.docs.reference.markdown import DOCS, code, codes, linked, table

ABILITIES = {
    Scorer: "scores how anomalous images are",
    Reconstructor: "reconstructs images",
    Predictor: "predicts recorded parameters",
}
"""Meaning of the mixins of a method."""


def provided(record: Record, component: Any) -> list[str]:
    """Return the properties of a component as blocks of Markdown."""
    facts = FACTS.get(record.kind)
    return list(facts(record, component)) if facts else []


def _simulator(record: Record, component: Any) -> Iterator[str]:
    if needed := [each.name for each in options_of(component) if each.required]:
        yield f"Images and parameters depend on the option {codes(needed)}, which has no default."
        return
    simulator = component()
    channels, height, width = simulator.image_shape
    yield _bullets(
        {
            "Images": f"{channels} x {height} x {width} (channels, height, width)",
            "Pixel": f"{simulator.pixel_scale} arcsec",
            "Parameter groups, which a pair strategy may share": codes(simulator.groups),
            "Light that can be left out": codes(sorted(simulator.removable)),
            "Options that add anomalies": codes(
                f"{name}={_plain(each)}" for name, each in simulator.anomaly_options.items()
            ),
        }
    )
    yield "Recorded parameters, with the default options:"
    yield table(["parameter", "unit", "group", "remarks"], map(_parameter, simulator.parameters))
    recorded = {each.name for each in simulator.parameters}
    if further := [each for each in simulator.known if each.name not in recorded]:
        names = (f"{code(each.name)}{f' [{each.unit}]' if each.unit else ''}" for each in further)
        yield f"Further parameters that it may sample, recorded if a table gives their values: {', '.join(names)}."


def _parameter(parameter: Parameter) -> list[str]:
    remarks = ["headline"] if parameter.headline else []
    if parameter.classes:
        count = len(parameter.classes)
        remarks.append(f"{count} classes" + (f": {', '.join(parameter.classes)}" if count < 8 else ""))
    remarks += ["number of an object"] if parameter.identity else []
    return [code(parameter.name), parameter.unit, code(parameter.group), "; ".join(remarks)]


def _pairs(record: Record, component: Any) -> Iterator[str]:
    pairs = component()
    yield _bullets(
        {
            "Images of each lens that it takes": str(pairs.draws),
            "Views that it makes": str(pairs.views),
            "Parameter groups that the images share": codes(sorted(pairs.shared_groups)),
        }
    )


def _method(record: Record, component: Any) -> Iterator[str]:
    sections = (
        f"{section}.{option}={_plain(value)}"
        for section, values in component.default_sections.items()
        for option, value in values.items()
    )
    yield _bullets(
        {
            "Views": str(getattr(component, "views", "depends on the options")),
            "Optimizer": _settings(component.optimizer_defaults) or "its own, see the options",
            "Defaults of other sections": codes(sections),
            "Abilities": ", ".join(text for mixin, text in ABILITIES.items() if issubclass(component, mixin)),
            "Evaluation to run next": _evaluation(component.judged_by),
        }
    )


def _backbone(record: Record, component: Any) -> Iterator[str]:
    if record.component.argument:
        return
    with torch.device("meta"):  # without memory and random numbers
        backbone = component(1, 64)
    weights = sum(each.numel() for each in backbone.parameters())
    yield _bullets({"For images of one channel and 64 pixels": f"{backbone.features:,} features, {weights:,} weights"})


def _dataset(record: Record, component: Any) -> Iterator[str]:
    layout = "any layout of its files; readers of one layout are tried first" if component.general else "one layout"
    yield _bullets({"Path": component.accepts, "Reads": layout, "Type": code(f"--data {record.name}:PATH")})


def _format(record: Record, component: Any) -> Iterator[str]:
    reader = component.reader and f"[{component.reader}](datasets.md#{component.reader})"
    paths = codes(f"NAME{ending}" for ending in component.endings)
    yield _bullets(
        {
            "Holds": " and ".join(component.contents()),
            "Selected by": f"{paths} or `--format {record.name}`" if paths else f"`--format {record.name}`",
            "Read by the dataset": reader,
        }
    )


def _encoder(record: Record, component: Any) -> Iterator[str]:
    lines = (line.partition(": ") for line in told(component))
    use = "predict {} IMAGES" if component.get("head") else "embed {} --data IMAGES"
    page = DOCS / "reference" / "encoders.md"
    yield "\n".join(f"- {name.capitalize()}: {linked(text, page)}" for name, _, text in lines)
    name = record.title
    yield f"Use it in place of a run: `lenskit {use.format(name)}`. In Python: `lenskit.load({name!r})`."


def _evaluation_facts(record: Record, component: Any) -> Iterator[str]:
    yield f"Flags: [`lenskit {record.name}`](cli.md#lenskit-{record.name})."


FACTS = {
    "simulator": _simulator,
    "pairs": _pairs,
    "method": _method,
    "backbone": _backbone,
    "dataset": _dataset,
    "format": _format,
    "encoder": _encoder,
    "evaluation": _evaluation_facts,
}
"""Function that yields the properties of a component of each kind."""


def _evaluation(name: str) -> str:
    return f"[{name}](evaluations.md#{name})" if name else ""


def _settings(values: Mapping[str, Any] | None) -> str:
    return codes(f"{name}={_plain(value)}" for name, value in (values or {}).items())


def _plain(value: Any) -> str:
    if isinstance(value, Iterable) and not isinstance(value, str):
        return f"[{', '.join(map(str, value))}]"
    return str(value)


def _bullets(facts: Mapping[str, str]) -> str:
    """Return a list of the facts that are not empty."""
    return "\n".join(f"- {name}: {text}" for name, text in facts.items() if text)
