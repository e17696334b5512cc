"""The grid of baselines: cells that are trained (__main__), and the tables and plot from them."""

from benchmarks.ablation.tables import run

__all__ = ["run"]
