"""Whatever tool a person uses, on a real folder: what is listed is what is there, and nothing is lost.

The figures of the same tools, against a limit, are in `benchmarks/tools.py`.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.ggufs import large_gguf
from tests.support.service import ServiceProcess
from tests.support.tools import BRINGING, EDITING, Tool, served


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    with ServiceProcess(tmp_path_factory.mktemp("tools") / "jan") as service:
        service.wait_ready()
        yield service


def number(tool: Tool, tools: list[Tool]) -> str:
    return f"{tools.index(tool):02d}"


def skip_what_is_missing(tool: Tool) -> None:
    if tool.missing:
        pytest.skip(f"{', '.join(tool.missing)} is not installed here")


@pytest.mark.parametrize("tool", BRINGING, ids=lambda tool: tool.name)
def test_a_model_that_a_tool_brings_is_there_whole(
    service: ServiceProcess, tool: Tool, tmp_path: Path
) -> None:
    skip_what_is_missing(tool)
    name = f"brought-{number(tool, BRINGING)}"
    content = large_gguf(name)
    folder = tmp_path / name
    folder.mkdir()
    (folder / f"{name}.gguf").write_bytes(content)
    (folder / "LICENSE").write_text("Free.")
    source = tmp_path / f"{name}.gguf"
    source.write_bytes(content)
    models = service.root / "models"
    with served(tmp_path) as url:
        tool.run(
            NAME=name,
            SOURCE=source,
            FOLDER=folder,
            MODELS=models,
            TARGET=models / source.name,
            URL=f"{url}/{source.name}",
        )
    shown = service.wait_model(name)
    home = models / name
    assert shown["folder"] == f"models/{name}"
    assert shown["size"] == len(content)
    assert (home / source.name).read_bytes() == content
    assert (home / "model.json").is_file()
    assert not (models / source.name).exists(), "it was left lying loose"
    alike = [each for each in service.models() if each.startswith(name)]
    assert alike == [name], "one model became several"


@pytest.mark.parametrize("tool", EDITING, ids=lambda tool: tool.name)
def test_an_edit_with_a_tool_is_obeyed_and_left_alone(
    service: ServiceProcess, tool: Tool, tmp_path: Path
) -> None:
    skip_what_is_missing(tool)
    name = f"edited-{number(tool, EDITING)}"
    home = tmp_path / name
    home.mkdir()
    (home / f"{name}.gguf").write_bytes(large_gguf(name))
    (home / "model.json").write_text('{\n  "model_parameters": {"max_tokens": 1111} // mine\n}\n')
    there = home.rename(service.root / "models" / name) / "model.json"
    service.wait_model(name)
    assert service.models()[name]["model_parameters"]["max_tokens"] == 1111
    tool.run(FILE=there)
    service.wait(
        lambda: service.models()[name]["model_parameters"]["max_tokens"] == 2222,
        f"the edit with {tool.name} to show",
    )
    assert service.models()[name]["status"] == "ready"
    assert '"max_tokens": 2222} // mine' in there.read_text(), "it was written over"
    types = [event["type"] for event in service.get(f"/v1/models/{name}/history")["data"]]
    assert "json-rejected" not in types, "half an edit was taken for a whole one"
