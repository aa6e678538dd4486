"""Fetch a page from some ports of some addresses with curl, all at once, and print what came.

Usage: fetch.py PORT,PORT,... ADDRESS ...
Prints JSON: the sorted list of all answers without repetitions. No answer is "curl: " and curl's exit code, which is 28
where nothing came in time and 7 where the connection was refused.
"""

import json
import subprocess
import sys

COMMAND = ["curl", "--silent", "--noproxy", "*", "--max-time", "4"]


def main(ports, addresses):
    places = [f"[{address}]" if ":" in address else address for address in addresses]
    fetching = [
        subprocess.Popen(COMMAND + [f"http://{place}:{port}/"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        for place in places
        for port in ports
    ]
    seen = set()
    for curl in fetching:
        page = curl.communicate()[0].decode()
        seen.add(f"curl: {curl.returncode}" if curl.returncode else page.strip())
    print(json.dumps(sorted(seen)))


if __name__ == "__main__":
    main(sys.argv[1].split(","), sys.argv[2:])
