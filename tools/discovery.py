"""Which modules hold tools, and telling the administrator of those that cannot be imported."""

from __future__ import annotations

import pkgutil
from collections.abc import Iterator
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core import checks
from django.utils.module_loading import module_has_submodule

from tools import builtin, registry


def module_names() -> Iterator[str]:
    """Yield the built-in tools, each installed app's `workflow_tools`, and what WORKFLOW_TOOL_MODULES names."""
    for module in pkgutil.iter_modules(builtin.__path__, f"{builtin.__name__}."):
        yield module.name
    for app in apps.get_app_configs():
        if app.module is not None and module_has_submodule(app.module, "workflow_tools"):
            yield f"{app.name}.workflow_tools"
    yield from settings.WORKFLOW.tool_modules


@checks.register
def check_modules(**_: Any) -> list[checks.CheckMessage]:
    """A system check: warn of every module of tools that cannot be imported."""
    hint = "Nodes that use its tools fail until it can be. Correct the module or WORKFLOW_TOOL_MODULES."
    return [checks.Warning(problem.message, hint=hint, id="tools.W001") for problem in registry.problems()]
