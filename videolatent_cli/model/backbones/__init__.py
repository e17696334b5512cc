"""Backbones: one class per model family, behind one interface.

Within `model`, only this package imports transformers.
"""
