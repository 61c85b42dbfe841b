"""The curvature of a small GPT-2's language-model loss, as the libraries have it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, jvp
from torch.nn import functional as F  # noqa: N812
from transformers import GPT2Config, GPT2LMHeadModel

import samlib

SEQUENCES, TOKENS, VOCABULARY = 4, 128, 50_257

Product = Callable[[Tensor], Tensor]
"""v ↦ the product of a curvature matrix with v, flat, in the order of model.parameters()."""

Case = tuple[nn.Module, Tensor]


class Logits(nn.Module):
    """Token numbers [sequences, tokens] ↦ the logits of the next ones: [sequences, tokens, V]."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, tokens: Tensor) -> Tensor:
        """The logits."""
        logits: Tensor = self.model(tokens, use_cache=False).logits
        return logits


class FlatLogits(Logits):
    """The same, without those of the last token, as [predictions, V]."""

    def forward(self, tokens: Tensor) -> Tensor:
        """The logits."""
        return super().forward(tokens)[:, :-1].flatten(0, 1)


def gpt2() -> Case:
    """A GPT-2 of 6.85 million random weights (tied embeddings), and random tokens."""
    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=VOCABULARY,
        n_positions=TOKENS,
        n_embd=128,
        n_layer=2,
        n_head=4,
        attn_implementation="eager",  # fused attention has no second derivative
    )
    model = GPT2LMHeadModel(config).eval()
    return model, torch.randint(VOCABULARY, (SEQUENCES, TOKENS))


def causal_loss(logits: Tensor, tokens: Tensor) -> Tensor:
    """The mean cross-entropy of each token after the first, given those before it."""
    after = F.pad(tokens[:, 1:], (0, 1), value=-100)
    return F.cross_entropy(logits.flatten(0, 1), after.flatten())


def true_products(case: Case, v: Tensor) -> dict[str, Tensor]:
    """The products with v in float64, by the formulas' own derivatives."""
    model, tokens = case
    model.double()
    names, parameters = zip(*model.named_parameters(), strict=True)
    parts = v.double().split([p.numel() for p in parameters])
    tangents = tuple(part.view_as(p) for part, p in zip(parts, parameters, strict=True))

    def logits(*values: Tensor) -> Tensor:
        changed = dict(zip((f"model.{name}" for name in names), values, strict=True))
        result: Tensor = functional_call(Logits(model), changed, (tokens,))
        return result

    def flat(images: tuple[Tensor, ...]) -> Tensor:
        return torch.cat([image.detach().flatten() for image in images])

    slopes = torch.autograd.grad(
        causal_loss(logits(*parameters), tokens), parameters, create_graph=True
    )
    hessian = flat(torch.autograd.grad(slopes, parameters, tangents))
    outputs, pushed = jvp(logits, parameters, tangents)
    at = outputs.detach().requires_grad_()
    (slope,) = torch.autograd.grad(causal_loss(at, tokens), at, create_graph=True)
    (middle,) = torch.autograd.grad(slope, at, pushed.detach())
    gauss_newton = flat(torch.autograd.grad(outputs, parameters, middle))
    return {"Hessian": hessian, "Gauss-Newton": gauss_newton}


def objective(case: Case) -> samlib.ModuleObjective:
    model, tokens = case
    batch = {"input_ids": tokens, "labels": tokens}
    return samlib.Objective.from_loss(model, lambda model, batch: model(**batch).loss, batch)


def samlib_hessian(case: Case) -> Product:
    made = objective(case)
    return made.hessian_operator(made.flat_parameters())


def samlib_hessian_anew(case: Case) -> Product:
    made = objective(case)
    x = made.flat_parameters()
    return lambda v: made.hessian_vector_product(x, v)


def samlib_gauss_newton(case: Case) -> Product:
    made = objective(case)
    operator = samlib.gauss_newton(made, made.flat_parameters())
    return lambda v: operator @ v


def curvlinops_operator(kind: str) -> Callable[[Case], Product]:
    def make(case: Case) -> Product:
        import curvlinops

        model, tokens = case
        operator = getattr(curvlinops, f"{kind}LinearOperator")(
            FlatLogits(model),
            nn.CrossEntropyLoss(),
            list(model.parameters()),
            [(tokens, tokens[:, 1:].flatten())],
            check_deterministic=False,
        )
        return lambda v: operator @ v

    return make


def eigenthings_hessian(**options: Any) -> Callable[[Case], Product]:
    def make(case: Case) -> Product:
        from hessian_eigenthings.loss_fns import hf_lm_loss
        from hessian_eigenthings.operators import HessianOperator

        model, tokens = case
        data = [{"input_ids": tokens, "labels": tokens}]
        operator = HessianOperator(model, data, hf_lm_loss(), **options)
        return operator.matvec

    return make


def eigenthings_gauss_newton(case: Case) -> Product:
    from hessian_eigenthings.loss_fns import hf_lm_forward, hf_lm_loss_of_output
    from hessian_eigenthings.operators import GGNOperator

    model, tokens = case
    data = [{"input_ids": tokens, "labels": tokens}]
    return GGNOperator(model, data, hf_lm_forward(), hf_lm_loss_of_output()).matvec
