"""What scatters SAM's runs: how the chain of residuals varies, and how it answers to another K.

The speeds S = M E(w a aᵀ) K⁻¹ of :mod:`samlib.flow.chain` are a mean. Over n steps it varies: the
sum of M w a aᵀ K⁻¹ has a covariance nΛ + O(1). Where a run has been pushed aside, K is another, and
so is S(K). Λ and dS/dK are all that :func:`samlib.flow.chain_spread` takes from the chain.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from samlib.flow.chain import averages
from samlib.flow.chain_walk import Sampling, Walk, blocks, decay_rate, stationary_walk, steepest

# Errors are taken from so many groups of chains.
GROUPS = 8

# Chains side by side where Λ is estimated, and where S is for many K at once.
_NOISE_CHAINS, _RESPONSE_CHAINS = 512, 64

# In a batch of steps, the slowest mode decays so many times by 1/e, in at most so many steps.
_DECAYS, _LONGEST_BATCH = 4, 25_000

# By how much K is changed, relatively, at most.
_CHANGE = 0.1


def speed_noise(gram: Tensor, how: Sampling) -> Tensor:
    """Λ, the long-run covariance of M w a aᵀ K⁻¹ in a step, [groups, M, M, M, M].

    From sums B_i over batches of steps that follow one another: Cov(B_i) lacks of nΛ what B_i
    shares with its two neighbours, so that Cov(B_i, B_{i−1} + B_i + B_{i+1}) lacks only what is
    older than a batch. The greater part is what the counts of the draws alone make, and is known
    exactly. At least two batches are taken, even if those are more than so many samples.
    """
    walk = stationary_walk(gram, _NOISE_CHAINS, how)
    steps = min(_LONGEST_BATCH, math.ceil(_DECAYS / decay_rate(gram, how)))
    count = max(2, math.ceil(how.samples / (_NOISE_CHAINS * steps)))
    found = [_in_a_batch(walk, steps, gram) for _ in range(count)]
    sums, excess = (torch.stack(each) for each in zip(*found, strict=True))
    means = sums.mean(dim=(0, 1)) / steps
    counted = excess.unsqueeze(-1) * means
    noise = _long_run(sums - steps * means) - _long_run(counted - counted.mean(dim=(0, 1)))
    examples = len(gram)
    # Var M w_k is (M − 1)/m, and M w_k and M w_j have the covariance −1/m.
    draws = 0 if how.batch_size is None else 1 / how.batch_size
    covariance = draws * (examples * torch.eye(examples).to(gram) - 1)
    exact = torch.einsum("kl,ki,lj->kilj", covariance, means, means)
    return noise.reshape(GROUPS, *4 * (examples,)) / steps + exact


def _in_a_batch(walk: Walk, steps: int, gram: Tensor) -> tuple[Tensor, Tensor]:
    """Sums over so many steps: of M w a aᵀ K⁻¹, [chains, M, M], and of M w − 1, [chains, M]."""
    parts = [walk.add_up(block) for block in blocks(steps)]
    pulls, drawn = (torch.stack([part[i] for part in parts]).sum(dim=0) for i in (1, -1))
    transposed: Tensor = torch.linalg.solve(gram, pulls.mT)
    return transposed.mT, drawn - steps


def _long_run(sums: Tensor) -> Tensor:
    """Cov(B_i, B_{i−1} + B_i + B_{i+1}) of centred [batches, chains, M, M], [groups, M², M²]."""
    flat = sums.reshape(len(sums), GROUPS, -1, sums.shape[-1] ** 2)
    own = torch.einsum("bgci,bgcj->gij", flat, flat) / (flat.shape[0] * flat.shape[2])
    next_one = torch.einsum("bgci,bgcj->gij", flat[:-1], flat[1:])
    next_one = next_one / ((flat.shape[0] - 1) * flat.shape[2])
    total: Tensor = own + next_one + next_one.mT
    return total


def speed_response(gram: Tensor, how: Sampling) -> Tensor:
    """dS/dE for K = C(I + E)Cᵀ, C the Cholesky factor, [groups, M, M, M, M].

    S moves by Σ_ab D[..., a, b] E_ab for a symmetric E; D is zero for a > b, where E_ab says
    nothing new. Differences between K on either side, that see the same draws.
    """
    examples = len(gram)
    factor = torch.linalg.cholesky(gram)
    # Less where ηh comes close to two, and S goes to infinity.
    change = _CHANGE * min(1.0, (2 / (how.lr * float(steepest(gram, how))) - 1) / 2)
    rows, columns = torch.triu_indices(examples, examples)
    units = gram.new_zeros(len(rows), examples, examples)
    units[torch.arange(len(rows)), rows, columns] = 1
    units[torch.arange(len(rows)), columns, rows] = 1
    one = torch.eye(examples).to(gram)
    grams = factor @ (one + change * torch.stack([units, -units])) @ factor.T
    walk = stationary_walk(grams, _RESPONSE_CHAINS, how)
    found = averages(walk, math.ceil(how.samples / _RESPONSE_CHAINS))
    speeds = found.speeds(grams.unsqueeze(-3))  # [2, pairs, chains, M, M]
    slopes = (speeds[0] - speeds[1]) / (2 * change)
    means = slopes.reshape(len(rows), GROUPS, -1, examples, examples).mean(dim=2)
    response = gram.new_zeros(GROUPS, *4 * (examples,))
    response[..., rows, columns] = means.permute(1, 2, 3, 0)
    return response
