"""Every family the whole way: from video files to a training, an answer and an export."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.factories import make_recipe, make_video, write_jsonl
from tests.families import QUESTIONS, frames_for, load_family, write_family
from videolatent_cli.pipeline.ask import AskRequest, ask
from videolatent_cli.pipeline.export import ExportRequest, export_run
from videolatent_cli.pipeline.train import TrainRequest, train
from videolatent_cli.recipe import load_recipe
from videolatent_cli.recipe.shipped import shipped_recipe
from videolatent_cli.runtime.machine import Machine

RECIPES = {
    "qwen2_5_vl_3b": "qwen2_5_vl",
    "qwen2_5_vl_7b": "qwen2_5_vl",
    "qwen3_vl_8b": "qwen3_vl",
    "internvl3_8b": "internvl",
    "smolvlm2_2b": "smolvlm",
    "llava_onevision_7b": "llava_onevision",
}


def test_from_video_files_to_an_answer(family_folder: Path, tmp_path: Path) -> None:
    for name in ("a.mp4", "b.mp4"):
        make_video(tmp_path / name, 12, 4)
    write_jsonl(
        tmp_path / "t.jsonl",
        [
            {"video": name, "question": question, "answer": answer}
            for name in ("a.mp4", "b.mp4")
            for question, answer in QUESTIONS
        ],
    )
    recipe = make_recipe(
        family_folder,
        data="{type: triplets, path: t.jsonl}",
        video="{fps: 2, min_frames: 2, max_frames: 4, min_pixels: 1024, max_pixels: 2048}",
        backbone=f"{{model: '{family_folder}', train: lora, lora: {{rank: 2, alpha: 4}}}}",
    )
    run = tmp_path / "run"
    report = train(TrainRequest(recipe, "", run, tmp_path), Machine(tmp_path / "cache"))
    assert report.steps == 4
    answer = ask(
        AskRequest(tmp_path / "a.mp4", "What moved first?", run), Machine(tmp_path / "runs")
    ).answer
    assert answer.evidence
    assert all(0 <= moment.start_seconds < 3 for moment in answer.evidence)
    export_run(ExportRequest(run, tmp_path / "out"))
    before, after = load_family(family_folder), load_family(tmp_path / "out")
    frames = frames_for(before)
    assert torch.equal(before.encode_video(frames).embeds, after.encode_video(frames).embeds)


@pytest.mark.parametrize(("name", "family"), RECIPES.items())
def test_recipes_of_released_models_run_with_random_ones(
    name: str, family: str, tmp_path: Path
) -> None:
    make_video(tmp_path / "a.mp4", 12, 4)
    row = {"video": "a.mp4", "question": "What moved?", "answer": "a cup"}
    write_jsonl(tmp_path / "train.jsonl", [row])
    write_family(tmp_path / "model", family)
    small = ["training.max_steps=1", "training.gradient_accumulation_steps=1"]
    recipe = load_recipe(shipped_recipe(name), [f"backbone.model={tmp_path / 'model'}", *small])
    request = TrainRequest(recipe, "", tmp_path / "run", tmp_path)
    machine = Machine(tmp_path / "cache")
    assert "on 1 triplets" in str(train(replace(request, dry_run=True), machine).dry_run)
    assert train(request, machine).steps == 1
