"""What LiveKit is told of a role, and which role a caller gets."""

from typing import Any

import pytest
from msgspec.structs import replace

from lkhub.livekit.tokens import join_grant
from lkhub.service.errors import ApiError
from lkhub.service.roles import PLAIN, Roles, grant_role
from lkhub.wire.application import Access

PLAIN_GRANT = join_grant("r")


def test_plain_role_is_a_plain_participant() -> None:
    assert grant_role(PLAIN, "r", opens=True) == PLAIN_GRANT


@pytest.mark.parametrize(
    ("change", "grant"),
    [
        ({"publish": ()}, {"canPublish": False}),
        ({"publish": ("microphone",)}, {"canPublishSources": ["microphone"]}),
        ({"publish": ("camera", "screen_share")}, {"canPublishSources": ["camera", "screen_share"]}),
        ({"subscribe": False}, {"canSubscribe": False}),
        ({"data": False}, {"canPublishData": False}),
        ({"hidden": True}, {"hidden": True}),
        ({"recorder": True}, {"recorder": True}),
        ({"admin": True}, {"roomAdmin": True}),
        ({"own_metadata": True}, {"canUpdateOwnMetadata": True}),
        ({"create": True}, {"roomCreate": True}),
    ],
    ids=str,
)
def test_each_right_is_livekits_grant(change: dict[str, Any], grant: dict[str, Any]) -> None:
    assert grant_role(replace(PLAIN, **change), "r", opens=True) == PLAIN_GRANT | grant


def test_rooms_that_joining_opens_need_no_right_to_open_and_close_any_room() -> None:
    assert "roomCreate" not in grant_role(replace(PLAIN, create=True), "r", opens=False)


def test_grant_without_a_room_is_never_made() -> None:
    with pytest.raises(ValueError, match="every room"):
        grant_role(PLAIN, "", opens=False)


ACCESS = Access(
    roles={name: replace(PLAIN, ttl=number) for number, name in enumerate(("participant", "speaker", "admin"), 1)},
    default_role="participant",
)


@pytest.mark.parametrize(
    ("allowed", "wanted", "role"),
    [
        ((), "", "participant"),
        ((), "participant", "participant"),
        (("speaker",), "", "speaker"),
        (("speaker", "participant"), "", "participant"),
        (("speaker", "admin"), "admin", "admin"),
        (("gone", "speaker"), "", "speaker"),
    ],
)
def test_role_of_a_caller(allowed: tuple[str, ...], wanted: str, role: str) -> None:
    assert Roles(ACCESS).choose(allowed, wanted) == (role, ACCESS.roles[role])


@pytest.mark.parametrize(
    ("allowed", "wanted", "status"),
    [
        ((), "admin", 403),
        (("speaker",), "participant", 403),
        (("speaker",), "admin", 403),
        (("gone",), "", 403),
        (("gone",), "gone", 403),
        (("speaker",), "nonsense", 422),
        ((), "Participant", 422),
    ],
)
def test_role_that_a_caller_may_not_have(allowed: tuple[str, ...], wanted: str, status: int) -> None:
    with pytest.raises(ApiError) as refused:
        Roles(ACCESS).choose(allowed, wanted)
    assert refused.value.status == status


def test_hub_whose_configuration_names_no_roles_has_the_plain_one() -> None:
    assert Roles(Access()).choose((), "") == ("participant", PLAIN)
