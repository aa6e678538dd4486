# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the module's arguments to settings, or to everything that is wrong with them."""

import pytest
from ansible_collections.determined.network.plugins.module_utils._proxy import parameters, targets


@pytest.mark.parametrize(
    "services, expected",
    [
        ([{"host": "r.example.com", "ports": "443"}], {"r.example.com"}),
        (
            [{"host": "r.example.com", "ports": "443,5000", "purpose": "registry"}],
            {"r.example.com", "r.example.com:5000"},
        ),
        ([{"host": "2001:db8::1", "ports": "5000"}], {"[2001:db8::1]:5000"}),
        ([{"host": "192.0.2.0/24", "ports": "443"}, {"host": "r", "ports": "1-65535"}], set()),
    ],
)
def test_registries(arguments, services, expected):
    settings, problems = parameters.read(dict(arguments, registries=services))
    assert problems == [] and set(settings.registries) == expected


@pytest.mark.parametrize("service", [{}, {"host": 1, "ports": "1"}, {"host": "r"}, {"host": "r", "ports": "none"}])
def test_registries_that_are_refused(arguments, service):
    settings, problems = parameters.read(dict(arguments, registries=[service]))
    assert settings is None and len(problems) == 1 and problems[0].startswith("registries: ")


def test_placeholders_are_right_whatever_the_arguments_are(arguments):
    wrong = dict(arguments, http="p:1", no_proxy=["*"], ca_certificate="/no/such/file", targets=["all"])
    assert parameters.read(wrong).settings is None
    settings = parameters.placeholder(wrong)
    assert settings.targets == tuple(targets.TARGETS) and settings.certificates == ()


def test_a_path_that_was_not_found_is_named(arguments):
    for text, expected in (
        ("/no/such/file", "determined_proxy_ca_certificate: '/no/such/file': no"),
        ("a\nb", "determined_proxy_ca_certificate: no"),
    ):
        (problem,) = parameters.read(dict(arguments, ca_certificate=text)).problems
        assert problem.startswith(expected)
