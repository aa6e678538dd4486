"""Plans are texts that are the same for the same states."""

from ansible_collections.determined.network.plugins.module_utils import _plan


def test_nothing_to_do():
    plan = _plan.compare("a\nb\n", "a\nb\n", "agent1")
    assert not plan.changed and _plan.unified(plan) == ""


def test_unified_diff_without_dates():
    plan = _plan.compare("a\nb\n", "a\nc", "agent1")
    assert plan.changed
    assert _plan.unified(plan) == (
        "--- firewall of agent1, now\n+++ firewall of agent1, as its policy asks\n@@ -1,2 +1,2 @@\n a\n-b\n+c\n"
    )
    assert _plan.as_ansible_diff(plan)["after"] == "a\nc"
