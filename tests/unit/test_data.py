"""Triplets, data sets, and EventWorld: pinned digests, balance, held-out compositions."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from tests.factories import make_video, write_jsonl
from videolatent_cli.data.dataset import Dataset, check_media, load_dataset
from videolatent_cli.data.eventworld import (
    DESCRIPTIONS,
    FAMILIES_3_HOPS_AND_MORE,
    HOPS,
    SPLITS,
    Balance,
    all_questions,
    descriptions,
    make_world,
    render,
    trace,
)
from videolatent_cli.data.eventworld import files as eventworld_files
from videolatent_cli.data.eventworld.files import frames_digest, render_dataset, render_videos
from videolatent_cli.data.eventworld.forms import LONGEST_WAIT
from videolatent_cli.data.eventworld.questions import ANSWERS, is_held_out_program
from videolatent_cli.data.eventworld.triplets import eventworld_triplets, expand_families
from videolatent_cli.data.eventworld.world import Kind, neighbour
from videolatent_cli.data.records import write_records
from videolatent_cli.data.triplets import (
    Triplet,
    question_text,
    read_triplets,
    with_rationale,
)
from videolatent_cli.errors import DataError, RecipeError, SetupError
from videolatent_cli.model.batch import HINT
from videolatent_cli.recipe import parse_recipe
from videolatent_cli.video.info import read_info

DIGESTS: dict[str, str] = json.loads(
    (Path(__file__).parent / "eventworld_digests.json").read_text(encoding="utf-8")
)

# --- worlds and pictures


@pytest.mark.parametrize("split", SPLITS)
def test_frames_are_the_pinned_ones(split: str) -> None:
    assert frames_digest(split) == DIGESTS[split]


@pytest.mark.parametrize("split", SPLITS)
def test_worlds_obey_the_rules(split: str) -> None:
    for index in range(150):
        world = make_world(split, index)
        assert world.num_frames == 4 + 3 * len(world.events)
        assert len({kind.color for kind in world.objects}) == len(world.objects)
        assert any(kind.held_out for kind in world.objects) == (split == "test_pair")
        for event, later in zip(world.events, world.events[1:], strict=False):
            acting = {event.actor, event.patient} - {None}
            assert not acting & {later.actor, later.patient}
        for event, before, after in zip(world.events, world.states, world.states[1:], strict=False):
            cells = [cell for cell in after.cells if cell is not None]
            assert len(cells) == len(set(cells))
            moved = {w for w, c in enumerate(after.cells) if c != before.cells[w]}
            appeared = {event.actor} if event.type in ("appear", "vanish") else set()
            assert moved == set(event.movers()) | appeared


def test_worlds_do_not_depend_on_order() -> None:
    later = make_world("train", 7)
    assert [make_world("train", i) for i in range(8)][7] == later
    assert make_world("val", 7) != later


def test_held_out_pairs_are_6_of_24() -> None:
    from videolatent_cli.data.eventworld.world import COLORS, SHAPES

    assert sum(Kind(c, s).held_out for c in COLORS for s in SHAPES) == 6


def test_neighbours_by_hand() -> None:
    assert neighbour(4, "up") == 1
    assert neighbour(4, "right") == 5
    assert neighbour(2, "right") is None
    assert neighbour(7, "down") is None


def test_pictures_show_what_happens() -> None:
    world = make_world("train", 0)  # red circle moves up, yellow triangle down, ...
    frames = render(world)
    assert frames.shape == (16, 64, 64, 3)
    red = (frames == (220, 40, 40)).all(-1)
    rows = [np.nonzero(r)[0].mean() for r in red[:6]]
    assert rows[0] == rows[1] > rows[2] > rows[3] > rows[4]
    look = render(make_world("test_look", 3))
    assert not np.array_equal(look, render(make_world("test_look", 4)))
    assert look.std() > 0


# --- questions


def test_answers_are_the_programs_results_by_hand() -> None:
    # events of train/0: red circle up, yellow triangle down, cyan square up, red circle covered
    found = {q.text: q.answer for q in all_questions(make_world("train", 0))}
    assert found["Which color moved first?"] == "red"
    assert found["Which color moved last?"] == "cyan"
    assert found["Where did the yellow triangle go?"] == "down"
    assert found["How many different objects moved?"] == "3"
    assert found["Which color was covered?"] == "red"
    assert found["How many objects are there at the end?"] == "2"
    assert found["Did the cyan square move before the red circle?"] == "no"
    assert found["Which shape moved right after the yellow triangle moved?"] == "square"
    assert found["Which color moved right before the cyan square moved?"] == "yellow"
    chain = "Where did the object go that moved right after the object that moved right after the red circle moved?"
    assert found[chain] == "up"
    texts = {q.family: q.answer for q in descriptions(make_world("train", 0))}
    assert texts["describe_events"].startswith("red circle move up ; yellow triangle move down")
    assert texts["describe_end"] == "cyan square middle left ; yellow triangle bottom right"


def test_every_family_occurs_and_has_hops() -> None:
    seen = Counter(q.family for i in range(300) for q in all_questions(make_world("train", i)))
    assert seen.keys() == ANSWERS.keys()
    assert HOPS.keys() == ANSWERS.keys() | set(DESCRIPTIONS)
    assert all(HOPS[family] >= 3 for family in FAMILIES_3_HOPS_AND_MORE)


def test_held_out_programs_are_6_and_only_in_their_split() -> None:
    from videolatent_cli.data.eventworld.questions import ANCHORS, QUERIES, RELATIONS

    held = {
        f"{q}({r}({a}))"
        for a in ANCHORS
        for r in RELATIONS
        for q in QUERIES
        if is_held_out_program(a, r, q)
    }
    assert len(held) == 6
    train = {q.program for i in range(400) for q in all_questions(make_world("train", i))}
    test = {q.program for i in range(400) for q in all_questions(make_world("test_program", i))}
    assert not train & held
    assert test == held


def test_pair_split_asks_about_held_out_pairs() -> None:
    for index in range(60):
        world = make_world("test_pair", index)
        for question in all_questions(world):
            assert any(world.objects[i].held_out for i in question.about)


def test_balance_holds_in_every_family() -> None:
    balance = Balance(ANSWERS)
    seen: dict[str, Counter[str]] = {family: Counter() for family in ANSWERS}
    for index in range(600):
        for question in balance.pick(make_world("train", index), 8):
            seen[question.family][question.answer] += 1
    for family, counts in seen.items():
        total = sum(counts.values())
        assert total > 20, family
        assert max(counts.values()) / total <= 1 / len(ANSWERS[family]) + 0.03, family


def test_pick_respects_limit_and_families() -> None:
    world = make_world("train", 3)
    picked = Balance(["direction", "describe_events"]).pick(world, 2)
    assert picked[0].family == "describe_events"
    assert {q.family for q in picked} <= {"direction", "describe_events"}
    assert len(Balance(ANSWERS).pick(world, 5)) == 5


def test_options_hold_the_answer_and_vary_in_number() -> None:
    pairs = eventworld_triplets("train", range(60), ["1-2 hops"], 4, options_fraction=0.5)
    triplets = [t for _, found in pairs for t in found]
    listed = [t for t in triplets if t.options]
    assert 0.3 < len(listed) / len(triplets) < 0.7
    assert {len(t.options or ()) for t in listed} == {2, 3, 4, 5, 6}
    assert all(t.answer in (t.options or ()) and t.answer_type == "choice" for t in listed)
    assert all(len(set(t.options or ())) == len(t.options or ()) for t in listed)


def test_families_expand_or_are_named() -> None:
    assert expand_families(["3+ hops"]) == FAMILIES_3_HOPS_AND_MORE
    assert expand_families(["before", "before"]) == ("before",)
    with pytest.raises(RecipeError, match="unknown family, got 'nope'; choose from: all, 1-2 hops"):
        expand_families(["nope"])


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


# --- files


def test_render_writes_real_videos_once(tmp_path: Path) -> None:
    counts = {"train": 3, "test_long": 2}
    done: list[tuple[int, int]] = []
    written = render_dataset(tmp_path, counts, ["all"], 4, lambda d, n: done.append((d, n)))
    info = read_info(tmp_path / "train/000000.mp4")
    assert (info.size_px, info.duration_seconds, info.codec) == ((64, 64), 4.0, "h264")
    assert done[-1] == (5, 5)
    times = [p.stat().st_mtime_ns for p in render_videos(tmp_path, "train", 3)]
    assert times == [p.stat().st_mtime_ns for p in render_videos(tmp_path, "train", 3)]
    triplets = read_triplets(written["train"])
    assert len(triplets) == len(eventworld_triplets("train", range(3), ["all"], 4)[0][1]) * 3
    assert all((tmp_path / t.video).exists() for t in triplets)
    assert triplets[0].meta["hops"] == HOPS[triplets[0].category[0]]


def test_an_ffmpeg_without_h264_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = tmp_path / "ffmpeg"
    fake.write_text("#!/bin/sh\necho Unknown encoder libx264 >&2\nexit 1\n")
    fake.chmod(0o755)
    monkeypatch.setattr(eventworld_files, "ffmpeg_binary", lambda: str(fake))
    with pytest.raises(SetupError, match=r"cannot encode H.264 \(Unknown encoder libx264\)"):
        render_videos(tmp_path / "out", "train", 1)


# --- triplets


def test_read_triplets_round_trip_and_inferred_types(tmp_path: Path) -> None:
    path = write_jsonl(
        tmp_path / "t.jsonl",
        [
            {"video": "a.mp4", "question": "q?", "answer": "Yes"},
            {"video": "a.mp4", "question": "q?", "answer": "-2.5"},
            {"video": "a.mp4", "question": "q?", "answer": "b", "options": ["a", "b"]},
            {"video": "a.mp4", "question": "q?", "answer": "free"},
        ],
    )
    triplets = read_triplets(path)
    assert [t.answer_type for t in triplets] == ["yesno", "number", "choice", "text"]
    assert [t.id for t in triplets] == ["t:1", "t:2", "t:3", "t:4"]
    assert question_text(triplets[2]) == "q?\n(A) a\n(B) b"
    write_records(tmp_path / "u.jsonl", triplets)
    assert read_triplets(tmp_path / "u.jsonl") == triplets


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "t.jsonl:1: not valid JSON"),
        (
            '"text"',
            "t.jsonl:1: input should be a valid dictionary or instance of Triplet, got 'text'",
        ),
        ('{"video": "a", "question": "q"}', "t.jsonl:1: answer: is missing"),
        (
            '{"vidoe": "a", "question": "q", "answer": "a"}',
            "vidoe: unknown key; did you mean 'video'?",
        ),
        (
            '{"video": "a", "question": "q", "answer": "a", "xyz": 1}',
            "xyz: unknown key; put it into 'meta'",
        ),
        (
            '{"video": "a", "question": "<video> q", "answer": "a"}',
            "question: contains a stray <video>; remove it",
        ),
        (
            '{"video": "a", "question": "q", "answer": ""}',
            "answer: string should have at least 1 character, got ''",
        ),
        (
            '{"video": "a", "question": "q", "answer": "c", "options": ["a", "b"]}',
            "answer: must be the text of one of the options ['a', 'b'], got 'c'",
        ),
        (
            '{"video": "a", "question": "q", "answer": "a", "start_seconds": 3, "end_seconds": 2}',
            "end_seconds: must be above start_seconds 3.0, got 2.0",
        ),
    ],
)
def test_triplet_messages(tmp_path: Path, line: str, message: str) -> None:
    (tmp_path / "t.jsonl").write_text(line + "\n")
    with pytest.raises(DataError) as caught:
        read_triplets(tmp_path / "t.jsonl")
    assert message in str(caught.value)


def test_all_problems_of_a_triplet_file_at_once(tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_text("{\n" * 30)
    with pytest.raises(DataError) as caught:
        read_triplets(tmp_path / "t.jsonl")
    lines = str(caught.value).splitlines()
    assert len(lines) == 21
    assert lines[-1] == "... and 10 more problems"
    (tmp_path / "t.jsonl").write_text("\n\n")
    with pytest.raises(DataError, match=r"t.jsonl: contains no triplet"):
        read_triplets(tmp_path / "t.jsonl")
    with pytest.raises(DataError, match=r"no.jsonl: file not found; check data.path"):
        read_triplets(tmp_path / "no.jsonl")
    (tmp_path / "b.jsonl").write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match=r"b.jsonl: cannot be read as UTF-8"):
        read_triplets(tmp_path / "b.jsonl")


# --- data sets


def test_dataset_of_triplets_stays_below_its_root(tmp_path: Path) -> None:
    (tmp_path / "media").mkdir()
    make_video(tmp_path / "media" / "a.mp4", 4, 4)
    write_jsonl(tmp_path / "t.jsonl", [{"video": "a.mp4", "question": "q", "answer": "a"}])
    text = (
        "version: 1\ndata: {type: triplets, path: t.jsonl, eval_path: t.jsonl, media_root: media}\n"
    )
    dataset = load_dataset(parse_recipe(text, "r").data, tmp_path, tmp_path)
    assert list(dataset.splits) == ["train", "eval"]
    assert list(dataset.evaluation) == ["eval"]
    check_media(dataset, tmp_path / "t.jsonl")
    path = dataset.path(dataset.splits["train"][0])
    assert dataset.without([path]).splits == {"train": [], "eval": []}
    outside = Triplet(video="../b.mp4", question="q", answer="a")
    with pytest.raises(DataError, match=r"video: must be below .*media, got ../b.mp4"):
        dataset.path(outside)


def test_missing_videos_are_listed(tmp_path: Path) -> None:
    triplets = [Triplet(id=f"t{i}", video=f"{i}.mp4", question="q", answer="a") for i in range(25)]
    with pytest.raises(DataError) as caught:
        check_media(Dataset({"train": triplets}, tmp_path), tmp_path / "t.jsonl")
    lines = str(caught.value).splitlines()
    assert lines[0] == f"t0: video: file not found: 0.mp4 (looked in {tmp_path})"
    assert lines[20] == "... and 5 more missing videos"
    assert lines[21].endswith("t.jsonl: set data.media_root, or fix paths")


def test_unknown_splits_are_named(tmp_path: Path) -> None:
    recipe = parse_recipe("version: 1\ndata: {type: eventworld, eval_splits: [tset]}\n", "r")
    with pytest.raises(
        RecipeError, match=r"data.eval_splits: unknown split, got \['tset'\]; choose from"
    ):
        load_dataset(recipe.data, tmp_path, tmp_path)


def test_fingerprint_follows_the_training_triplets(tmp_path: Path) -> None:
    one = Triplet(video="a.mp4", question="q", answer="a")
    other = Triplet(video="a.mp4", question="q", answer="b")
    first = Dataset({"train": [one]}, tmp_path).fingerprint
    assert first == Dataset({"train": [one], "eval": [other]}, tmp_path).fingerprint
    assert first != Dataset({"train": [other]}, tmp_path).fingerprint


def test_other_forms_end_in_the_answer() -> None:
    plain = eventworld_triplets("train", range(80), ["1-2 hops"], 4)
    varied = eventworld_triplets("train", range(80), ["1-2 hops"], 4, forms_fraction=0.5)
    before = [t for _, found in plain for t in found]
    after = [t for _, found in varied for t in found]
    changed = [(b, a) for b, a in zip(before, after, strict=True) if b != a]
    assert 0.4 < len(changed) / len(before) < 0.6
    hows = set()
    for bare, asked in changed:
        how = asked.question.removeprefix(bare.question).strip()
        hows.add(how)
        assert asked.answer.split()[-1] == bare.answer
        if how == "Wait first.":
            assert 1 <= asked.answer.count(".") <= LONGEST_WAIT
        elif how == "Say it in a sentence.":
            assert asked.answer == HINT.format(answer=bare.answer)
    assert hows == {"Say it in a sentence.", "Think first.", "Wait first."}


def test_rationales_become_answers() -> None:
    triplet = Triplet(video="a", question="q", answer="up", rationale="it moved")
    assert with_rationale(triplet).answer == "it moved so up"
    ended = triplet.model_copy(update={"rationale": "it moved ; so up"})
    assert with_rationale(ended).answer == "it moved ; so up"
    with pytest.raises(DataError, match=r"7: rationale: is missing; add it, or set data\.target"):
        with_rationale(Triplet(id="7", video="a", question="q", answer="up"))
