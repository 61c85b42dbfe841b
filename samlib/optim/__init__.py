"""Sharpness-aware optimizers around any torch optimizer.

===================== ========================================= ================================
optimizer             perturbation of the weights w             the base optimizer steps with
===================== ========================================= ================================
SAM                   ρ g/‖g‖                                   the gradient there, g_p
UnnormalizedSAM       ρ g                                       g_p
ASAM                  ρ T²g/‖Tg‖, T = |w| + η                   g_p
GSAM                  SAM's                                     g_p − α (g orthogonal to g_p)
LookSAM               SAM's, every k-th step                    g_p, or g + its old direction
MSAM                  SAM's, for every m rows                   the mean of their g_p
EigenSAM              SAM's, turned to the top eigenvector      g_p
AWP                   γ ‖w_l‖ g_l/‖g_l‖, weight by weight       g_p
AMP                   K steps of ascent in the ball             g_p
DiametricalRisk       the worst of n directions                 g_p
===================== ========================================= ================================

All are used alike, ``optimizer.step(closure)``, or in two steps around your own loop:

>>> import torch, samlib
>>> from torch import nn
>>> model = nn.Sequential(nn.Linear(2, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))
>>> inputs, targets = torch.randn(8, 2), torch.randn(8, 1)
>>> loss_fn = lambda: nn.functional.mse_loss(model(inputs), targets)
>>> base = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
>>> optimizer = samlib.optim.SAM(model.parameters(), base, rho=0.05)
>>> loss_fn().backward()
>>> for _ in range(optimizer.ascents):  # 1, for most
...     optimizer.first_step()  # perturbs, and clears the gradients
...     loss_fn().backward()
>>> optimizer.second_step()  # returns, and steps
>>> optimizer.zero_grad()

**Gradient accumulation**: call ``backward`` for every micro-batch in each of the two passes: in the
closure, or before each of the two steps. Gradients of earlier backward passes would enter the first
pass only, and a step with a closure that does not clear them refuses. For Lightning, Accelerate and
Hugging Face's Trainer, which leave such, ``samlib.integrations`` runs each pass over all of them.

**Several base optimizers**: a list of them, each with parameters of its own, shares one ball.

**Dropout**: with ``same_masks=True`` all passes of a step draw the same random numbers.

**BatchNorm**: running statistics follow the first pass only, once a step. The modules that run are
watched to this end. Give a compiled model as ``model=``: one compiled inside a function is not
seen to run, and torch warns of watching the others.

**Gradients**: ``first_step`` clears them, and a step with a closure drops those of the step before.
Afterwards ``.grad`` holds what the base optimizer stepped with. Sparse gradients reach it sparse,
except from GSAM and LookSAM, whose update is made of both gradients.

**Low precision**: weights kept in bfloat16 or float16 do not hold a small perturbation, nor do huge
weights in any dtype: w + ε rounds back to w. A first step that loses more than nine tenths of ε
refuses; a loss above one tenth, looked for at every hundredth perturbation, is warned of.

**Mixed precision**: with weights in float32, bfloat16 needs nothing. With a
:class:`torch.amp.GradScaler`, each pass is unscaled by itself; a step with an infinity in either
leaves the weights as they were:

>>> scaler = torch.amp.GradScaler("cpu")
>>> def closure():
...     with torch.autocast("cpu", torch.bfloat16):
...         loss = loss_fn()
...     scaler.scale(loss).backward()
...     return loss
>>> loss = optimizer.step(closure, scaler=scaler)
>>> scaler.update()

and in two steps, where ``scaler.unscale_(optimizer)`` and clipping may come before the last line:

>>> optimizer.zero_grad()
>>> scaler.scale(loss_fn()).backward()
>>> optimizer.first_step(scaler)
>>> scaler.scale(loss_fn()).backward()
>>> scaler.step(optimizer)
>>> scaler.update()

**DistributedDataParallel**: ``perturb_with="averaged"`` perturbs all replicas alike;
``perturb_with="local", model=ddp_model`` each with the gradient of its own rows (m-sharpness). The
update is averaged in either case, and the replicas stay equal to the bit.

**ZeRO**: a ``ZeroRedundancyOptimizer`` may be the base optimizer; call its
``consolidate_state_dict()`` before ``state_dict()``. ``overlap_with_ddp=True`` is refused.

**FSDP**: on weights that ``torch.distributed.fsdp.fully_shard`` shards, each process holds its part
of every vector, and lengths and products are summed over the processes: the result is that of one
process, with random directions the same for any number of them. What several processes hold copies
of (HSDP, or plain parameters, whose gradients you average) counts once; tensor parallelism works
alike. Weights that stay gathered after a pass are gathered anew where they moved; give a compiled
model as ``model=`` for that. All optimizers but EigenSAM take such weights; ``"local"``
perturbations are refused, for there is one copy of a weight to perturb, and so is the older
``FullyShardedDataParallel``, whose pieces do not tell where the others are. All processes must run
the same passes.

**Memory**: beyond its base optimizer, SAM takes that of one copy of the weights with a gradient,
in float32 at least, and so do UnnormalizedSAM, ASAM and AWP; the others take more.

**Watching**: ``register_gradient_hook`` shows g, the perturbation and g_p of each step; see
:class:`samlib.training.SAMEffect` for what they say about it.

**Checkpoints**: ``state_dict`` holds the base optimizer's state and the optimizer's own.
``get_state_dict(model, optimizer)`` and ``set_state_dict`` of torch.distributed.checkpoint take
both, also to go on with another number of processes; with ``flatten_optimizer_state_dict=True``
they drop what is the optimizer's own, which then starts anew.
"""

from samlib.optim.adversarial import AMP, AWP
from samlib.optim.base import SharpnessAware
from samlib.optim.diametrical_risk import DiametricalRisk
from samlib.optim.eigensam import EigenSAM
from samlib.optim.msam import MSAM
from samlib.optim.sam import ASAM, SAM, UnnormalizedSAM
from samlib.optim.two_gradients import GSAM, LookSAM

__all__ = [
    "AMP",
    "ASAM",
    "AWP",
    "GSAM",
    "MSAM",
    "SAM",
    "DiametricalRisk",
    "EigenSAM",
    "LookSAM",
    "SharpnessAware",
    "UnnormalizedSAM",
]

for _name in __all__:  # what is public is at home here, for help(), pickle and doctest
    globals()[_name].__module__ = __name__
