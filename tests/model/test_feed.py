"""Options of a node: what is given and what stands are the same ones."""

import typing

from immpd.model.feed import OPTIONS, NodeOptions, NodeTerms


def _kinds(struct: type) -> dict[str, tuple[object, ...]]:
    """Name → the types of its value."""
    hints = typing.get_type_hints(struct)
    return {name: tuple(kind for kind in typing.get_args(hint) or (hint,)) for name, hint in hints.items()}


def test_an_option_is_given_by_the_name_it_stands_under() -> None:
    given, stands = _kinds(NodeOptions), _kinds(NodeTerms)
    assert set(given) - set(stands) == {"title"}
    assert not set(stands) - set(given)
    for name, kinds in stands.items():
        told = [type(words[0]) if (words := OPTIONS[name].words) else kind for kind in given[name]]
        assert kinds[0] in told, name


def test_a_default_may_be_given() -> None:
    for name, option in OPTIONS.items():
        assert not option.words or option.default in option.words, name
        assert option.bounds is None or option.or_none or option.bounds[0] <= option.default <= option.bounds[1], name


def test_a_node_of_nothing_has_every_option() -> None:
    assert NodeOptions() == NodeOptions(**dict.fromkeys(OPTIONS))
    assert set(NodeOptions.__struct_fields__) == set(OPTIONS)
