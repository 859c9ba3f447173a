"""Train the small network in separate processes."""

import hashlib
import os
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

from small_task import SmallTask, small_network

from brainfit.training import loop
from brainfit.training.processes import joined
from brainfit.training.recipe import MINI

backward = loop.backward


def slowly(*arguments):
    time.sleep(0.02)
    return backward(*arguments)


def killable(folder):
    loop.backward = slowly
    network = small_network()
    recipe = replace(MINI, epochs=40, batch_size=16)
    loop.train(network, SmallTask(), recipe, folder, name="small", checkpoint_minutes=0)
    values = b"".join(p.detach().numpy().tobytes() for p in network.parameters())
    sys.stdout.write(hashlib.sha256(values).hexdigest())


def together(folder):
    with joined("cpu") as processes:
        recipe = replace(MINI, epochs=12.5, batch_size=16)
        network = small_network(dropout=0.0)
        loop.train(
            network, SmallTask(), recipe, folder, name="small", processes=processes, checkpoint_minutes=0
        )


def dying(folder):
    """Train like `together`, but process 1 kills itself once, in the middle."""
    died, halfway = folder / "died", folder / "checkpoints" / "step-00000025.pt"

    def mortal(*arguments):
        loss = backward(*arguments)
        if os.environ["RANK"] == "1" and not died.exists() and halfway.exists():
            died.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return loss

    loop.backward = mortal
    together(folder)


if __name__ == "__main__":
    {"killable": killable, "together": together, "dying": dying}[sys.argv[1]](Path(sys.argv[2]))
