"""A chat template is split around video, question and answer, or refused."""

import re
from types import SimpleNamespace
from typing import Any

import pytest

from tests.families import make_tokenizer
from tests.released import CHATML
from videolatent_cli.errors import SetupError
from videolatent_cli.model.backbones.chat import Slot, read_conversation, special_pattern

TURNS = (
    "{% for message in messages %}[{{ message['role'] }}]"
    "{% for part in message['content'] %}{% if part['type'] == 'video' %}VIDEO"
    "{% else %}{{ part['text'] }}{% endif %}{% endfor %}<|im_end|>{% endfor %}"
    "{% if add_generation_prompt %}PROMPT{% endif %}"
)


def backbone(template: str | None, after_video: str = "") -> Any:
    tokenizer = make_tokenizer("qwen2_vl")
    tokenizer.chat_template = template
    return SimpleNamespace(
        tokenizer=tokenizer, placeholder="<|video_pad|>", after_video=after_video, name="some/model"
    )


def test_text_between_special_tokens_is_one_piece() -> None:
    special = re.compile(r"<.>")
    assert Slot.between("a<b>c<d>e", "f<g>h<i>", special) == Slot("a<b>c<d>", "e", "f", "<g>h<i>")
    assert Slot.between("no", "ne", special) == Slot("", "no", "ne", "")


def test_longer_special_tokens_come_first() -> None:
    tokenizer = SimpleNamespace(get_added_vocab=lambda: {"<a": 0, "<a>": 1})
    assert special_pattern(tokenizer).findall("x<a>y<a") == ["<a>", "<a"]
    nothing = SimpleNamespace(get_added_vocab=dict)
    assert special_pattern(nothing).search("<a> anything") is None


@pytest.mark.parametrize(
    ("prompt", "gap"), [("[assistant]", ""), ("[assistant", "]"), ("something else", "")]
)
def test_a_template_is_split_around_the_video_and_the_question(prompt: str, gap: str) -> None:
    template = TURNS.replace("VIDEO", "<|video_pad|>").replace("PROMPT", prompt)
    found = read_conversation(backbone(template, after_video="\n\n"))
    assert found.before_video == "[user]"
    assert found.question == Slot("", "\n\n", "", "<|im_end|>" + prompt)
    assert found.text == Slot("", "[user]", "", "<|im_end|>" + prompt)
    assert found.before_answer == gap


VIDEO_LAST = (
    "{% for message in messages %}{{ message['content'][-1]['text'] }}<|video_pad|>{% endfor %}"
)


@pytest.mark.parametrize(
    ("template", "message"),
    [
        (None, r"the chat template of 'some/model' cannot write a question about a video"),
        (CHATML, r"cannot write a question about a video \(can only concatenate str"),
        ("{{ raise_exception('no videos') }}", r"\(no videos\)"),
        ("{{ messages[7].role }}", r"\(.*has no element 7\)"),
        ("{% if %}", r"cannot write a question about a video"),
        (TURNS.replace("VIDEO", ""), r"must write one <\|video_pad\|> and then the question, got"),
        (TURNS.replace("VIDEO", "<|video_pad|>" * 2), "must write one"),
        (VIDEO_LAST, r"must write one .* got 'QUESTION<\|video_pad\|>'; put the chat_template"),
        ("<|video_pad|>", "must write one"),
    ],
)
def test_templates_that_leave_something_out_are_refused(template: str | None, message: str) -> None:
    with pytest.raises(SetupError, match=message):
        read_conversation(backbone(template))
