"""`vl cache`: a video is encoded once, whatever it is called; damage is found and repaired."""

import shutil
from pathlib import Path

import pytest

from tests.factories import make_recipe, make_video, recipe_text, write_jsonl
from tests.runs import fit
from videolatent_cli.errors import RecipeError
from videolatent_cli.model import source as model_source
from videolatent_cli.pipeline.cache import (
    CacheRequest,
    CollectRequest,
    VerifyRequest,
    build_cache,
    collect_garbage,
    recipe_cache_status,
    verify_cache,
)
from videolatent_cli.pipeline.plan import PlanRequest, plan_recipe
from videolatent_cli.runtime.machine import Machine


def test_build_once_then_nothing_is_decoded(
    small_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = make_recipe(small_folder)
    empty = recipe_cache_status(CacheRequest(recipe, tmp_path), Machine(tmp_path / "c"))
    assert (empty.wanted, empty.cached) == (8, 0)
    first = build_cache(CacheRequest(recipe, tmp_path), Machine(tmp_path / "c"))
    assert (first.encoded, first.status.cached, first.status.wanted) == (8, 8, 8)

    def never(*_: object) -> None:
        raise AssertionError("decoded again")

    monkeypatch.setattr(model_source, "decode_frames", never)
    again = build_cache(CacheRequest(recipe, tmp_path), Machine(tmp_path / "c"))
    assert again.encoded == 0
    assert again.document()["encoded"] == 0
    status = recipe_cache_status(CacheRequest(recipe, tmp_path), Machine(tmp_path / "c"))
    assert status.document()["cached"] == 8
    fit(recipe, tmp_path / "run", tmp_path / "c")


def test_moved_and_copied_files_are_not_encoded_again(small_folder: Path, tmp_path: Path) -> None:
    make_video(tmp_path / "a.mp4", 8, 4, size=(64, 64))
    row = {"video": "a.mp4", "question": "q", "answer": "red"}
    write_jsonl(tmp_path / "t.jsonl", [row])
    recipe = make_recipe(small_folder, data="{type: triplets, path: t.jsonl}")
    assert build_cache(CacheRequest(recipe, tmp_path), Machine(tmp_path / "c")).encoded == 1
    (tmp_path / "a.mp4").rename(tmp_path / "b.mp4")
    shutil.copy(tmp_path / "b.mp4", tmp_path / "c.mp4")
    write_jsonl(tmp_path / "t.jsonl", [{**row, "video": n} for n in ("b.mp4", "c.mp4")])
    report = build_cache(CacheRequest(recipe, tmp_path), Machine(tmp_path / "c"))
    assert (report.encoded, report.status.wanted, report.status.cached) == (0, 1, 1)


def test_verify_repairs_and_gc_drops(small_folder: Path, tmp_path: Path) -> None:
    recipe_path = tmp_path / "r.yaml"
    recipe_path.write_text(recipe_text(small_folder))
    recipe = make_recipe(small_folder)
    build_cache(CacheRequest(recipe, tmp_path), Machine(tmp_path / "c"))
    other = make_recipe(small_folder, ("video.max_frames=8",))
    build_cache(CacheRequest(other, tmp_path), Machine(tmp_path / "c"))
    assert verify_cache(VerifyRequest(repair=True), Machine(tmp_path / "c")).bad_keys == ()
    machine = Machine(tmp_path / "c")
    planned = collect_garbage(CollectRequest(recipe_path, dry_run=True), machine)
    assert (planned.rows, planned.freed_bytes) == (8, 0)
    done = collect_garbage(CollectRequest(recipe_path), machine)
    dropped, freed = done.rows, done.freed_bytes
    assert dropped == 8
    assert freed > 0
    assert recipe_cache_status(CacheRequest(recipe, tmp_path), Machine(tmp_path / "c")).cached == 8


def test_a_stream_and_a_recipe_without_cache_have_nothing_to_build(
    small_folder: Path, tmp_path: Path
) -> None:
    stream = make_recipe(small_folder, data="{type: eventworld_stream}", cache="{tier: none}")
    with pytest.raises(RecipeError, match=r"cache.tier is none: there is nothing to cache"):
        build_cache(CacheRequest(stream, tmp_path), Machine(tmp_path))
    with pytest.raises(RecipeError, match="eventworld_stream has no files to cache"):
        plan_recipe(PlanRequest(stream, tmp_path, tmp_path), Machine(tmp_path))
