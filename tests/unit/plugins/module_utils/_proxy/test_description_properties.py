# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Any credentials come back from the URL that carries them, by our reading and by that of real clients."""

import urllib.parse

from ansible_collections.determined.network.plugins.module_utils._proxy import description
from hypothesis import given, settings
from hypothesis import strategies as st

odd = st.text(
    st.one_of(st.sampled_from("%@:/#$'\"\\ &;`?[]{}!*=+~,<>|^"), st.characters(blacklist_categories=("Cs", "Cc")))
)
checked = settings(derandomize=True, deadline=None, max_examples=150)


@checked
@given(odd.map(lambda text: text.replace(":", "") + "x"), odd)
def test_credentials_are_read_back(username, password):
    found, problems = description.describe({"http": "http://p:1"}, username, password, [], [])
    assert problems == []
    url = found.proxies["http"].url
    assert description.parse(url) == found.proxies["http"]
    assert url.isascii() and not set(url) & set("\"'\\$`# ;&")
    parsed = urllib.parse.urlsplit(url)
    assert (parsed.hostname, parsed.port) == ("p", 1)
    assert urllib.parse.unquote(parsed.username) == username
    assert urllib.parse.unquote(parsed.password or "") == password
    # What requests decodes and sends as Latin-1 is UTF-8.
    other = urllib.parse.urlsplit(found.proxies["http"].url_for_latin_1)
    for sent, meant in ((other.username, username), (other.password or "", password)):
        assert urllib.parse.unquote(sent).encode("latin-1") == meant.encode("utf-8")


@checked
@given(st.one_of(st.text(), odd.map(lambda text: "http://" + text), odd.map(lambda text: f"http://{text}@p:1")))
def test_any_text_is_a_proxy_or_a_sentence(text):
    try:
        found = description.parse(text)
    except ValueError as problem:
        assert str(problem)
    else:
        assert description.parse(found.url) == found
