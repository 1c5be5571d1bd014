"""pydo, loaded in parts, is the pydo that was installed: the same operations, and nothing lost.

These fail when an upgrade of pydo changes what the bot relies on, and say what it is.
"""

import importlib.util
import json
import logging
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from services.cloud.clients import digitalocean, pydo_loader
from services.cloud.clients.pydo_client import GROUPS, Client
from services.cloud.clients.pydo_loader import OperationGroup, compile_groups

ROOT = Path(__file__).parents[2]
SOURCE = Path(digitalocean.__file__).read_text("utf-8")
# `api.droplets.list`, as the bot calls them.
OPERATIONS = sorted(set(re.findall(r"\bapi\.(\w+)\.(\w+)", SOURCE)))
CLIENTS = SOURCE[SOURCE.index("class DigitalOceanClient") :]

# Prints what each operation and its builders do, without documentation, and what the import took.
SHOW = """
import dis, inspect, json, sys, tracemalloc
from types import CodeType
import aiohttp, azure.core.pipeline.transport
tracemalloc.start()
if sys.argv[1] == "parts":
    from services.cloud.clients.pydo_client import Client
else:
    from pydo.aio import Client
import pydo.aio.operations._operations as operations
import pydo.operations._operations as builders
client = Client("token")

def shown(code):
    steps = []
    for step in dis.get_instructions(code):
        if step.opname == "NOP":
            continue  # what is left of the documentation
        detail = shown(step.argval) if isinstance(step.argval, CodeType) else step.argrepr
        # Every jump is one step shorter without documentation.
        steps.append([step.opname, "" if detail[:3] == "to " else detail])
    return [code.co_varnames, code.co_freevars, steps]

def described(function):
    function = inspect.unwrap(function)
    return [str(inspect.signature(function)), shown(function.__code__)]

found = {}
for group, name in json.loads(sys.argv[2]):
    method = getattr(getattr(client, group), name)
    found[f"{group}.{name}"] = described(method.__func__)
    for builder in inspect.unwrap(method.__func__).__code__.co_names:
        if builder.startswith("build_"):
            found[builder] = described(getattr(builders, builder))
print(json.dumps([found, tracemalloc.get_traced_memory()[0]]))
"""


def loaded(how: str) -> Any:
    """Return what the operations are when pydo is loaded like that, and the bytes it takes."""
    command = [sys.executable, "-c", SHOW, how, json.dumps(OPERATIONS)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


@pytest.mark.thorough
def test_each_operation_is_the_one_of_the_whole_pydo_in_a_fifth_of_the_memory() -> None:
    (parts, small), (whole, large) = loaded("parts"), loaded("whole")
    assert len(parts) >= 2 * len(OPERATIONS) > 40, "each operation has a builder"
    assert parts == whole
    assert small <= large / 5


@pytest.fixture(name="client")
def _client() -> Any:
    return Client("token", endpoint="http://127.0.0.1:9")


@pytest.mark.parametrize(("group", "operation"), OPERATIONS)
def test_each_operation_exists(client: Any, group: str, operation: str) -> None:
    assert callable(getattr(getattr(client, group), operation))


def test_the_groups_of_the_clients_are_compiled_before_their_first_use() -> None:
    client = Client("token", endpoint="http://127.0.0.1:9")
    used = {group for group, _ in re.findall(r"\bapi\.(\w+)\.(\w+)", CLIENTS)}
    assert {vars(client)[group].__class__.__name__ for group in used} == set(GROUPS)


def test_every_other_group_is_compiled_when_it_is_first_used(client: Any) -> None:
    assert isinstance(client.domains, OperationGroup)
    assert callable(client.domains.list_records)
    assert not isinstance(client.domains, OperationGroup)
    with pytest.raises(AttributeError, match="no attribute 'lst'"):
        _ = client.domains.lst


def test_a_group_that_pydo_extends_says_so(client: Any) -> None:
    with pytest.raises(AttributeError, match="pydo extends InferenceOperations"):
        _ = client.inference.create_chat_completion


def test_a_group_that_pydo_lacks_is_an_error_at_the_import() -> None:
    with pytest.raises(ImportError, match="pydo has no DropsOperations"):
        compile_groups(("DropsOperations",))


# A pydo of another shape

EXPECTED = '''
"""What it is for."""
import sys
LIMIT = 3

class Operations:
    """A group."""

    def list(self):
        """Documentation."""
        return build(LIMIT)


def build(limit):
    """More of it."""
    return [limit] * doubled(1)


def doubled(number):
    return 2 * number
'''


def imported(folder: Path, source: str) -> ModuleType:
    """Import source as the loader imports pydo's modules."""
    file = folder / "operations.py"
    file.write_text(source, "utf-8")
    loader = pydo_loader._Loader("operations", str(file))
    spec = importlib.util.spec_from_file_location("operations", file, loader=loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


def test_what_a_part_uses_comes_along(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    module = imported(tmp_path, EXPECTED)
    assert not {"Operations", "build", "doubled"} & vars(module).keys()
    assert module.Operations().list() == [3, 3]
    assert module.build.__doc__ is None
    assert not caplog.records
    with pytest.raises(AttributeError, match="no attribute 'gone'"):
        _ = module.gone


@pytest.mark.parametrize(
    ("was", "now"),
    [
        ("def build", "@staticmethod\ndef build"),
        ("def build", "def doubled(number):\n    return 0\n\n\ndef build"),
        ("import sys\n", "import sys\nsys = (\n"),
        (EXPECTED, ""),
        (EXPECTED, "LIMIT = 3\n"),
    ],
)
def test_another_shape_is_imported_as_it_is(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, was: str, now: str
) -> None:
    source = EXPECTED.replace(was, now)
    with caplog.at_level(logging.WARNING):
        if "(\n" in now:
            with pytest.raises(SyntaxError):
                imported(tmp_path, source)
        else:
            module = imported(tmp_path, source)
            assert ("class Operations" in source) == hasattr(module, "Operations")
    assert "another shape than expected" in caplog.text


def test_a_part_of_another_shape_has_the_whole_imported_at_its_use(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    inside = '"""More of it:\nclass Shown:\n    pass\n"""'
    module = imported(tmp_path, EXPECTED.replace('"""More of it."""', inside))
    assert not caplog.records
    assert module.Operations().list() == [3, 3]
    assert "another shape than expected" in caplog.text
    assert module.build.__doc__ is not None, "it is the whole module now"


def test_a_file_that_was_replaced_is_not_read_any_more(tmp_path: Path) -> None:
    module = imported(tmp_path, EXPECTED)
    (tmp_path / "operations.py").write_text(f"# an upgrade\n{EXPECTED}", "utf-8")
    with pytest.raises(ImportError, match="was replaced: restart the bot"):
        _ = module.build
