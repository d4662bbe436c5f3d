"""Who writes a plugin finds all that its parts are made of in ``reflect_core`` itself."""

import inspect
import re

import reflect_core
from reflect_core import protocols, records


def classes(module):
    found = vars(module).values()
    return [each for each in found if inspect.isclass(each) and each.__module__ == module.__name__]


def test_the_kinds_of_part_and_the_values_in_their_methods_are_public():
    kinds = classes(protocols)
    values = {each.__name__ for each in classes(records)}
    assert protocols.Teacher in kinds
    wanted = {kind.__name__ for kind in kinds}
    for kind in kinds:
        for method in filter(inspect.isfunction, vars(kind).values()):
            wanted |= values & set(re.findall(r"\w+", str(inspect.signature(method))))
    assert {"Question", "Advice", "State", "Draws"} <= wanted
    assert wanted <= set(reflect_core.__all__)


def test_every_public_name_is_there():
    assert all(hasattr(reflect_core, name) for name in reflect_core.__all__)
