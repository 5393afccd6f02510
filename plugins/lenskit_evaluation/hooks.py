"""Components of this plugin."""

from lenskit.plugin import Component, hookimpl


@hookimpl
def lenskit_evaluations() -> list[Component]:
    return [
        Component("embed", "lenskit_evaluation.embed:Embed", "Write the features of images to a file"),
        Component(
            "probe",
            "lenskit_evaluation.probe.evaluation:Probe",
            "Measure how well a probe predicts parameters from frozen features",
        ),
        Component(
            "invariance",
            "lenskit_evaluation.invariance.evaluation:Invariance",
            "Test whether features keep the lens and ignore the rest of the image",
        ),
        Component(
            "finetune",
            "lenskit_evaluation.finetune.evaluation:Finetune",
            "Fine-tune an encoder on few labels, compared with a random start",
        ),
        Component(
            "explore",
            "lenskit_evaluation.explore.evaluation:Explore",
            "Write an interactive UMAP of the features as one HTML page",
        ),
        Component(
            "predict", "lenskit_evaluation.predict:Predict", "Predict parameters of images, with intervals, as a table"
        ),
        Component(
            "package",
            "lenskit_evaluation.package:Package",
            "Save an encoder and its calibrated head as a folder to distribute",
        ),
        Component(
            "report", "lenskit_evaluation.report.evaluation:Report", "Compare runs side by side in one HTML page"
        ),
        Component(
            "transfer",
            "lenskit_evaluation.transfer.evaluation:Transfer",
            "Test a probe that was fitted to simulations on real, labelled images",
        ),
        Component(
            "anomaly",
            "lenskit_evaluation.anomaly.evaluation:Anomaly",
            "Measure how well scores separate anomalies from normal images",
        ),
        Component(
            "umap", "lenskit_evaluation.maps.evaluation:Umap", "Plot the features as a UMAP, coloured by parameters"
        ),
        Component(
            "neighbours",
            "lenskit_evaluation.neighbours.evaluation:Neighbours",
            "Find the lenses of an archive that are most similar to an image",
        ),
    ]
