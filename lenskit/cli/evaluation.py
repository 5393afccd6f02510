"""Commands of evaluations, whose options become flags."""

from __future__ import annotations

from types import UnionType
from typing import Any, Union, get_args, get_origin

import click

from lenskit.options import Option, description, options_of
from lenskit.registry import registry
from lenskit.words import escaped


def command_of(name: str) -> click.Command:
    """Return the command of an evaluation by name."""
    record = registry().find("evaluation", name)
    component = record.load()
    parameters: list[click.Parameter] = []
    if component.inputs is None:
        parameters.append(click.Argument(["runs"], nargs=-1, metavar="RUN..."))
        parameters.append(
            click.Option(
                ["--from", "more"], multiple=True, metavar="RUN", help="Another run, the same as an argument RUN."
            )
        )
    else:
        parameters.append(click.Argument(["run"], metavar="RUN"))
        parameters.append(click.Argument(["inputs"], nargs=-1, required=True, metavar=f"{component.inputs}..."))
    options = options_of(component)
    parameters += [_flag(option, component.short.get(option.name)) for option in options]
    parameters += [flag for flag in _added() if flag.name not in {option.name for option in options}]

    def callback(
        runs: tuple[str, ...] = (),
        more: tuple[str, ...] = (),
        run: str = "",
        inputs: tuple[str, ...] = (),
        **flags: Any,
    ) -> None:
        from lenskit.api import evaluate

        given = {key: list(v) if isinstance(v, tuple) else v for key, v in flags.items() if v not in (None, ())}
        evaluate(name, (run,) if run else runs + more, inputs, **given)

    summary = escaped(record.component.summary)
    text = description(component) or summary
    return click.Command(name, params=parameters, callback=callback, help=text, short_help=summary)


def _added() -> list[click.Option]:
    """Return the flags that every evaluation has."""
    return [
        click.Option(
            ["--output"], metavar="FOLDER", help="Folder for the results. [default: a folder in the run directory]"
        ),
        click.Option(
            ["--overwrite"],
            is_flag=True,
            default=None,
            help="Overwrite earlier results, and files that the evaluation did not write.",
        ),
    ]


def _flag(option: Option, short: str | None) -> click.Option:
    flag = "--" + option.name.replace("_", "-")
    stated = not option.required and option.default not in (None, "", (), [])
    text = f"{option.meaning} [default: {option.default}]" if stated else option.meaning
    if bool in _parts(option.annotation):
        return click.Option([f"{flag}/--no-{flag[2:]}"], default=None, help=text)
    many = any(get_origin(part) in (list, tuple) for part in _parts(option.annotation))
    names = [short, flag] if short else [flag]
    takes = option.takes.removesuffix(" or nothing")
    if many:
        takes = takes.partition("[")[2].removesuffix("]")
    # Keep the case of choices, because users type them.
    metavar = takes if takes.startswith("'") else takes.upper()
    return click.Option(names, multiple=many, required=option.required, help=text, metavar=metavar)


def _parts(annotation: Any) -> tuple[Any, ...]:
    return get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)
