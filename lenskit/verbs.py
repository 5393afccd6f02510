"""Verbs of the command line, with their summaries.

Commands of plugins must have other names.
"""

VERBS = {
    "train": "Train an encoder",
    "simulate": "Simulate lenses to a store",
    "render": "Render the lenses of a table",
    "show": "Plot lenses and their views",
    "runs": "List and compare runs",
    "data": "Describe and check stored images",
    "evaluate": "Evaluate runs",
    "benchmark": "Measure how fast a configuration trains",
    "export": "Write a trained encoder for timm or ONNX",
    "list": "List the installed components",
    "info": "Explain a component and its options",
    "plugins": "List the plugins and their faults",
    "doctor": "Check the installation",
}
