"""Recipe files: every error at once, with its place; overrides."""

from pathlib import Path

import pytest

from videolatent_cli.errors import RecipeError
from videolatent_cli.recipe import load_recipe, parse_recipe
from videolatent_cli.recipe.load import check_paths

FIVE_MISTAKES = """\
version: 1
data:
  type: eventworld
  num_vids: 3
loss:
  diversty_weight: 1
  learning_rate: 3
training:
  max_steps: -1
vido: {}
"""

GOOD = "version: 1\ndata: {type: eventworld}\n"


def test_five_mistakes_give_five_lines_with_places() -> None:
    with pytest.raises(RecipeError) as caught:
        parse_recipe(FIVE_MISTAKES, "r.yaml")
    assert str(caught.value).splitlines() == [
        "r.yaml:4:3: data.num_vids: unknown key; did you mean 'num_videos'?",
        "r.yaml:6:3: loss.diversty_weight: unknown key; did you mean 'diversity_weight'?",
        "r.yaml:7:3: loss.learning_rate: unknown key; it belongs to section 'training'",
        "r.yaml:9:3: training.max_steps: input should be greater than or equal to 1, got -1",
        "r.yaml:10:1: vido: unknown key; did you mean 'video'?",
    ]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("novalue", "override 'novalue': must look like section.key=value"),
        ("loss..x=1", "override 'loss..x=1': must look like section.key=value"),
        ("video.fps.x=1", "override 'video.fps.x=1': 'fps' is a value, not a section"),
        ("video.fps=[", "override 'video.fps=[': the value is not valid YAML"),
        ("video.fps=fast", "override 'video.fps=fast': video.fps: input should be a valid number"),
        ("loss.alignment=1", "did you mean 'alignment_weight'?"),
    ],
)
def test_override_messages(override: str, message: str) -> None:
    with pytest.raises(RecipeError) as caught:
        parse_recipe(GOOD + "video: {fps: 2}\n", "r.yaml", [override])
    assert message in str(caught.value)


def test_overrides_replace_and_null_turns_off() -> None:
    recipe = parse_recipe(GOOD, "r.yaml", ["training.learning_rate=1e-4", "latent=null"])
    assert recipe.training.learning_rate == 1e-4
    assert recipe.latent is None


def test_yaml_is_version_1_2() -> None:
    recipe = parse_recipe(GOOD + "training: {learning_rate: 1e-4}\n", "r.yaml")
    assert recipe.training.learning_rate == 1e-4
    with pytest.raises(RecipeError, match="should be a valid boolean"):
        parse_recipe(GOOD + "training: {recompute_prefix: 1:30}\n", "r.yaml")


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"nope.yaml: file not found; 'vl recipes ls'"):
        load_recipe(tmp_path / "nope.yaml")
    (tmp_path / "bad.yaml").write_bytes(b"\xff\xfe")
    with pytest.raises(RecipeError, match=r"bad.yaml: cannot be read as UTF-8 text"):
        load_recipe(tmp_path / "bad.yaml")


def test_check_paths_names_each_missing_file(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    recipe = parse_recipe(
        "version: 1\ndata: {type: triplets, path: a.jsonl, eval_path: b.jsonl}\n", str(path)
    )
    with pytest.raises(RecipeError) as caught:
        check_paths(recipe, path)
    assert "data.path: not found, got 'a.jsonl'" in str(caught.value)
    assert "data.eval_path: not found, got 'b.jsonl'" in str(caught.value)
