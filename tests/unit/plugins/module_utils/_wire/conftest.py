# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tests of this folder share ``marked_packets``, and pytest for Python 3.6 finds it only in sys.path."""

import os
import sys

sys.path.append(os.path.dirname(os.path.abspath(__file__)))
