"""Contracts between components, a file for each kind. A breach is one line that names the component.

The core checks each component when it is first used. What costs time, such as rendering a lens alone and among others,
is done once for each object.
"""
