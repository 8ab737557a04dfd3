import builtins
import sys
import threading

import pytest
from django.core.checks import Warning as CheckWarning

from tests.support.waiting import WAIT_S
from tools import discovery, registry, tool
from tools.errors import DuplicateTool, UnknownTool
from tools.registry import Registry


@pytest.fixture
def modules(tmp_path, monkeypatch):
    """Returns a function that writes modules; they are importable for one test."""
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)

    def write(**sources):
        for name, source in sources.items():
            (tmp_path / f"{name}.py").write_text("from tools import tool, registry\n" + source)
        return Registry(lambda: sources)

    yield write
    for name in set(sys.modules) - before:
        del sys.modules[name]


@pytest.fixture
def installed(monkeypatch):
    """Returns a function that makes a registry the one of the process, for one test."""

    def install(one):
        monkeypatch.setattr(registry, "_current", one)
        return one

    return install


DEFINE = "@tool\ndef {0}(): ...\n"


def test_modules_are_imported_when_a_tool_is_first_asked_for(modules, installed):
    one = installed(modules(lazy_a=DEFINE.format("first"), lazy_b=DEFINE.format("second")))
    assert "lazy_a" not in sys.modules
    assert registry.get("second").module == "lazy_b"
    assert [known.name for known in registry.all()] == ["first", "second"]
    assert one.problems() == []


def test_a_module_that_cannot_be_imported_is_reported_and_the_others_go_on(modules, installed):
    broken = DEFINE.format("half") + "import nowhere_to_be_found"
    installed(modules(good_a=DEFINE.format("a"), broken=broken, exits="raise SystemExit(3)", good_b=DEFINE.format("b")))
    assert [known.name for known in registry.all()] == ["a", "b"]
    assert [problem.module for problem in registry.problems()] == ["broken", "exits"]
    assert "ModuleNotFoundError: No module named 'nowhere_to_be_found'" in registry.problems()[0].message
    with pytest.raises(UnknownTool, match=r"could not be imported: broken, exits\."):
        registry.get("half")


def test_an_unknown_tool_comes_with_close_matches():
    with pytest.raises(UnknownTool, match=r"There is no tool 'extract_function'\. Did you mean 'extract_functions'"):
        registry.get("extract_function")


def test_two_tools_of_one_name_are_refused_and_both_places_named(modules, installed):
    installed(modules(one_place=DEFINE.format("same"), other_place=DEFINE.format("same")))
    [problem] = registry.problems()
    assert problem.module == "other_place"
    assert "one_place.same" in problem.message
    assert "other_place.same" in problem.message
    assert "one_place.py:2" in problem.message
    assert registry.get("same").module == "one_place"


def test_two_functions_of_one_module_cannot_share_a_name():
    with registry.scratch():

        @tool
        def twice(): ...

        with pytest.raises(DuplicateTool, match="'twice'"):

            @tool
            def twice(): ...


def test_a_function_that_is_defined_again_replaces_itself():
    def define():
        @tool
        def again(): ...

        return again

    with registry.scratch():
        define()
        latest = define()
        assert registry.get("again").function is latest


def test_a_scratch_registry_forgets_its_tools():
    with registry.scratch() as scratch:

        @tool
        def temporary(): ...

        assert registry.get("temporary").function is temporary
        assert registry.get("extract_functions") in scratch.all()
    with pytest.raises(UnknownTool):
        registry.get("temporary")


def test_a_module_may_ask_for_tools_while_it_is_imported(modules, installed):
    installed(modules(early=DEFINE.format("early_tool"), asks="seen = [one.name for one in registry.all()]"))
    registry.discover()
    assert sys.modules["asks"].seen == ["early_tool"]


def test_a_thread_that_comes_during_discovery_waits_for_its_end(modules, installed):
    one = installed(
        modules(slow="import builtins\nbuiltins.reached.set()\nbuiltins.go_on.wait(60)\n" + DEFINE.format("late"))
    )
    reached, go_on, found = threading.Event(), threading.Event(), []
    builtins.reached, builtins.go_on = reached, go_on
    try:
        first = threading.Thread(target=one.discover)
        first.start()
        assert reached.wait(WAIT_S)
        second = threading.Thread(target=lambda: found.append(one.get("late").name))
        second.start()
        go_on.set()
        first.join(WAIT_S)
        second.join(WAIT_S)
    finally:
        del builtins.reached, builtins.go_on
    assert found == ["late"]


def test_the_modules_are_builtin_ones_those_of_apps_and_those_of_the_setting(settings, monkeypatch):
    settings.WORKFLOW = settings.WORKFLOW.model_copy(update={"tool_modules": ("my_company.tools",)})
    monkeypatch.setattr(
        discovery,
        "module_has_submodule",
        lambda package, name: (package.__name__, name) == ("graphs", "workflow_tools"),
    )
    names = list(discovery.module_names())
    assert "tools.builtin.code_review" in names
    assert names[-2:] == ["graphs.workflow_tools", "my_company.tools"]


def test_a_broken_module_is_a_warning_of_the_system_check(modules, installed):
    installed(modules(broken_check="1 / 0"))
    [warning] = discovery.check_modules()
    assert isinstance(warning, CheckWarning)
    assert warning.id == "tools.W001"
    assert "broken_check" in warning.msg
    assert "ZeroDivisionError" in warning.msg


def test_every_module_of_tools_of_this_project_can_be_imported():
    assert registry.problems() == []
