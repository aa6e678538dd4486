# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Datagrams and sealed lines: who knows the secret reads them, nobody else does, and none passes for another."""

import pytest
from ansible_collections.determined.network.plugins.module_utils._sockets import proof

OURS = proof.Proof("the secret of this run")
OTHERS = proof.Proof("the secret of another run")
NONCE, SALT = b"n" * proof.RANDOM, b"s" * proof.RANDOM


@pytest.mark.parametrize("secret", ["", None, "x" * 15])
def test_a_short_secret_is_refused_and_not_repeated(secret):
    with pytest.raises(ValueError, match="^secret is shorter than 16 characters$"):
        proof.Proof(secret)


def test_a_question_is_read_by_who_knows_the_secret():
    question = OURS.question(NONCE)
    assert len(question) == proof.LENGTH
    assert OURS.read_question(question) == NONCE
    assert OTHERS.read_question(question) is None


@pytest.mark.parametrize("line", ["", "a", "determined.network t agent1", "x" * 200, "\u00e4" * 100])
@pytest.mark.parametrize("nonce", [b"", NONCE])
def test_a_sealed_line_is_read_by_who_knows_the_secret(line, nonce):
    sealed = OURS.seal(line, SALT, nonce)
    assert len(sealed) == proof.LENGTH and sealed.endswith(b"\n") and sealed.count(b"\n") == 1
    assert OURS.unseal(sealed, nonce) == OURS.unseal(sealed, nonce) == line
    assert OTHERS.unseal(sealed, nonce) is None


@pytest.mark.parametrize("asked, answered", [(NONCE, b""), (b"", NONCE), (NONCE, b"m" * proof.RANDOM)])
def test_an_answer_belongs_to_one_question(asked, answered):
    assert OURS.unseal(OURS.seal("line", SALT, asked), answered) is None


def test_every_changed_byte_is_noticed():
    question, sealed = OURS.question(NONCE), OURS.seal("line", SALT)
    assert OURS.unseal(sealed) == "line"
    for place in range(proof.LENGTH - 1):
        for original, read in ((question, OURS.read_question), (sealed, OURS.unseal)):
            changed = original[:place] + bytes((original[place] ^ 1,)) + original[place + 1 :]
            assert read(changed) is None


@pytest.mark.parametrize(
    "data", [b"", b"\n", b"x" * proof.LENGTH, b"\xff" * proof.LENGTH, b"determined.network probe\n"]
)
def test_what_others_send_is_nothing(data):
    assert OURS.read_question(data) is None
    assert OURS.unseal(data) is None
    assert OURS.unseal(data, NONCE) is None


def test_neither_passes_for_the_other():
    assert OURS.read_question(OURS.seal("line", SALT, NONCE)) is None
    assert OURS.unseal(OURS.question(NONCE), NONCE) is None
    assert OURS.unseal(OURS.question(NONCE)) is None


def test_lines_of_all_lengths_look_alike():
    assert len(OURS.seal("", SALT)) == len(OURS.seal("x" * proof.LONGEST_LINE, SALT))
    assert OURS.seal("line", SALT) != OURS.seal("line", b"t" * proof.RANDOM)
    with pytest.raises(ValueError, match="201 bytes"):
        OURS.seal("x" * 201, SALT)


def test_a_marked_datagram_tells_its_mark_to_who_knows_the_secret():
    datagram = OURS.marked(b"12345678")
    assert len(datagram) == proof.LENGTH
    assert proof.read_mark(OURS.read_question(datagram)) == b"12345678"
    assert OTHERS.read_question(datagram) is None


def test_the_datagram_of_a_probe_has_no_mark():
    assert proof.read_mark(OURS.read_question(OURS.question(NONCE))) is None
