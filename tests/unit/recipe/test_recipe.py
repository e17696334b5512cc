"""Recipes that contradict themselves."""

import pytest

from videolatent_cli.errors import RecipeError
from videolatent_cli.recipe import parse_recipe

GOOD = "version: 1\ndata: {type: eventworld}\n"


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
