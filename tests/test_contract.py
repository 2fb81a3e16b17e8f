"""Every bad input of the table (bad_inputs.py) is refused before any work, with its message."""

import pytest
from bad_inputs import cases, keywords, parameters
from calls import EVERY, refused
from errors_page import PAGE, page

import selscan

ARGUMENTS = [
    (function, name) for function in (*EVERY, "use", "patch") for name in parameters(function)
]


def name_of(case):
    return f"{case.function}-{case.framework}-{case.layout}-{case.given}"


@pytest.mark.parametrize("case", cases(), ids=name_of)
def test_a_bad_input_is_refused_with_its_message(case):
    given = case.arguments()
    if case.function in EVERY:
        message = refused(case.error, case.function, case.framework, **given)
    else:
        with pytest.raises(case.error) as caught:
            getattr(selscan, case.function)(**given)
        message = str(caught.value)

    assert message == case.message


@pytest.mark.parametrize(("function", "name"), ARGUMENTS)
def test_every_argument_is_in_the_table(function, name):
    given = [keywords(case.given) for case in cases() if case.function == function]

    assert name in {name for arguments in given for name, _ in arguments}


def test_the_page_of_errors_is_the_table():
    assert PAGE.read_text(encoding="utf-8") == page(), "run: python tests/errors_page.py"
