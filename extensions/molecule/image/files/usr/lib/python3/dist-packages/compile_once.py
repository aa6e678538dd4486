# Copyright (c) 2026, The determined.network maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compile a source file out of a zip file once for all test hosts, not each time that a module runs.

Ansible sends a module as a zip file of sources, and Python keeps nothing compiled that it imports from such a file:
more than half of a module's processor time is the compiler's. Here the code is kept, by the hash of its source, in a
directory that all test hosts share. The sources, the order in which they run, and the file names in tracebacks stay
the same. Python reads this file at every start, because of compile_once.pth beside it, so it imports nothing before it
is needed.
"""

import sys
import zipimport

# In a test host a volume is mounted there.
PLACE = __file__.rpartition("/")[0] + "/compile_once.cache"

_compile = zipimport._compile_source


def compile_once(pathname, source):
    """The code of ``source`` (bytes), as if it had just been compiled for ``pathname``."""
    import _imp
    import marshal
    import os

    # 64 bits and the length: no two files of a test run have both in common.
    kind = f"{sys.implementation.cache_tag}-{sys.flags.optimize}"
    path = f"{PLACE}/{kind}-{_imp.source_hash(0, source).hex()}-{len(source)}"
    try:
        with open(path, "rb") as file:
            code = marshal.loads(file.read())
        _imp._fix_co_filename(code, pathname)
        return code
    except (OSError, EOFError, ValueError, TypeError):
        code = _compile(pathname, source)
    # Hosts have the same process ids, and an ordinary user may not write.
    temporary = f"{path}.{os.urandom(8).hex()}"
    try:
        with open(temporary, "xb") as file:
            file.write(marshal.dumps(code))
        os.rename(temporary, path)
    except OSError:
        pass
    return code


zipimport._compile_source = compile_once
