"""Plans are texts that are the same for the same states."""

from ansible_collections.determined.network.plugins.module_utils._firewall import plan as firewall_plan


def test_nothing_to_do():
    plan = firewall_plan.compare("a\nb\n", "a\nb\n", "agent1")
    assert not plan.changed and firewall_plan.unified(plan) == ""


def test_unified_diff_without_dates():
    plan = firewall_plan.compare("a\nb\n", "a\nc", "agent1")
    assert plan.changed
    assert firewall_plan.unified(plan) == (
        "--- firewall of agent1, now\n+++ firewall of agent1, as its policy asks\n@@ -1,2 +1,2 @@\n a\n-b\n+c\n"
    )
    assert firewall_plan.as_ansible_diff(plan)["after"] == "a\nc"
