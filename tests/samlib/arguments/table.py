"""The arguments of every public name: a row a name, an entry an argument."""

from __future__ import annotations

from tests.samlib.arguments.figures import OF_FIGURES
from tests.samlib.arguments.flows import OF_FLOW
from tests.samlib.arguments.landscapes import OF_RULES_AND_LANDSCAPES
from tests.samlib.arguments.losses import OF_LOSSES
from tests.samlib.arguments.networks import OF_NETWORKS

TABLE = {**OF_LOSSES, **OF_FLOW, **OF_RULES_AND_LANDSCAPES, **OF_NETWORKS, **OF_FIGURES}
