import pytest

from accounts.actor import Actor
from accounts.errors import RoleTooLow
from accounts.models import Organization, Role
from accounts.permissions import has_role, require_role

ASCENDING = [Role.VIEWER, Role.OPERATOR, Role.EDITOR, Role.ADMIN]


def acting_as(role: Role) -> Actor:
    return Actor(organization=Organization(slug="acme"), name="somebody", role=role)


@pytest.mark.parametrize("held", ASCENDING)
def test_each_role_includes_those_before_it_and_none_after(held: Role) -> None:
    included = [role for role in ASCENDING if has_role(acting_as(held), role)]
    assert included == ASCENDING[: ASCENDING.index(held) + 1]


def test_a_role_too_low_is_told_what_is_needed() -> None:
    with pytest.raises(RoleTooLow, match="needs the role editor; you act as operator"):
        require_role(acting_as(Role.OPERATOR), Role.EDITOR)
