"""Plots and pages from result values."""
