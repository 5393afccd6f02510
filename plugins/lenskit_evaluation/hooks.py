"""What this plugin brings."""

from lenskit.plugin import Component, hookimpl


@hookimpl
def lenskit_evaluations():
    return [
        Component("embed", "lenskit_evaluation.embed:Embed", "Features of images, to a file"),
        Component("probe", "lenskit_evaluation.probe:Probe", "How well parameters are read off frozen features"),
        Component("predict", "lenskit_evaluation.predict:Predict", "Parameters of images, with intervals, to a table"),
    ]
