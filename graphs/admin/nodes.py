"""Nodes and edges: as rows of a draft's page, and a node's less common options on a page of its own."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Model, TextField
from django.forms import BaseInlineFormSet, ModelForm
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from unfold.admin import ModelAdmin, StackedInline, TabularInline
from unfold.widgets import UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from accounts import audit
from accounts.models import Role
from graphs.admin.tenancy import OfOrganization, acting_in, has_role_in
from graphs.models import Edge, GraphVersion, Node

MAX_EDITABLE_NODES = 200
MONOSPACE = "font-family: ui-monospace, monospace"
"""As a style, since unfold's style sheet has only the classes that unfold itself uses."""

_MAIN = [("name", "tool"), ("inputs", "outputs"), ("routing", "expression"), ("join", "timeout_s")]
_MORE = [
    ("label", "description"),
    ("map_options", "executor"),
    ("graph", "human"),
    ("wait", "lock"),
    ("retry", "cache"),
    ("deadline_s", "heartbeat_timeout_s"),
    ("compensate", "metadata"),
    ("rank", "x", "y"),
]
_SUGGESTIONS = {"tool": "tool-names", "start_node": "node-names", "source": "node-names", "target": "node-names"}
_OWN_POSITION = frozenset({Edge.Slot.WHEN, Edge.Slot.ON_ERROR, Edge.Slot.ANY})
"""Slots in which two edges are two cases rather than a fork."""


class SmallBoxes:
    """Texts in boxes of two lines, names with suggestions (templates/admin/graphs/names.html has the lists)."""

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **options: Any) -> Any:
        if isinstance(db_field, TextField):
            options["widget"] = UnfoldAdminTextareaWidget(attrs={"rows": 2, "style": MONOSPACE})
        elif db_field.name in _SUGGESTIONS:
            attrs = {"list": _SUGGESTIONS[db_field.name], "autocomplete": "off"}
            options["widget"] = UnfoldAdminTextInputWidget(attrs=attrs)
        if db_field.name.endswith("_s"):
            options["label"] = f"{db_field.name.removesuffix('_s').replace('_', ' ').capitalize()} (s)"
        return super().formfield_for_dbfield(db_field, request, **options)  # type: ignore[misc]


def is_large(version: GraphVersion) -> bool:
    """Whether it has too many nodes for one form."""
    return version.nodes.count() > MAX_EDITABLE_NODES


def has_editable_rows(request: HttpRequest, version: GraphVersion) -> bool:
    organization = version.graph.organization
    return not version.is_published and not is_large(version) and has_role_in(request, organization, Role.EDITOR)


class RowInline(SmallBoxes):
    """Rows of a definition, as long as it is a draft of a size that one form holds."""

    extra = 0

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return True

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return isinstance(obj, GraphVersion) and has_editable_rows(request, obj)

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return self.has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return self.has_change_permission(request, obj)


class NodeInline(RowInline, StackedInline):
    model = Node
    show_change_link = True
    fieldsets = [(None, {"fields": _MAIN})]


class EdgeFormSet(BaseInlineFormSet):
    """Gives edges that were added at a place that is taken the next free one."""

    def clean(self) -> None:
        places: dict[tuple[str, str, int, int], str] = {}
        for form in self.forms:
            edge = form.instance
            if not form.is_valid() or not edge.source or form in self.deleted_forms:
                continue
            while (place := (edge.source, edge.slot, edge.position, edge.branch)) in places:
                if edge.slot in _OWN_POSITION and places[place] != edge.expression:
                    edge.position += 1
                else:
                    edge.branch += 1
            places[place] = edge.expression
            form.cleaned_data |= {"position": edge.position, "branch": edge.branch}
        super().clean()


class EdgeInline(RowInline, TabularInline):
    model = Edge
    formset = EdgeFormSet
    fields = ["source", "slot", "target", "expression", "position", "branch"]


@admin.register(Node)
class NodeAdmin(SmallBoxes, OfOrganization, ModelAdmin):
    """All options of one node. It is reached from its version's page, and leads back there."""

    organization_path = "version__graph__organization"
    fieldsets = [(None, {"fields": _MAIN}), ("More", {"fields": _MORE})]

    def has_module_permission(self, request: HttpRequest) -> bool:
        return False

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return obj is None or has_editable_rows(request, obj.version)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: Node, form: ModelForm[Node], change: bool) -> None:
        super().save_model(request, obj, form, change)
        record_edit(request, obj.version)

    def response_post_save_change(self, request: HttpRequest, obj: Node) -> HttpResponse:
        return redirect("admin:graphs_graphversion_change", obj.version_id)


def record_edit(request: HttpRequest, version: GraphVersion) -> None:
    actor = acting_in(request, version.graph.organization)
    audit.record(actor=actor, action="graph.draft_edited", obj=version.graph, data={"version": version.number})
