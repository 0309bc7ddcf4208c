"""`janfs organise` and `janfs pair`, on a root that nobody has open and on one that is being served."""

import json
from pathlib import Path

from click.testing import CliRunner, Result

from janfs.cli import main
from tests.api.test_organising import files, projector
from tests.support.ggufs import tiny_gguf
from tests.support.service import ServiceProcess


def janfs(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments), catch_exceptions=False)


def tree(root: Path) -> None:
    folder = root / "models" / "publisher" / "story"
    folder.mkdir(parents=True)
    (folder / "story-Q4_0.gguf").write_bytes(tiny_gguf("Story"))
    (folder / "LICENSE").write_text("Do as you like.")


def test_a_dry_run_prints_what_would_happen_and_touches_nothing(tmp_path: Path) -> None:
    tree(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    found = janfs("organise", "--dry-run", "--root", str(tmp_path))
    assert found.exit_code == 0, found.output
    said = found.output.splitlines()
    told = "models/publisher/story/story-Q4_0.gguf -> models/story-q4_0/story-Q4_0.gguf"
    assert any(line.startswith("move") and told in line for line in said), found.output
    assert any(line.split() == ["write", "models/story-q4_0/model.json"] for line in said), found.output
    assert sorted(tmp_path.rglob("*")) == before, "a dry run left something"


def test_organise_does_what_the_dry_run_said(tmp_path: Path) -> None:
    tree(tmp_path)
    said = json.loads(janfs("organise", "--dry-run", "--json", "--root", str(tmp_path)).output)
    done = json.loads(janfs("organise", "--json", "--root", str(tmp_path)).output)
    assert sorted(done["deeds"], key=str) == sorted(said["deeds"], key=str)
    assert files(tmp_path) == {"story-q4_0/story-Q4_0.gguf", "story-q4_0/LICENSE", "story-q4_0/model.json"}
    assert not (tmp_path / "models" / "publisher").exists(), "emptied folders stay behind"
    assert janfs("organise", "--root", str(tmp_path)).output == "Everything is as it should be.\n"


def test_organise_works_where_organising_is_off(tmp_path: Path) -> None:
    with ServiceProcess(tmp_path, "--organise", "off") as service:
        (tmp_path / "models" / "story.gguf").write_bytes(tiny_gguf("Story"))
        service.wait_model("story")
        assert files(tmp_path) == {"story.gguf"}, "it was moved although organising is off"
        dry = json.loads(janfs("organise", "--dry-run", "--json", "--root", str(tmp_path)).output)
        assert dry["dry_run"] is True
        assert dry["deeds"][0]["target"] == "models/story/story.gguf"
        assert files(tmp_path) == {"story.gguf"}, "the dry run moved it"
        janfs("organise", "--root", str(tmp_path))
        assert files(tmp_path) == {"story/story.gguf", "story/model.json"}


def test_organise_brings_home_at_once_what_was_taken_out_of_its_folder(tmp_path: Path) -> None:
    tree(tmp_path)
    janfs("organise", "--root", str(tmp_path))
    home = tmp_path / "models" / "story-q4_0" / "story-Q4_0.gguf"
    home.rename(tmp_path / "models" / home.name)
    janfs("organise", "--root", str(tmp_path))
    assert home.exists()


def test_pair_without_a_service_is_remembered(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "story.gguf").write_bytes(tiny_gguf("Story"))
    (tmp_path / "models" / "eyes.gguf").write_bytes(projector("unrelated"))
    janfs("organise", "--root", str(tmp_path))
    assert janfs("pair", "eyes.gguf", "story", "--root", str(tmp_path)).exit_code == 0
    janfs("organise", "--root", str(tmp_path))
    assert "story/eyes.gguf" in files(tmp_path)


def test_pair_with_a_model_that_is_not_there_says_so(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    janfs("organise", "--root", str(tmp_path))
    result = janfs("pair", "eyes.gguf", "story", "--root", str(tmp_path))
    assert result.exit_code == 3
    assert "'story' does not exist" in result.output


def test_a_dry_run_where_there_are_no_models_says_where_to_look(tmp_path: Path) -> None:
    result = janfs("organise", "--dry-run", "--root", str(tmp_path))
    assert result.exit_code == 5
    assert "--root" in result.output
