"""What this plugin brings."""

from lenskit.plugin import Component, hookimpl


@hookimpl
def lenskit_evaluations() -> list[Component]:
    return [
        Component("embed", "lenskit_evaluation.embed:Embed", "Features of images, to a file"),
        Component(
            "probe", "lenskit_evaluation.probe.evaluation:Probe", "How well parameters are read off frozen features"
        ),
        Component(
            "invariance",
            "lenskit_evaluation.invariance.evaluation:Invariance",
            "Was the lens kept and the rest forgotten?",
        ),
        Component(
            "finetune",
            "lenskit_evaluation.finetune.evaluation:Finetune",
            "What few labels are worth after pre-training",
        ),
        Component(
            "explore",
            "lenskit_evaluation.explore.evaluation:Explore",
            "The features as a map to explore, in one HTML page",
        ),
        Component("predict", "lenskit_evaluation.predict:Predict", "Parameters of images, with intervals, to a table"),
        Component("package", "lenskit_evaluation.package:Package", "An encoder with its head, as a folder to ship"),
        Component("report", "lenskit_evaluation.report.evaluation:Report", "Runs side by side, in one page"),
        Component(
            "transfer", "lenskit_evaluation.transfer.evaluation:Transfer", "From simulations to real images with labels"
        ),
        Component(
            "anomaly", "lenskit_evaluation.anomaly.evaluation:Anomaly", "How well scores tell anomalies from the rest"
        ),
        Component("umap", "lenskit_evaluation.maps.evaluation:Umap", "The features as a map, coloured by parameters"),
        Component(
            "neighbours", "lenskit_evaluation.neighbours.evaluation:Neighbours", "Lenses of an archive like an image"
        ),
    ]
