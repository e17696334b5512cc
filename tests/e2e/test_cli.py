"""The command line, run in this process: the whole way through, mistakes, recipes."""

import json
import mmap
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import jsonschema
import numpy as np
import pytest
import torch

from tests.conftest import Result
from tests.factories import make_video, recipe_text, write_jsonl
from tests.rows import cached_video
from videolatent_cli.model.backbones.base import Backbone
from videolatent_cli.pipeline.answering.answer import Answer
from videolatent_cli.pipeline.train import TrainReport

Run = Callable[..., Result]


@pytest.fixture
def recipe(tmp_path: Path, small_folder: Path) -> Path:
    path = tmp_path / "small.yaml"
    path.write_text(recipe_text(small_folder))
    return path


@pytest.fixture
def run_dir(trained: TrainReport) -> Path:
    """A copy of the small run that is trained."""
    return Path(shutil.copytree(trained.run_dir, "runs/small"))


@pytest.fixture
def video(cache_dir: Path, run_dir: Path) -> Path:
    del run_dir
    return cache_dir / "eventworld-v1/test_iid/000000.mp4"


# --- the way through


def test_the_whole_way_through(vl: Run, recipe: Path, cache_dir: Path, tmp_path: Path) -> None:
    cache = ("--cache-dir", cache_dir)
    planned = vl("plan", recipe, "--json", *cache)
    assert json.loads(planned.stdout)["schema"] == "vl.plan/1"
    built = vl("cache", "build", recipe, "--json", *cache)
    assert json.loads(built.stdout)["cached"] == 8
    assert "8 of 8 cached" in vl("cache", "status", recipe, *cache).stdout
    assert "would train" in vl("train", recipe, "--dry-run", *cache).stdout
    first = vl("train", recipe, "--json", *cache)
    assert first.code == 0, first.stderr
    assert json.loads(first.stdout)["steps_done_before"] == 0
    again = vl("train", recipe, *cache)
    assert "finished before, 4 steps" in again.stdout
    listed = json.loads(vl("runs", "ls", "--json").stdout)["runs"]
    assert [row["run"] for row in listed] == ["runs/small"]
    assert "4/4" in vl("runs", "ls").stdout
    assert json.loads(vl("runs", "show", "runs/small").stdout)["summary"]["step"] == 4
    evaluated = vl("eval", "--ablate", "latents=off,shuffle", "--json", *cache)
    assert set(json.loads(evaluated.stdout)["splits"]["test_iid"]) == {"on", "off", "shuffle"}
    ablated = ("--limit", "1", "--ablate", "latents=off,mean", "-o", tmp_path / "own.json")
    tables = vl("eval", "runs/small", *ablated, *cache).stdout
    assert all(part in tables for part in ("strict", "hops=1", "points lost", "nats"))
    compared = vl("eval", "compare", tmp_path / "own.json", tmp_path / "own.json").stdout
    assert "+0.0 [0.0, 0.0]" in compared
    video = cache_dir / "eventworld-v1/test_iid/000001.mp4"
    sheet = tmp_path / "s.png"
    asked = vl("ask", video, "Which color moved first?", "--sheet", sheet, *cache)
    assert asked.code == 0
    assert "evidence" in asked.stdout
    assert "answered by runs/small" in asked.stderr
    assert sheet.exists()
    assert "rows, 0 bad" in vl("cache", "verify", *cache).stdout
    assert vl("export", "runs/small", "-o", "out", "--half").code == 0


def test_pages_and_tables_about_a_run(
    vl: Run, run_dir: Path, recipe: Path, cache_dir: Path
) -> None:
    cache = ("--cache-dir", cache_dir)
    probed = vl("probe", run_dir, "--limit", "2", *cache)
    assert probed.code == 0, probed.stderr
    assert all(
        part in probed.stdout for part in ("F12", "dependence of the answers on the latents")
    )
    assert f"page {run_dir}/probe.html" in probed.stderr
    reported = vl("report", run_dir, "--limit", "1", "--samples", "1", *cache)
    assert reported.stdout.strip() == f"{run_dir}/report.html"
    small = ("--trace-tokens", "8", "--question-tokens", "4", "--answer-tokens", "2")
    timed = vl("bench", recipe, *small, "--rounds", "1", "--device", "cpu")
    assert timed.code == 0, timed.stderr
    assert all(row in timed.stdout for row in ("chain of thought", "plain SFT", "GRPO-style"))


def test_ask_json_follows_its_schema(vl: Run, video: Path, tmp_path: Path) -> None:
    result = vl(
        "ask", video, "Where?", "--json", "--choices", "up|down", "--from", "0:01", "--to", "3"
    )
    document = json.loads(result.stdout)
    jsonschema.validate(document, Answer.model_json_schema(by_alias=True))
    assert document["schema"] == "vl.answer/1"
    assert document["choice"] in ("A", "B")
    text = vl("ask", video, "Where?", "--choices", "up|down", "--latents", "off")
    assert "A: 0." in text.stdout


def test_batch_by_command(vl: Run, video: Path, cache_dir: Path) -> None:
    rows = [{"id": "a", "question": "Where?", "video": video.name}]
    write_jsonl(Path("q.jsonl"), [*rows, {"id": "b", "question": "?", "video": "no.mp4"}])
    command = ("batch", "q.jsonl", "-o", "a.jsonl", "--videos", video.parent)
    options = ("--report", "a.html", "--cache-dir", cache_dir)
    first = vl(*command, *options, "--json")
    assert first.code == 6
    assert "a.jsonl: 1 questions have no answer; fix their videos" in first.stderr
    assert json.loads(first.stdout)["failed"] == 1
    for line in Path("a.jsonl").read_text().splitlines():
        jsonschema.validate(json.loads(line), Answer.model_json_schema(by_alias=True))
    assert "open the video at this moment" in Path("a.html").read_text()
    write_jsonl(Path("q.jsonl"), rows)
    again = vl("batch", "q.jsonl", "-o", "b.jsonl", "--videos", video.parent, *options)
    assert again.code == 0, again.stderr
    assert "b.jsonl: 1 asked, 0 answered before, 0 failed" in again.stdout


def test_library_by_command(vl: Run, tmp_path: Path) -> None:
    assert vl("data", "render", "eventworld", "-o", "world", "--videos", "3").code == 0
    made = vl("index", "world", "--library", "lib", "--json")
    assert made.code == 0, made.stderr
    assert json.loads(made.stdout)["new"] == 3
    (tmp_path / "world/broken.mp4").write_bytes(b"x")
    failed = vl("index", "world", "-L", "lib")
    assert failed.code == 6
    assert "lib: 0 new, 3 unchanged, 1 failed, 0 gone; 3 segments" in failed.stdout
    assert "broken.mp4: cannot be opened as video" in failed.stderr
    lib = ("-L", "lib")
    found = vl("search", "red circle", *lib, "--json", "--html", "s.html")
    assert json.loads(found.stdout)["schema"] == "vl.search/1"
    assert "open the video at this moment" in Path("s.html").read_text()
    assert vl("search", "000001", *lib, "-f", "-k", "1").stdout.endswith("000001.mp4\n")
    assert "seconds" in vl("search", "circle", *lib).stdout
    assert "nothing found" in vl("search", "circle", *lib, "--min-score", "2").stderr
    asked = vl("ask", "lib", "Which color moved first?", "--json", "--sheet", "s.png")
    jsonschema.validate(json.loads(asked.stdout), Answer.model_json_schema(by_alias=True))
    refused = vl("ask", "lib", "Which?", "--from", "1")
    assert refused.code == 2
    assert "--from, --to: select a part of one video, got a library" in refused.stderr
    assert "cannot be read" in vl("library", "status", *lib).stdout
    assert json.loads(vl("library", "status", *lib, "--json").stdout)["segments"] == 3
    assert "failed" in vl("library", "ls", *lib).stdout
    assert len(json.loads(vl("library", "ls", *lib, "--json").stdout)["files"]) == 4
    file = next((tmp_path / "world").rglob("000001.mp4"))
    assert json.loads(vl("library", "show", file, *lib).stdout)["state"] == "indexed"
    assert "lib: no problems found" in vl("library", "verify", *lib).stdout
    assert "lib: is up to date" in vl("library", "migrate", *lib).stdout
    assert "MB freed" in vl("library", "compact", *lib).stdout
    assert "3 segments" in vl("library", "export", *lib, "-o", "x.jsonl").stdout
    assert "is now" in vl("library", "relocate", tmp_path / "world", "world", *lib).stdout
    refused = vl("library", "rm", file, *lib)
    assert refused.code == 2
    assert "lib: would forget 1 files; add --yes" in refused.stderr
    assert "would forget 1" in vl("library", "rm", file, *lib, "--dry-run").stdout
    assert "1 files forgotten" in vl("library", "rm", file, *lib, "--yes").stdout


def test_data_render_and_check(vl: Run, tmp_path: Path) -> None:
    out = vl("data", "render", "eventworld", "-o", "world", "--videos", "2", "--split", "val")
    assert out.code == 0
    assert len(list(Path("world/val").glob("*.mp4"))) == 2
    good = vl("data", "check", "world/val.jsonl", "--deep", "--json")
    assert good.code == 0
    assert json.loads(good.stdout)["videos"] == 2
    Path("world/val/000000.mp4").write_bytes(b"broken")
    bad = vl("data", "check", "world/val.jsonl")
    assert bad.code == 3
    assert "1 of 2 videos cannot be read" in bad.stderr
    assert json.loads(Path("quarantine.jsonl").read_text())["file"].endswith("000000.mp4")
    wrong = vl("data", "render", "eventworld", "-o", "w", "--split", "nope")
    assert wrong.code == 2
    assert "--split: unknown, got ['nope']" in wrong.stderr


# --- mistakes


def test_a_recipe_with_five_mistakes(vl: Run) -> None:
    Path("r.yaml").write_text(
        "version: 1\ndata: {type: eventworld, num_vids: 3}\nloss: {diversty_weight: 1, steps: 2}\n"
        "training: {max_steps: -1}\nvido: {}\n"
    )
    for command in (("validate", "r.yaml"), ("train", "r.yaml"), ("plan", "r.yaml")):
        result = vl(*command)
        assert result.code == 2
        assert len([line for line in result.stderr.splitlines() if "r.yaml:" in line]) == 5


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("train", "no.yaml"), 2, "no.yaml: file not found"),
        (("ask", "no.mp4", "What?"), 3, "no.mp4: file not found"),
        (("ask", "no.mp4", "What?", "--from", "x"), 2, "--from: must be seconds or M:SS, got 'x'"),
        (("eval", "nowhere"), 4, "nowhere: holds no checkpoint"),
        (("recipes", "cat", "nope"), 2, "unknown name, got 'nope'"),
        (("schema", "nope"), 2, "no key 'nope'"),
        (("runs", "show", "nope"), 4, "nope: is not a run folder"),
        (
            ("train", "small.yaml", "--resume", "--run-dir", "new"),
            2,
            "--resume: new holds no checkpoint",
        ),
        (("train", "small.yaml", "--device", "tpu"), 4, "--device: cannot be used, got 'tpu'"),
        (("train", "small.yaml", "backbone.attention=flash_attention_2"), 4, "it needs a CUDA GPU"),
        (("eval", "--ablate", "nose"), 2, "--ablate: unknown, got ['nose']"),
        (("cache", "gc", "--keep-only", "small.yaml"), 2, "drops rows; add --yes"),
        (("cache", "build", "small.yaml", "cache.tier=none"), 2, "there is nothing to cache"),
    ],
)
def test_mistakes_give_one_line_and_their_code(
    vl: Run, recipe: Path, arguments: tuple[str, ...], code: int, message: str
) -> None:
    del recipe
    result = vl(*arguments)
    assert result.code == code, result.stderr
    assert message in result.stderr
    assert result.stderr.startswith("error: ")
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("allocate", "message"),
    [
        (torch.empty, "DefaultCPUAllocator: can't allocate memory"),
        (partial(np.empty, dtype=np.uint8), "memory: Unable to allocate 1.00 EiB"),
        (bytearray, "memory: there is not enough; use fewer frames or pixels"),
        (lambda size: mmap.mmap(-1, size), "memory: [Errno 12] Cannot allocate memory; use"),
    ],
)
def test_memory_that_runs_out_is_one_line(
    vl: Run,
    world: Path,
    monkeypatch: pytest.MonkeyPatch,
    allocate: Callable[[int], object],
    message: str,
) -> None:
    """What a video of too many frames does to a model."""
    monkeypatch.setattr(Backbone, "prefill_videos", lambda *_, **__: allocate(1 << 60))
    result = vl("ask", next(world.rglob("*.mp4")), "Which color moved last?")
    assert (result.code, result.stdout) == (5, "")
    error = result.stderr.splitlines()[-1]
    assert error.startswith("error: memory: ")
    assert message in error
    assert error.endswith("or stop other programs that use memory")


def test_a_broken_video_in_a_data_set(vl: Run, small_folder: Path, tmp_path: Path) -> None:
    make_video(tmp_path / "a.mp4", 8, 4, size=(64, 64))
    (tmp_path / "bad.mp4").write_bytes(b"junk" * 99)
    rows = [{"video": v, "question": "q", "answer": "red"} for v in ("a.mp4", "bad.mp4")]
    write_jsonl(tmp_path / "t.jsonl", rows)
    Path("r.yaml").write_text(recipe_text(small_folder, data="{type: triplets, path: t.jsonl}"))
    failed = vl("train", "r.yaml")
    assert failed.code == 3
    assert "bad.mp4: cannot be opened as video" in failed.stderr
    skipped = vl("train", "r.yaml", "data.on_bad=skip", "data.max_bad_fraction=0.5")
    assert skipped.code == 0, skipped.stderr
    (tmp_path / "bad.mp4").unlink()
    missing = vl("train", "r.yaml", "--run-dir", "other")
    assert missing.code == 3
    assert "t:2: video: file not found: bad.mp4" in missing.stderr


def test_another_sampling_contract_exits_with_7(vl: Run, run_dir: Path, video: Path) -> None:
    path = next(run_dir.glob("checkpoints/*/checkpoint.json"))
    about = json.loads(path.read_text())
    about["sampling"]["fps"] = 9.0
    path.write_text(json.dumps(about))
    result = vl("ask", video, "Where?")
    assert result.code == 7
    assert "fps 9.0 and 4.0" in result.stderr
    path.write_text("{}")
    assert vl("ask", video, "Where?").code == 7


def test_another_recipe_in_the_run_folder(vl: Run, run_dir: Path, recipe: Path) -> None:
    result = vl("train", recipe, "training.seed=5", "--run-dir", run_dir)
    assert result.code == 2
    assert "exists and holds another recipe; choose another --run-dir" in result.stderr


# --- recipes


def test_recipe_commands(vl: Run) -> None:
    assert "quickstart_sft" in vl("recipes", "ls").stdout
    assert vl("recipes", "cat", "quickstart").stdout.startswith("# quickstart:")
    assert vl("recipes", "cp", "quickstart").code == 0
    assert vl("recipes", "cp", "quickstart").code == 2
    assert "valid" in vl("validate", "quickstart.yaml", "training.max_steps=3").stdout
    assert vl("init", "mine.yaml", "--backbone", "tiny").code == 0
    assert vl("init", "mine.yaml").code == 2
    assert "version: 1" in vl("init", "-").stdout
    assert "num_blocks" in vl("schema", "latent", "--format", "md").stdout
    assert json.loads(vl("schema").stdout)["title"] == "Recipe"


def test_gc(vl: Run, run_dir: Path, recipe: Path, cache_dir: Path, tmp_path: Path) -> None:
    del run_dir
    copy = tmp_path / "copy"
    shutil.copytree(cache_dir, copy)
    kept = vl("cache", "gc", "--keep-only", recipe, "--dry-run", "--cache-dir", copy)
    assert "would drop" in kept.stdout
    assert vl("cache", "gc", "--keep-only", recipe, "--yes", "--cache-dir", copy).code == 0
    assert "8 of 8 cached" in vl("cache", "status", recipe, "--cache-dir", copy).stdout


def test_verify_reports_damage(vl: Run, tmp_path: Path) -> None:
    from videolatent_cli.store import FeatureCache

    cache = FeatureCache(tmp_path / "c")
    cache.add([cached_video(1), cached_video(1)])
    result = vl("cache", "verify", "--json", "--cache-dir", tmp_path / "c")
    assert result.code == 7
    assert json.loads(result.stdout)["doubled_keys"] == ["k1"]
    assert "run: vl cache verify --repair" in result.stderr
    assert vl("cache", "verify", "--repair", "--cache-dir", tmp_path / "c").code == 0
    assert vl("cache", "verify", "--cache-dir", tmp_path / "c").code == 0
