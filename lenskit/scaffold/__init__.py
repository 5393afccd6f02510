"""New plugins from templates.

`templates/` has a working example of each kind, and `new.py` writes the files of a plugin.
"""
