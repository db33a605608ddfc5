"""A process that measures a memory until it is killed; run by the tests of the meter.

``python child_meter.py PATH`` prints a line once some of what it found is stored.
"""

import sys
import time
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))

from holdfast import Memory
from holdfast.fidelity import watch as module

from worlds import ticking


def main(path: str) -> None:
    module._SAVE_EVERY_S = 0.01
    module._SLICE_S = 0.01
    with Memory.open(path, extractor=None, clock=ticking()) as memory:
        memory.meter(0.2)
        while not memory._mirror.probes.notes:
            time.sleep(0.001)
        print("saved", flush=True)
        time.sleep(60)


if __name__ == "__main__":
    main(sys.argv[1])
