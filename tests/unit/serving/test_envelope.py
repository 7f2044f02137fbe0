"""What goes between deployments: a head and a body in one piece of bytes."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolving_ai.errors import CorruptionError
from evolving_ai.serving.envelope import pack, unpack

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=8), json_values, max_size=5), st.binary(max_size=200))
def test_what_is_packed_is_unpacked(head: dict[str, Any], body: bytes) -> None:
    assert unpack(pack(head, body)) == (head, body)


@given(st.binary(max_size=60))
def test_other_bytes_are_damage_or_an_envelope(payload: bytes) -> None:
    try:
        found = unpack(payload)
    except CorruptionError:
        return

    assert isinstance(found.head, dict)


@given(st.integers(0, 30))
def test_an_envelope_cut_in_its_head_is_damage(length: int) -> None:
    whole = pack({"replica": "r-1", "sequence": 12345})

    with pytest.raises(CorruptionError, match="damaged"):
        unpack(whole[:length])


@pytest.mark.parametrize("head", [b"[]", b"5", b"null", b'"text"'])
def test_a_head_that_is_no_object_is_damage(head: bytes) -> None:
    with pytest.raises(CorruptionError, match="are all of one release"):
        unpack(len(head).to_bytes(4, "little") + head)
