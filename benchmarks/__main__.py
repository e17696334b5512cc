"""Command `python -m benchmarks`: run benchmarks and write their sections of docs/results."""

import os
import platform
import re
import subprocess
import sys
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path

RESULTS = Path(__file__).parents[1] / "docs" / "results"
ABOUT_LATENTS = ("ablation", "before_latents", "demo", "embedded")
"""Benchmarks with a section in `latents.md`; the others write `performance.md`."""
NAMES = (
    "startup",
    "decode",
    "cache",
    "training_step",
    "memory",
    "released",
    "epoch",
    "library",
    "scale",
    "embedded",
    "before_latents",
    "demo",
)


def hardware() -> str:
    """Return the name of the processor and the number of cores."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        line = re.search(r"model name\s*: (.*)", info.read_text(encoding="utf-8"))
        model = line[1] if line else model
    return f"{model}, {os.cpu_count()} cores"


def commit() -> str:
    """Return the hash of the measured commit."""
    done = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    )
    return done.stdout.strip() or "unknown"


def write_section(name: str, text: str) -> None:
    """Replace one section of a results page, or add it at the end."""
    path = RESULTS / ("latents.md" if name in ABOUT_LATENTS else "performance.md")
    begin, end = f"<!-- {name} -->", f"<!-- end {name} -->"
    stamp = f"*{hardware()}; {datetime.now(UTC):%Y-%m-%d}; commit {commit()}*"
    section = f"{begin}\n{text.strip()}\n\n{stamp}\n{end}"
    page = path.read_text(encoding="utf-8")
    if begin in page:
        page = re.sub(f"{begin}.*?{end}", lambda _: section, page, flags=re.S)
    else:
        page = f"{page.rstrip()}\n\n{section}\n"
    path.write_text(page, encoding="utf-8")


def main() -> None:
    """Run the named benchmarks, or all."""
    for name in sys.argv[1:] or NAMES:
        print(f"-- {name}", flush=True)
        text = import_module(f"benchmarks.{name}").run()
        print(text, flush=True)
        write_section(name, text)


if __name__ == "__main__":
    main()
