"""Panels of a run."""

from videolatent_cli.report.curves import draw_panels, run_panels


def test_run_panels_hold_what_the_log_says() -> None:
    line = {
        "step": 1,
        "parts": {"answer": 2.0, "diversity": 0.5},
        "latents": {"scale": 1.0, "effective_rank": 9.0},
        "learning_rate": 1e-3,
        "grad_norm": 3.0,
        "num_tokens": 100,
        "seconds": 0.5,
        "peak_memory_bytes": 2_000_000_000,
    }
    panels = {panel.title: panel.curves for panel in run_panels([line])}
    assert panels["loss by part"] == {"answer": [(1, 2.0)], "diversity": [(1, 0.5)]}
    assert panels["tokens per second"] == {"training": [(1, 200.0)]}
    assert panels["peak memory (GB)"] == {"so far": [(1, 2.0)]}
    assert panels["latents: effective rank"] == {"all latents": [(1, 9.0)]}
    plain = run_panels([line | {"latents": {}}])
    assert not any("latents" in panel.title for panel in plain)
    assert draw_panels(plain[:3]).startswith(b"\x89PNG")
