"""Recipes: every error of a file at once, with its place; identity; shipped files."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from videolatent_cli.errors import RecipeError, UsageError
from videolatent_cli.recipe import digest, is_same, load_recipe, parse_recipe, recipe_hash, resolved
from videolatent_cli.recipe.load import check_paths
from videolatent_cli.recipe.recipe import Recipe
from videolatent_cli.recipe.reference import reference_page, schema_of
from videolatent_cli.recipe.shipped import shipped_recipe, shipped_recipes
from videolatent_cli.recipe.starter import starter_recipe

GOOD = "version: 1\ndata: {type: eventworld}\n"

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
    ("text", "message"),
    [
        ("a: 1\na: 2\n", 'r.yaml:2:1: not valid YAML: found duplicate key "a"'),
        ("[1", "r.yaml:1:3: not valid YAML: expected ',' or ']'"),
        ("", "r.yaml:1:1: a recipe is a mapping of sections, got an empty file"),
        ("- 1\n", "r.yaml:1:1: a recipe is a mapping of sections, got CommentedSeq"),
        ("version: 1\n", "r.yaml:1:1: data: is missing"),
        ("version: 2\ndata: {type: eventworld}\n", "r.yaml:1:1: version: input should be 1, got 2"),
        (
            "version: 1\ndata: {type: foo}\n",
            "data: type must be one of triplets, eventworld, eventworld_stream, got foo",
        ),
        (GOOD + "video: {min_frames: 9, max_frames: 2}\n", "min_frames 9 is above max_frames 2"),
        (GOOD + "video: {min_pixels: 9, max_pixels: 2}\n", "min_pixels 9 is above max_pixels 2"),
        (
            GOOD + "latent: {latents_per_block: 0}\n",
            "r.yaml:3:1: latent: num_blocks is 2 but latents_per_block is 0; set both to 0",
        ),
        (
            GOOD + "training: {shard_weights: true, optimizer: muon}\n",
            "training.shard_weights is true, but training.optimizer muon needs whole matrices",
        ),
        (
            GOOD + "training: {shard_weights: true}\nloss: {teacher: ema}\n",
            "training.shard_weights is true, but loss.teacher ema keeps whole weights",
        ),
        (GOOD + "backbone: {train_vision: true}\n", "cached features would go stale"),
        (
            GOOD + "training: {shard_weights: true}\nbackbone: {quantization: nf4}\n",
            "training.shard_weights is true, but backbone.quantization is nf4",
        ),
        (
            GOOD + "backbone: {quantization: nf4, train: full}\n",
            "backbone.quantization is nf4, but backbone.train is full; set it to lora or frozen",
        ),
        (
            GOOD + "backbone: {quantization: nf4, train: full, weights: random}\n",
            "backbone.quantization is nf4, but backbone.weights is random",
        ),
        (GOOD + "backbone: {weights: random}\n", "backbone.weights is random but backbone.train"),
        (
            "version: 1\ndata: {type: eventworld, target: rationale}\n",
            "data.target is rationale, but latents take the place of a written rationale",
        ),
        (
            "version: 1\ndata: {type: eventworld, visible: endpoints}\n"
            "backbone: {train: full, train_vision: true}\ncache: {tier: none}\n",
            "data.visible is endpoints, which acts on features, but backbone.train_vision is true",
        ),
        (GOOD + "latent: {num_blocks: 0}\n", "loss.bottleneck_weight is above 0, but there are no"),
        (GOOD + "latent: {num_blocks: 0}\n", "loss.diversity_weight is above 0, but there are no"),
        ("version: 1\ndata: {type: eventworld_stream}\n", "set cache.tier to none"),
        ("version: 1\ndata: {type: eventworld_stream}\n", "set training.max_steps"),
    ],
)
def test_messages(text: str, message: str) -> None:
    with pytest.raises(RecipeError) as caught:
        parse_recipe(text, "r.yaml")
    assert message in str(caught.value)


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


def test_hash_changes_with_every_value_and_not_with_spelling() -> None:
    same = parse_recipe("data: {type: eventworld}\nversion: 1\n", "other.yaml")
    assert recipe_hash(parse_recipe(GOOD, "r.yaml")) == recipe_hash(same)
    other = parse_recipe(GOOD, "r.yaml", ["training.seed=1"])
    assert recipe_hash(other) != recipe_hash(same)


def test_a_stored_recipe_of_an_earlier_version_is_the_same_with_todays_defaults() -> None:
    recipe = parse_recipe(GOOD, "r.yaml")
    stored = resolved(recipe)
    assert is_same(recipe, stored)
    del stored["training"]["shard_weights"]
    assert is_same(recipe, stored)
    assert not is_same(recipe, stored | {"seen_by_nobody": 1})
    stored["training"]["seed"] = 1
    assert not is_same(recipe, stored)


@given(st.integers(0, 8), st.integers(1, 8), st.floats(0, 2, allow_nan=False))
def test_resolved_recipe_is_the_recipe(blocks: int, per_block: int, weight: float) -> None:
    overrides = [
        f"latent.num_blocks={blocks}",
        f"latent.latents_per_block={per_block}",
        f"loss.alignment_weight={weight!r}",
    ]
    if not blocks:
        overrides += ["loss.bottleneck_weight=0", "loss.diversity_weight=0"]
    recipe = parse_recipe(GOOD, "r.yaml", overrides)
    assert Recipe.model_validate(json.loads(json.dumps(resolved(recipe)))) == recipe


def test_digest_of_json_values_by_hand() -> None:
    import hashlib

    assert (
        digest({"b": 1, "a": [None, "x"]}, 64)
        == hashlib.sha256(b'{"a":[null,"x"],"b":1}').hexdigest()
    )


@pytest.mark.parametrize("name", sorted(shipped_recipes()))
def test_shipped_recipes_load_and_have_a_header(name: str) -> None:
    path = shipped_recipe(name)
    load_recipe(path)
    head = path.read_text(encoding="utf-8").split("version:")[0]
    assert head.startswith(f"# {name.rsplit('/', maxsplit=1)[-1]}:")
    assert f"vl train recipes/{name}.yaml" in head


def test_there_are_enough_shipped_recipes_and_unknown_ones_are_named() -> None:
    assert {"quickstart", "quickstart_sft", "tiny_backbone"} <= shipped_recipes().keys()
    with pytest.raises(UsageError, match=r"unknown name, got 'nope'; choose from: .*quickstart"):
        shipped_recipe("nope")


def test_shipped_recipes_are_listed_by_interest_to_a_new_user() -> None:
    names = list(shipped_recipes())
    starts = ("quickstart", "eventworld/", "tiny_backbone")
    released = sorted(name for name in names if not name.startswith(starts))
    quickstart, *research = [
        sorted(name for name in names if name.startswith(start)) for start in starts
    ]
    assert quickstart == ["quickstart", "quickstart_sft"]
    assert "qwen2_5_vl_7b" in released
    assert names == [*quickstart, *released, *research[0], *research[1]]


def test_quickstart_twins_differ_in_the_latents_only() -> None:
    ours, plain = (
        resolved(load_recipe(shipped_recipe(n))) for n in ("quickstart", "quickstart_sft")
    )
    assert {key for key in ours if ours[key] != plain[key]} <= {"latent", "loss"}


@pytest.mark.parametrize("backbone", ["tiny", "Qwen/Qwen2.5-VL-3B-Instruct"])
@pytest.mark.parametrize("data", [None, "train.jsonl"])
def test_starter_recipes_are_valid(backbone: str, data: str | None) -> None:
    recipe = parse_recipe(starter_recipe(backbone, data), "recipe.yaml")
    assert recipe.backbone.model == backbone
    assert recipe.data.type == ("triplets" if data else "eventworld")


def test_schema_and_reference_come_from_the_docstrings() -> None:
    assert schema_of("loss.diversity_weight")["minimum"] == 0
    assert "optimizer steps" in schema_of("training.max_steps")["description"]
    assert "on_bad" in schema_of("data")["oneOf"][0].get("$ref", "") or schema_of("data")["oneOf"]
    page = reference_page()
    for name in Recipe.model_fields:
        assert name in page
    assert "`latent.num_blocks` (integer ≥ 0 and ≤ 16, default `2`)" in reference_page("latent")
    assert "`loss.diversity_weight`" in reference_page("loss.diversity_weight")
    with pytest.raises(
        UsageError, match=r"no key 'loss.x'; at 'x' choose from: .*alignment_weight"
    ):
        schema_of("loss.x")
    with pytest.raises(UsageError, match="no key 'lss'; choose from"):
        reference_page("lss")


def test_check_paths_names_each_missing_file(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    recipe = parse_recipe(
        "version: 1\ndata: {type: triplets, path: a.jsonl, eval_path: b.jsonl}\n", str(path)
    )
    with pytest.raises(RecipeError) as caught:
        check_paths(recipe, path)
    assert "data.path: not found, got 'a.jsonl'" in str(caught.value)
    assert "data.eval_path: not found, got 'b.jsonl'" in str(caught.value)


def test_every_field_says_what_it_means() -> None:
    defs = Recipe.model_json_schema()["$defs"]
    for name, model in defs.items():
        for field, about in model.get("properties", {}).items():
            assert about.get("description") or "$ref" in about, f"{name}.{field}"
