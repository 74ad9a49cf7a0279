from __future__ import annotations

import re
from pathlib import Path

import pytest

from assay.media.jail.numbers import NUMBERS, name_of, number_of
from assay.media.jail.seccomp import ESCAPES, LOOKUPS, PLAIN, READING

HEADERS = {
    "x86_64": (Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"), r"#define __NR_(\w+)\s+(\d+)"),
    "aarch64": (Path("/usr/include/asm-generic/unistd.h"), r"#define __NR(?:3264)?_(\w+)\s+(\d+)"),
}
RENAMED = {"newfstatat": "fstatat"}  # in the generic table


@pytest.mark.parametrize("processor", HEADERS)
def test_the_table_agrees_with_the_kernels_headers(processor):
    header, pattern = HEADERS[processor]
    if not header.exists():
        pytest.skip("the kernel's headers are not installed (linux-libc-dev)")
    true = {name: int(number) for name, number in re.findall(pattern, header.read_text())}
    for name in NUMBERS:
        expected = true.get(name, true.get(RENAMED.get(name, "")))
        assert number_of(name, processor) == expected, name


def test_every_name_in_a_list_has_a_number():
    assert {*ESCAPES, *LOOKUPS, *PLAIN, *READING} <= set(NUMBERS)


def test_no_number_stands_twice():
    for column in (0, 1):
        numbers = [row[column] for row in NUMBERS.values() if row[column] is not None]
        assert len(numbers) == len(set(numbers))


def test_a_number_leads_back_to_its_name():
    assert name_of(257, "x86_64") == "openat"
    assert name_of(56, "aarch64") == "openat"
    assert name_of(9999, "aarch64") == "system call 9999"
