"""The embedded backbone's tokenizer and folder."""

from pathlib import Path

from transformers import AutoConfig

from videolatent_cli.model.backbones.tiny import (
    TINY_FOLDER,
    WORDS,
    make_tokenizer,
    write_tiny_folder,
)


def test_tokenizer_words_are_single_tokens_and_survive_saving(tmp_path: Path) -> None:
    tokenizer = make_tokenizer()
    assert all(len(tokenizer(word).input_ids) == 1 for word in WORDS)
    assert tokenizer.unk_token_id not in tokenizer(" ".join(WORDS)).input_ids
    write_tiny_folder(tmp_path / "t")
    for name in ("tokenizer.json", "preprocessor_config.json", "chat_template.jinja"):
        assert (tmp_path / "t" / name).read_text() == (TINY_FOLDER / name).read_text(), name
    # As loaded: the file names the version of transformers that wrote it.
    made, kept = (AutoConfig.from_pretrained(folder) for folder in (tmp_path / "t", TINY_FOLDER))
    made.name_or_path = kept.name_or_path
    assert made.to_dict() == kept.to_dict()
