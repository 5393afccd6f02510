"""Base class of each kind of component.

Plugin authors import them from `lenskit.plugin`.
"""
