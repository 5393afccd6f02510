"""What this plugin brings."""

from lenskit.plugin import Component, hookimpl


@hookimpl
def lenskit_evaluations():
    return [
        Component("embed", "lenskit_evaluation.embed:Embed", "Features of images, to a file"),
        Component("probe", "lenskit_evaluation.probe:Probe", "How well parameters are read off frozen features"),
        Component(
            "invariance", "lenskit_evaluation.invariance:Invariance", "Was the lens kept and the rest forgotten?"
        ),
        Component("finetune", "lenskit_evaluation.finetune:Finetune", "What few labels are worth after pre-training"),
        Component(
            "explore", "lenskit_evaluation.explore:Explore", "The features as a map to explore, in one HTML page"
        ),
        Component("predict", "lenskit_evaluation.predict:Predict", "Parameters of images, with intervals, to a table"),
        Component("report", "lenskit_evaluation.report:Report", "Runs side by side, in one page"),
        Component("transfer", "lenskit_evaluation.transfer:Transfer", "From simulations to real images with labels"),
        Component("umap", "lenskit_evaluation.umap:Umap", "The features as a map, coloured by parameters"),
        Component("neighbours", "lenskit_evaluation.neighbours:Neighbours", "Lenses of an archive like an image"),
    ]
