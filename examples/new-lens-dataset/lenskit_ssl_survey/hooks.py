"""Components of this plugin.

This module runs whenever lenskit starts, so it imports nothing else.
"""

from lenskit.plugin import Component, hookimpl


@hookimpl
def lenskit_datasets():
    return [
        Component(
            "survey",
            "lenskit_ssl_survey.dataset:Survey",
            "Release of the survey: FITS cutouts and a catalogue",
        ),
    ]
