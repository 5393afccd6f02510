"""Contracts between components, one file for each kind.

The core checks each component when it is first used. A breach raises an error with one line, which names the component.
Costly checks, such as rendering a lens both alone and in a batch, run once for each object.
"""
