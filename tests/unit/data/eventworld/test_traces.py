"""Written rationales."""

from videolatent_cli.data.eventworld import all_questions, make_world, trace


def test_traces_end_in_the_answer() -> None:
    world = make_world("train", 0)
    question = next(q for q in all_questions(world) if q.family == "next_shape")
    full = trace(world, question, "full")
    assert full == (
        "1 red circle move up ; 2 yellow triangle move down ; 3 cyan square move up ; "
        "4 red circle cover ; yellow triangle move down ; cyan square move up ; so square"
    )
    assert (
        trace(world, question, "short")
        == "yellow triangle move down ; cyan square move up ; so square"
    )
    assert trace(world, question, "noisy", 0.0) == full
    noisy = trace(world, question, "noisy", 1.0)
    assert noisy.endswith("so square")
    assert noisy.split(" ; ")[0] != full.split(" ; ")[0]
    assert trace(world, question, "noisy", 1.0) == noisy
