"""A process that writes acknowledged events until it is done or killed; run by the crash tests.

``python child.py PATH BUDGET FIRST COUNT [SIZE]`` prints one line for each event that `observe`
returned from.
"""

import sys

from holdfast.memory import Memory

from lab import bulky, event, open_memory


def main(path: str, budget: str, first: str, count: str, shape: str = "varied") -> None:
    make = bulky if shape == "bulky" else event
    memory: Memory = open_memory(path, budget=int(budget))  # type: ignore[arg-type]
    for i in range(int(first), int(first) + int(count)):
        receipt = memory.observe(make(i))
        print(receipt.seq, i, flush=True)
    memory.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
