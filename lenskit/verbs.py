"""The verbs of `lenskit` itself, with their summaries.

Commands of plugins must have other names.
"""

VERBS = {
    "train": "Train an encoder",
    "simulate": "Simulate lenses to disk",
    "render": "Render the lenses of a table as images",
    "show": "Plot lenses and their views",
    "runs": "List and compare runs",
    "data": "Inspect and check stored images",
    "evaluate": "Evaluate runs with any evaluation",
    "benchmark": "Measure how fast a configuration trains",
    "export": "Write a trained encoder for timm or ONNX",
    "list": "List the installed components",
    "info": "Describe a component and its options",
    "plugin": "Create or check a plugin",
    "plugins": "List the plugins and their faults",
    "doctor": "Check the installation",
}
