"""Loading backbones: settings are found in all places, and what does not fit is named."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.families import load_family, write_family
from videolatent_cli.errors import SetupError
from videolatent_cli.model.backbones.load import check_device, load_backbone
from videolatent_cli.model.backbones.tiny import write_tiny_folder
from videolatent_cli.recipe.schema import Backbone as BackboneRecipe
from videolatent_cli.video.resize import Resizing


def test_processor_settings_are_found_in_all_places(tmp_path: Path) -> None:
    write_family(tmp_path, "qwen2_vl")
    settings = tmp_path / "video_preprocessor_config.json"
    found = json.loads(settings.read_text())
    settings.unlink()
    with pytest.raises(SetupError, match="has no file with the processor's image_mean"):
        load_family(tmp_path)
    nested = tmp_path / "processor_config.json"
    nested.write_text(json.dumps({"video_processor": found}))
    assert load_family(tmp_path).colors.mean == (0.5, 0.4, 0.3)
    nested.write_text(json.dumps({"processor_class": "Qwen2VLProcessor"}))
    (tmp_path / "preprocessor_config.json").write_text(
        json.dumps(found | {"image_mean": [0.0] * 3})
    )
    assert load_family(tmp_path).colors.mean == (0, 0, 0)


def test_frames_are_resized_as_the_processors_file_says(tmp_path: Path) -> None:
    write_family(tmp_path, "smolvlm")
    settings = tmp_path / "video_preprocessor_config.json"
    found = json.loads(settings.read_text())
    assert load_family(tmp_path).resizing == Resizing("lanczos", 4 * 364)
    settings.write_text(json.dumps(found | {"size": {"longest_edge": 9999}, "resample": 3}))
    assert load_family(tmp_path).resizing == Resizing("bicubic", 4096)
    sampled = {"video_sampling": {"video_size": {"longest_edge": 384}}}
    settings.write_text(json.dumps(found | sampled))
    assert load_family(tmp_path).resizing == Resizing("lanczos", 384)
    settings.write_text(json.dumps(found | {"resample": 0}))
    with pytest.raises(SetupError, match=r"resample must be one of .*, got 0;"):
        load_family(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"language_model.lm_head.weight": None}, "1 missing weights, got lm_head.weight"),
        ({"extra.weight": torch.zeros(2)}, "1 unexpected weights, got extra.weight"),
    ],
)
def test_weights_that_do_not_fit_stop_the_load(
    tmp_path: Path, change: dict[str, torch.Tensor | None], message: str
) -> None:
    path = write_family(tmp_path, "llava_onevision") / "model.safetensors"
    weights = {**load_file(path), **change}
    save_file({n: w for n, w in weights.items() if w is not None}, path, {"format": "pt"})
    with pytest.raises(SetupError, match=message):
        load_family(tmp_path)


def test_load_backbone_says_what_it_cannot_load(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"backbone.model: cannot load, got 'no/such'"):
        load_backbone(BackboneRecipe(model="no/such"))
    write_tiny_folder(tmp_path / "other")
    path = tmp_path / "other" / "config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps(config | {"model_type": "qwen3_5"}))
    with pytest.raises(SetupError, match="is of family qwen3_5, supported: qwen2_vl"):
        load_backbone(BackboneRecipe(model=str(tmp_path / "other")))


def test_check_device() -> None:
    assert check_device("cpu") == "cpu"
    with pytest.raises(SetupError, match="--device: cannot be used, got 'nope'"):
        check_device("nope")
