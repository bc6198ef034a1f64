"""`berth config` against the kept answers of docker compose, and its own YAML against itself. Needs neither root nor docker."""
import importlib.machinery
import importlib.util
import os
import pathlib

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
CORPUS = ROOT / "tests" / "data" / "compose"
BERTH = os.path.join(os.environ.get("BERTH_BUILD", str(ROOT / "build")), "berth")


def load_tool():
    path = str(ROOT / "tools" / "compose-compare")
    loader = importlib.machinery.SourceFileLoader("compose_compare", path)
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("compose_compare", loader))
    loader.exec_module(module)
    return module


compare = load_tool()
GROUPS = sorted(path.name for path in CORPUS.iterdir() if path.is_dir())


@pytest.mark.parametrize("group", GROUPS)
def test_equals_docker_compose(group):
    wrong = []
    for case in compare.find_cases([CORPUS / group]):
        reason = compare.compare(compare.Answer.load(case.expected), case.run(BERTH))
        if case.note:
            assert reason, f"{case.path}: differs no longer, take the note away"
        elif reason:
            wrong.append(f"{case.path.relative_to(CORPUS)}: {reason}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.slow
@pytest.mark.parametrize("group", GROUPS)
def test_yaml_loads_again(group):
    wrong = [f"{case.path.relative_to(CORPUS)}: {reason}" for case in compare.find_cases([CORPUS / group])
             if (reason := compare.round_trip(case, BERTH))]
    assert not wrong, "\n".join(wrong)
