"""Ask the embedded model about a rendered video and print the answer.

    python examples/ask_a_video.py

Takes a few seconds; nothing is downloaded.
"""

from pathlib import Path
from tempfile import TemporaryDirectory

from videolatent_cli import AskRequest, Machine, ask
from videolatent_cli.data.eventworld.files import render_dataset


def main() -> None:
    """Render one EventWorld video and ask two questions about it."""
    with TemporaryDirectory() as folder:
        render_dataset(Path(folder), {"test_iid": 1}, ["all"], 8)
        video = Path(folder) / "test_iid" / "000000.mp4"
        machine = Machine(cache_dir=Path(folder) / "cache", device="cpu")
        for question in ("How many objects are there at the start?", "Which color moved last?"):
            answer = ask(AskRequest(video, question), machine).answer
            print(f"{question}  {answer.answer}")


if __name__ == "__main__":
    main()
