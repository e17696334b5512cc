"""Check an installed wheel from outside: `python tests/wheel.py PATH/TO/vl`."""

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory


def main() -> None:
    """Render a video with the installed program and ask it a question, outside the checkout."""
    vl = Path(sys.argv[1]).absolute()
    with TemporaryDirectory() as folder:

        def run(*arguments: str) -> str:
            done = subprocess.run(
                [vl, *arguments], cwd=folder, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, (arguments, done.stderr)
            return done.stdout

        assert "render" in run("demo", "--help").lower()
        assert "quickstart" in run("recipes", "ls")
        run("data", "render", "eventworld", "-o", "world", "--videos", "1", "--split", "val")
        answer = run("ask", "world/val/000000.mp4", "How many objects are there at the start?")
        assert answer.split()[0].isdigit(), answer
    sys.stdout.write(f"{vl}: answers\n")


if __name__ == "__main__":
    main()
