"""Where gradient flow leads, and the limiting flows that SAM follows along Γ.

Φ(x), the limit of gradient flow from x, projects a neighbourhood of the minimizer manifold Γ
onto it (Lemma 3.2). On Γ, SAM drifts along a flow of its own, which lowers the top eigenvalue
(eq. 7), 1-SAM along the one that lowers the trace (Theorem 5.4). At a finite learning rate, the
residuals next to Γ are a Markov chain, whose stationary moments make the drift.
"""

from samlib.flow.chain import ChainMoments, residual_chain, uncoupled_chain
from samlib.flow.chain_drift import ChainDrift, chain_drift
from samlib.flow.chain_flow import ChainFlow, chain_flow
from samlib.flow.limiting import REGULARIZERS, FlowPath, Regularizer, limiting_flow
from samlib.flow.projection import Projection, project_to_minimizers

__all__ = [
    "REGULARIZERS",
    "ChainDrift",
    "ChainFlow",
    "ChainMoments",
    "FlowPath",
    "Projection",
    "Regularizer",
    "chain_drift",
    "chain_flow",
    "limiting_flow",
    "project_to_minimizers",
    "residual_chain",
    "uncoupled_chain",
]
