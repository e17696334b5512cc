"""Pipelines of the commands: one module per command, each returning a report to print.

`library` builds, searches and maintains video libraries, `answering` turns questions into answer
documents, and `runs` holds run folders and trained models.
"""
