"""Prompts and batches."""

from pathlib import Path

from tests.factories import frame_batch, small_backbone
from videolatent_cli.model.batch import Example, Prompter, pad


def test_pad_left_and_right() -> None:
    left, right = pad([[1], [2, 3]], "left"), pad([[1], [2, 3]], "right")
    assert left.ids.tolist() == [[0, 1], [2, 3]]
    assert left.mask.tolist() == [[False, True], [True, True]]
    assert right.ids.tolist() == [[1, 0], [2, 3]]


def test_prompter_cuts_the_template_around_the_video(small_folder: Path) -> None:
    backbone = small_backbone(small_folder)
    prompter = Prompter(backbone)
    head, question = (
        prompter.video_prompts([backbone.layout_of(frame_batch())])[0],
        prompter.questions(["Which color moved first?"])[0],
    )
    assert head.count(backbone.config.video_token_id) == 32 == backbone.num_visual_tokens((2, 8, 8))
    text = backbone.tokenizer.apply_chat_template(
        [
            {
                "role": "user",
                "content": [
                    {"type": "video"},
                    {"type": "text", "text": "Which color moved first?"},
                ],
            }
        ],
        tokenize=False,
        add_generation_prompt=True,
    )
    whole = backbone.tokenizer(text, add_special_tokens=False).input_ids
    single = [
        t for i, t in enumerate(head) if t != head[i - 1] or t != backbone.config.video_token_id
    ]
    assert [*single, *question] == whole
    assert prompter.decode(prompter.answers(["up"])[0]) == "up"
    assert prompter.answers(["up"])[0][-1] == prompter.end_of_turn
    assert prompter.decode(prompter.hints(["up"])[0]) == "the correct answer is : up"


def test_prompter_finds_unknown_words(small_folder: Path) -> None:
    prompter = Prompter(small_backbone(small_folder))
    assert prompter.unknown_words("Which zebra moved?") == ["zebra"]
    assert prompter.unknown_words("which color moved ?") == []


def test_collate_shares_heads(small_folder: Path) -> None:
    backbone = small_backbone(small_folder)
    prompter = Prompter(backbone)
    frames = [frame_batch(0), frame_batch(1, 2)]
    groups = [[Example("How many?", "2"), Example("Where?", "up")], [Example("Who?", "red")]]
    batch = prompter.collate(frames, groups)
    assert batch.video_index.tolist() == [0, 0, 1]
    assert batch.video_prompt.mask.sum(1).tolist() == [32 + 4, 16 + 4]
    assert batch.num_tokens == sum(
        int(p.mask.sum()) for p in (batch.video_prompt, batch.question, batch.answer)
    )
