"""Command line, one module for each verb.

A verb imports heavy libraries only when it runs.
"""
