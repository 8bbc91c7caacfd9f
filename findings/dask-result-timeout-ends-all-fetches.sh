#!/usr/bin/env bash
# A timeout of Dask's `Future.result` can leave its client unable to fetch any answer, if it passes while one is on its way.
#
# One would ask `result(timeout=0.5)` again and again to look after other things in between, as with a future of
# concurrent.futures. But Dask's timeout cancels the fetch, and, at some moments, what this client's fetches share. From then on not a
# TimeoutError but UnboundLocalError is raised for this answer, without a limit as well, and for all others, small ones of
# other futures among them, though worker and scheduler are well. Only a new client helps. A result that is slow to be
# *computed* may be waited for in this way; one that is slow to *travel* (large, or over a slow network) may not. Put
# `client.gather(future, asynchronous=True)` on the client's event loop, and wait for that.
#
# Seen with distributed 2026.8.0, Python 3.11, an answer of 200 MB, on one computer:
#   less than it takes, for the large answer: TimeoutError, UnboundLocalError
#   60 s for it, seconds later: UnboundLocalError
#   no limit, another future's answer of ten bytes: UnboundLocalError
#   no limit, the same answer by another client: 10 bytes
#
# Ends with 0 while this is so, with 1 when it changes.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install --quiet --disable-pip-version-check distributed==2026.8.0 dask==2026.8.0
cat > "$place/fetch.py" <<'PY'
import time

from distributed import Client, LocalCluster


def told(fetch):
    try:
        return f"{len(fetch())} bytes"
    except Exception as error:
        return type(error).__name__


if __name__ == "__main__":
    with LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=":0", silence_logs="CRITICAL") as cluster:
        client = Client(cluster)
        large, small = client.submit(bytes, 200_000_000), client.submit(bytes, 10)
        while not (large.done() and small.done()):
            time.sleep(0.1)
        waits = (0.001 * number for number in range(1, 400))  # some of them end at the wrong moment
        early = {told(lambda wait=wait: large.result(timeout=wait)) for wait in waits}
        print("less than it takes, for the large answer:", ", ".join(sorted(early - {"200000000 bytes"})))
        time.sleep(2)
        print("60 s for it, seconds later:", told(lambda: large.result(timeout=60)))
        print("no limit, another future's answer of ten bytes:", told(small.result))
        with Client(cluster, set_as_default=False) as other:
            print("no limit, the same answer by another client:", told(other.submit(bytes, 10, key=small.key).result))
PY
found=$("$place/venv/bin/python" "$place/fetch.py" 2>"$place/said") || { cat "$place/said" >&2; exit 1; }
echo "$found"
[ "$found" = "less than it takes, for the large answer: TimeoutError, UnboundLocalError
60 s for it, seconds later: UnboundLocalError
no limit, another future's answer of ten bytes: UnboundLocalError
no limit, the same answer by another client: 10 bytes" ]
