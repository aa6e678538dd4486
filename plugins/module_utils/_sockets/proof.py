# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a probe and a listener of one verification prove to each other that they know the secret of the run. Pure.

A listener sends its line sealed: encrypted and authenticated with the secret. Only a probe of the same run can read
it, and a stranger learns neither the run nor the host. A datagram of a probe carries a nonce and the proof that its
sender knows the secret. The sealed line that answers it is bound to that nonce.

Datagrams and sealed lines have the same length, so nothing is amplified. Neither passes for the other, because
each has keys of its own. So a listener never answers an answer.

A marked datagram is a probe's, too, but the listener does not answer it: it remembers the mark. So it can tell what
arrived, even if an answer could not reach the sender.

The standard library has no cipher. The keystream is HMAC-SHA-512 (RFC 2104) of a salt and a counter, and the tag is
HMAC-SHA-256 over salt, ciphertext and nonce, truncated to 16 bytes (RFC 2104, section 5).
"""

import base64
import binascii
import hashlib
import hmac
from typing import Dict, Optional

SHORTEST_SECRET = 16  # characters
LONGEST_LINE = 200  # bytes of UTF-8
RANDOM = 16  # bytes of a salt or a nonce
LENGTH = 385  # bytes of a datagram or a sealed line, with the newline
MARK = 8  # bytes
_MARKED = b"remember"  # begins the nonce of a marked datagram; a random nonce begins like this once in 2 ** 64 times
_TAG = 16  # bytes
_ROOM = 256  # bytes of the ciphertext: every line is padded, so that its length tells nothing
_BLOCK = 64  # bytes of SHA-512
_QUESTION = b"determined.network probe "
_MOST_REMEMBERED = 64  # sealed lines; every process of a listener sends one and the same to all TCP clients


def read_secret(secret: str) -> str:
    """A secret -> the same secret. Raises ValueError, which does not repeat it, if it is too short."""
    if len(secret or "") < SHORTEST_SECRET:
        raise ValueError("secret is shorter than %d characters" % SHORTEST_SECRET)
    return secret


class Proof:
    """Makes and checks datagrams and sealed lines with one secret."""

    def __init__(self, secret: str) -> None:
        """Derive the keys. Raises ValueError as :func:`read_secret`."""
        data = read_secret(secret).encode("utf-8")
        keys = [hmac.new(data, name, hashlib.sha256).digest() for name in (b"question", b"answer", b"encryption")]
        self._question = hmac.new(keys[0], digestmod=hashlib.sha256)
        self._answer = hmac.new(keys[1], digestmod=hashlib.sha256)
        self._encryption = hmac.new(keys[2], digestmod=hashlib.sha512)
        self._opened: Dict[bytes, str] = {}

    def question(self, nonce: bytes) -> bytes:
        """The datagram of a probe. ``nonce``: RANDOM bytes."""
        text = _QUESTION + binascii.hexlify(nonce + _digest(self._question, nonce)[:_TAG])
        return text.ljust(LENGTH - 1) + b"\n"

    def read_question(self, datagram: bytes) -> Optional[bytes]:
        """The nonce of a datagram that a probe with this secret has made, or None for any other datagram."""
        if len(datagram) != LENGTH or not datagram.startswith(_QUESTION):
            return None
        try:
            data = binascii.unhexlify(datagram[len(_QUESTION) :].rstrip())
        except ValueError:  # binascii.Error is one
            return None
        nonce, tag = data[:RANDOM], data[RANDOM:]
        return nonce if hmac.compare_digest(tag, _digest(self._question, nonce)[:_TAG]) else None

    def marked(self, mark: bytes) -> bytes:
        """A datagram that the listener remembers. ``mark``: MARK bytes."""
        return self.question(_MARKED + mark)

    def seal(self, line: str, salt: bytes, nonce: bytes = b"") -> bytes:
        """A line -> LENGTH bytes that only :meth:`unseal` can read. ``nonce``: of the datagram that it answers.

        ``salt``: RANDOM bytes, never used twice for different lines. Raises ValueError for a line above LONGEST_LINE.
        """
        text = line.encode("utf-8")
        if len(text) > LONGEST_LINE:
            raise ValueError("the line has %d bytes, more than %d" % (len(text), LONGEST_LINE))
        hidden = _xor(text.ljust(_ROOM, b"\0"), self._keystream(salt))
        tag = _digest(self._answer, salt + hidden + nonce)[:_TAG]
        return base64.b64encode(salt + hidden + tag) + b"\n"

    def unseal(self, data: bytes, nonce: bytes = b"") -> Optional[str]:
        """What :meth:`seal` hid -> the line. None for anything else, whoever sent it."""
        if len(data) != LENGTH:
            return None
        known = None if nonce else self._opened.get(data)
        if known is not None:
            return known
        try:
            packed = base64.b64decode(data[:-1], validate=True)
        except ValueError:
            return None
        salt, hidden, tag = packed[:RANDOM], packed[RANDOM:-_TAG], packed[-_TAG:]
        if not hmac.compare_digest(tag, _digest(self._answer, salt + hidden + nonce)[:_TAG]):
            return None
        line = _xor(hidden, self._keystream(salt)).rstrip(b"\0").decode("utf-8", "replace")
        if not nonce and len(self._opened) < _MOST_REMEMBERED:
            self._opened[data] = line
        return line

    def _keystream(self, salt: bytes) -> bytes:
        return b"".join(_digest(self._encryption, salt + bytes((block,))) for block in range(_ROOM // _BLOCK))


def read_mark(nonce: bytes) -> Optional[bytes]:
    """The nonce of a datagram -> its mark; None if it has none and is to be answered."""
    return nonce[len(_MARKED) :] if nonce.startswith(_MARKED) else None


def _digest(keyed: "hmac.HMAC", message: bytes) -> bytes:
    copy = keyed.copy()  # half the time of a new one, which would have to hash the key again
    copy.update(message)
    return copy.digest()


def _xor(one: bytes, other: bytes) -> bytes:
    return (int.from_bytes(one, "big") ^ int.from_bytes(other, "big")).to_bytes(len(one), "big")
