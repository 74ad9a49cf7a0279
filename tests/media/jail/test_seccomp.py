"""The filters, run by a small interpreter of BPF for both processors, without touching the kernel."""

from __future__ import annotations

import errno
import os
import struct

import pytest

from assay.media.jail.numbers import AUDIT_ARCH, NUMBERS, number_of
from assay.media.jail.seccomp import (
    ALLOW,
    EACCES,
    ENOSYS,
    EPERM,
    ESCAPES,
    KILL,
    LOOKUPS,
    NOTIFY,
    PLAIN,
    READING,
    decoder_program,
    examiner_program,
)

PROCESSORS = ("x86_64", "aarch64")
OURSELVES = 0x4F574E21  # put in the place of the process id until the filter is installed


def verdict(program, number, arguments=(), arch=0):
    """What the kernel would answer to one call."""
    data = struct.pack("=iIQ6Q", number, arch, 0, *(*arguments, 0, 0, 0, 0, 0, 0)[:6])
    steps = list(struct.iter_unpack("=HBBI", program))
    accumulator, place = 0, 0
    while True:
        code, yes, no, k = steps[place]
        place += 1
        if code == 0x20:
            (accumulator,) = struct.unpack_from("=I", data, k)
        elif code == 0x06:
            return k
        else:
            test = {0x15: accumulator == k, 0x35: accumulator >= k, 0x45: bool(accumulator & k)}[code]
            place += yes if test else no


def answers(program, processor, name, *arguments):
    return verdict(program, number_of(name, processor), arguments, AUDIT_ARCH[processor])


def here(names, processor):
    return [n for n in names if number_of(n, processor) is not None]


@pytest.mark.parametrize("processor", PROCESSORS)
def test_a_decoder_may_compute_and_nothing_else(processor):
    program = decoder_program(processor)
    special = {"mmap", "mprotect", "clone", "clone3", "prctl", "fcntl", "tgkill", "prlimit64"}
    for name in here(NUMBERS, processor):
        if name in special:
            continue
        want = ALLOW if name in PLAIN else EACCES if name in LOOKUPS else KILL if name in ESCAPES else EPERM
        assert answers(program, processor, name) == want, name
    for number in (9999, 500, 0x3FFFFFFF):
        assert verdict(program, number, arch=AUDIT_ARCH[processor]) == EPERM


@pytest.mark.parametrize("processor", PROCESSORS)
@pytest.mark.parametrize("make", [decoder_program, examiner_program])
def test_calls_are_judged_by_their_arguments(make, processor):
    program = make(processor)

    def ask(name, *arguments):
        return answers(program, processor, name, *arguments)

    apart = KILL if make is decoder_program else EPERM
    assert ask("clone", 0x3D0F00) == ALLOW  # as pthread_create does
    assert ask("clone", 17) == apart
    assert ask("clone3") == ENOSYS
    assert ask("prctl", 15) == ALLOW
    assert ask("prctl", 4, 1) == EPERM
    assert ask("fcntl", 3, 1030) == ALLOW
    assert ask("fcntl", 3, 8, 1) == EPERM  # F_SETOWN
    assert ask("tgkill", OURSELVES, 5, 6) == ALLOW
    assert ask("tgkill", 1, 1, 9) == KILL
    assert ask("prlimit64", 0, 7, 0, 0x7FFF00001000) == ALLOW
    assert ask("prlimit64", 0, 7, 0x7FFF00000000, 0) == EPERM  # a pointer whose low half is null
    assert ask("prlimit64", 0, 7, 0x1000, 0) == EPERM


@pytest.mark.parametrize("processor", PROCESSORS)
def test_only_an_examiner_makes_executable_memory(processor):
    for name in ("mmap", "mprotect"):
        assert answers(decoder_program(processor), processor, name, 0, 4096, 3) == ALLOW
        assert answers(decoder_program(processor), processor, name, 0, 4096, 5) == EACCES
        assert answers(examiner_program(processor), processor, name, 0, 4096, 5) == ALLOW


@pytest.mark.parametrize("processor", PROCESSORS)
def test_an_examiner_opens_for_reading_alone(processor):
    program = examiner_program(processor)
    for name, before in (("open", (0,)), ("openat", (-100 & 0xFFFFFFFF, 0))):
        if number_of(name, processor) is None:
            continue
        reading = (os.O_RDONLY, os.O_CLOEXEC, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, os.O_PATH)
        writing = (
            os.O_WRONLY,
            os.O_RDWR,
            os.O_CREAT,
            os.O_TRUNC,
            os.O_TMPFILE | os.O_RDWR,
            os.O_APPEND | os.O_WRONLY,
        )
        assert {answers(program, processor, name, *before, flags) for flags in reading} == {ALLOW}
        assert {answers(program, processor, name, *before, flags) for flags in writing} == {EACCES}
    for name in here(READING, processor):
        assert answers(program, processor, name) == ALLOW


def test_numbers_of_another_processor_end_the_process():
    for make in (decoder_program, examiner_program):
        assert verdict(make("x86_64"), 0, arch=0x40000003) == KILL  # i386
        assert verdict(make("x86_64"), 0x40000000, arch=AUDIT_ARCH["x86_64"]) == KILL  # x32
        assert verdict(make("aarch64"), 63, arch=0x40000028) == KILL  # arm


@pytest.mark.parametrize("processor", PROCESSORS)
def test_fstat_by_an_empty_path_is_allowed_where_libc_needs_it(processor):
    program = decoder_program(processor, stat_empty_path=True)
    assert answers(program, processor, "newfstatat", 3, 0, 0, 0x1000) == ALLOW
    assert answers(program, processor, "newfstatat", 3, 0, 0, 0) == EACCES


@pytest.mark.parametrize("processor", PROCESSORS)
@pytest.mark.parametrize("make", [decoder_program, examiner_program])
def test_a_watched_filter_asks_instead_of_refusing(make, processor):
    strict, watched = make(processor), make(processor, watched=True)
    for name in here(NUMBERS, processor):
        before, after = (answers(p, processor, name) for p in (strict, watched))
        assert after in (before, NOTIFY) or name == "sendmsg"
        assert after not in (EPERM, EACCES, KILL)


@pytest.mark.parametrize("processor", PROCESSORS)
def test_filters_are_within_what_the_kernel_takes(processor):
    for make in (decoder_program, examiner_program):
        steps = list(struct.iter_unpack("=HBBI", make(processor)))
        assert len(steps) <= 4096
        for place, (_, yes, no, _) in enumerate(steps[:-1]):
            assert place + 1 + max(yes, no) < len(steps)
        assert steps[-1] == (0x06, 0, 0, 0x00050000 | errno.EPERM)
        assert sum(k == OURSELVES for *_, k in steps) == 1
