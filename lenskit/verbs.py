"""The verbs of `lenskit` itself, with their summaries.

Commands of plugins must have other names.
"""

VERBS = {
    "train": "Train an encoder",
    "simulate": "Simulate lenses to disk",
    "render": "Make images of the lenses of a table",
    "show": "Draw lenses and their views",
    "runs": "List runs, and compare them",
    "data": "Look at stored images, and check them",
    "evaluate": "Judge runs by any evaluation",
    "benchmark": "Measure how fast a configuration trains",
    "export": "Write a trained encoder for timm or ONNX",
    "list": "List the components there are",
    "info": "Explain a component and its options",
    "plugin": "Create a plugin, or check one",
    "plugins": "List the plugins, and why one failed",
    "doctor": "Check the installation",
}
