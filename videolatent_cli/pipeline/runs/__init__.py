"""Run folders and the trained models that they contain."""
