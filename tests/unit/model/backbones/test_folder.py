"""Files of model folders are taken in the order of transformers' processors."""

import json
from pathlib import Path

import pytest

from videolatent_cli.errors import SetupError
from videolatent_cli.model.backbones.folder import processor_files, read_settings, read_template

FILES = {
    "PROC": ("processor_config.json", json.dumps({"chat_template": "PROC"})),
    "json": ("chat_template.json", json.dumps({"chat_template": "json"})),
    "jinja": ("chat_template.jinja", "jinja"),
    "tokenizer": ("tokenizer_config.json", json.dumps({"chat_template": "tokenizer"})),
}


@pytest.mark.parametrize(
    ("present", "wanted"),
    [
        (("tokenizer",), None),
        (("json",), "json"),
        (("jinja",), "jinja"),
        (("jinja", "tokenizer"), "jinja"),
        (("tokenizer", "json"), "json"),
        (("json", "jinja"), "json"),
        (("PROC", "json", "jinja", "tokenizer"), "PROC"),
    ],
)
def test_templates_win_as_in_transformers(
    present: tuple[str, ...], wanted: str | None, tmp_path: Path
) -> None:
    for name in present:
        file, text = FILES[name]
        (tmp_path / file).write_text(text)
    assert read_template(tmp_path) == wanted


@pytest.mark.filterwarnings("default")
def test_transformers_says_the_same(tmp_path: Path) -> None:
    from transformers.processing_utils import ProcessorMixin

    for name in ("jinja", "json", "PROC"):
        (tmp_path / FILES[name][0]).write_text(FILES[name][1])
        theirs = ProcessorMixin.get_processor_dict(tmp_path)[0]["chat_template"]
        assert read_template(tmp_path) == theirs == name


def test_named_templates_need_a_default(tmp_path: Path) -> None:
    path = tmp_path / "processor_config.json"
    path.write_text(json.dumps({"chat_template": {"default": "a", "tools": "b"}}))
    assert read_template(tmp_path) == "a"
    path.write_text(json.dumps({"chat_template": {"tools": "b"}}))
    with pytest.raises(SetupError, match=r"processor_config.json: chat_template must be a text"):
        read_template(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"), [("{", "not valid JSON"), ("[]", "must hold a JSON object, got list")]
)
def test_damaged_files_are_one_clear_line(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "chat_template.json").write_text(text)
    with pytest.raises(SetupError, match=rf"chat_template.json: {message}"):
        read_template(tmp_path)


def test_nested_processor_settings_win(tmp_path: Path) -> None:
    def settings(mean: float) -> dict[str, list[float]]:
        return {"image_mean": [mean] * 3}

    (tmp_path / "preprocessor_config.json").write_text(json.dumps(settings(1)))
    assert read_settings(tmp_path)["image_mean"][0] == 1
    (tmp_path / "video_preprocessor_config.json").write_text(json.dumps(settings(2)))
    assert read_settings(tmp_path)["image_mean"][0] == 2
    nested = tmp_path / "processor_config.json"
    nested.write_text(json.dumps({"processor_class": "Some"}))
    assert read_settings(tmp_path)["image_mean"][0] == 2
    nested.write_text(json.dumps({"video_processor": settings(3)}))
    assert read_settings(tmp_path)["image_mean"][0] == 3
    assert [path.name for path in processor_files(tmp_path)] == [
        "processor_config.json",
        "video_preprocessor_config.json",
        "preprocessor_config.json",
    ]
