"""What purser-bench prints of many calls, for floors and peers that are timed in Python."""

import time
from collections.abc import Callable


def summary(seconds: list[float]) -> dict:
    """Count, and percentiles in microseconds."""
    ordered = sorted(seconds)

    def at(share: float) -> float:
        return ordered[int((len(ordered) - 1) * share)] * 1e6

    return {"count": len(ordered), "p50": at(0.5), "p95": at(0.95), "p99": at(0.99), "max": at(1)}


def timed(count: int, body: Callable[[int], object]) -> dict:
    seconds = []
    for number in range(count):
        start = time.perf_counter()
        body(number)
        seconds.append(time.perf_counter() - start)
    return summary(seconds)
