"""One text of a kernel's source: what is included, where lines come from, what is refused."""

import re

import pytest
from cuda_parts import INSTANCES, SOURCES

from selscan.backends.cupy import instances, paste

LINE = re.compile(r'#line (\d+) "(.*)"')


@pytest.fixture
def folder(tmp_path):
    """Write sources: folder(**{"a.cu": text}) is the folder they are in."""

    def write(**files):
        for name, text in files.items():
            (tmp_path / name).write_text(text, encoding="utf-8")
        return tmp_path

    return write


def origins(text):
    """(file, line, text) of every line of a pasted text, as a compiler numbers them."""
    file, number, found = None, None, []
    for line in text.splitlines():
        if match := LINE.fullmatch(line):
            file, number = match[2], int(match[1])
        else:
            found.append((file, number, line))
            number += 1
    return found


def test_every_line_is_numbered_as_in_its_file():
    lines = origins(paste.paste("pieces.cu", SOURCES))

    assert {file for file, *_ in lines} == {"pieces.cu", "numbers.cuh"}
    for file, number, line in lines:
        true = (SOURCES / file).read_text(encoding="utf-8").splitlines()[number - 1]
        assert line == ("" if true == "#pragma once" else true)


def test_every_line_but_includes_is_there_once():
    lines = [(file, number) for file, number, _ in origins(paste.paste("pieces.cu", SOURCES))]

    expected = [
        (file, number)
        for file in ("numbers.cuh", "pieces.cu")
        for number, line in enumerate((SOURCES / file).read_text().splitlines(), 1)
        if '#include "' not in line
    ]
    assert sorted(lines) == sorted(expected)


def test_a_file_that_two_others_include_is_pasted_once(folder):
    files = {"a.cu": '#include "b.cuh"\n#include "c.cuh"\nlast', "b.cuh": '#include "c.cuh"\nb'}

    lines = origins(paste.paste("a.cu", folder(**files, **{"c.cuh": "c\n"})))

    assert lines == [("c.cuh", 1, "c"), ("b.cuh", 2, "b"), ("a.cu", 3, "last")]


def test_comments_behind_an_include_and_spaces_in_it_do_not_matter(folder):
    files = {"a.cu": ' #  include   "b.cuh"  // why\n# pragma   once\nlast', "b.cuh": "b"}

    lines = origins(paste.paste("a.cu", folder(**files)))

    assert lines == [("b.cuh", 1, "b"), ("a.cu", 2, ""), ("a.cu", 3, "last")]


def test_an_include_in_a_comment_of_one_line_is_left_alone(folder):
    text = paste.paste("a.cu", folder(**{"a.cu": '// #include "b.cuh"\n'}))

    assert text == '#line 1 "a.cu"\n// #include "b.cuh"\n'


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"a.cu": '\n\n#include "b.cuh"'}, r'^a\.cu:3: there is no file "b\.cuh" beside it\.$'),
        ({"a.cu": '#include "a.cu"'}, r"^a\.cu:1: includes go in a circle: a\.cu -> a\.cu\.$"),
        (
            {
                "a.cu": '#include "b.cuh"',
                "b.cuh": '\n#include "c.cuh"',
                "c.cuh": '#include "b.cuh"',
            },
            r"^c\.cuh:1: includes go in a circle: a\.cu -> b\.cuh -> c\.cuh -> b\.cuh\.$",
        ),
        (
            {"a.cu": "#include <string>"},
            r"^a\.cu:1: <\.\.\.> must be one of cuda_bf16\.h, cuda_fp16\.h; got '<string>'\.$",
        ),
        (
            {"a.cu": "#include FILE"},
            r"^a\.cu:1: include must be \"file\" or <file>; got 'FILE'\.$",
        ),
        (
            {"a.cu": '#ifdef X\n#if Y\n#endif\n#include "b.cuh"\n#endif', "b.cuh": ""},
            r"^a\.cu:4: include must stand outside #if; got '\"b\.cuh\"'\.$",
        ),
    ],
)
def test_a_wrong_include_is_an_error_with_its_place(folder, files, message):
    with pytest.raises(RuntimeError, match=message):
        paste.paste("a.cu", folder(**files))


@pytest.mark.parametrize(
    "name", ["../a.cuh", "/etc/passwd", "sub/a.cuh", "a.py", "a.cu\n", "A.CU", "", ".cu", "a b.cu"]
)
def test_nothing_outside_the_folder_can_be_read(folder, name):
    folder(**{"a.cuh": "", "a.py": ""})
    inner = folder(**{"a.cu": f'#include "{name}"'}) / "inner"
    inner.mkdir()

    with pytest.raises(RuntimeError, match="is not a source of kernels"):
        paste.paste(name, inner)
    with pytest.raises(RuntimeError, match=r"^a\.cu:1: "):
        paste.paste("a.cu", inner.parent)


def test_the_sources_are_data_of_the_package():
    assert paste.resources.files("selscan.backends.cupy") / "csrc" == paste.SOURCES


@pytest.mark.parametrize(
    ("listed", "folder"), [(INSTANCES, SOURCES), (instances.INSTANCES, paste.SOURCES)]
)
def test_every_listed_kernel_is_a_plain_name_in_a_file_that_can_be_pasted(listed, folder):
    for file, names in listed.items():
        assert paste.paste(file, folder)
        assert len(set(names)) == len(names)
        for name in names:
            assert re.fullmatch(r"\w+(<(?:[\w, -]|Complex<\w+>)+>)?", name, re.ASCII)
