"""Where gradient flow leads, and the flows that SAM follows along Γ.

Φ(x), the limit of gradient flow from x, projects a neighbourhood of the minimizer manifold Γ
onto it (Lemma 3.2). On Γ, SAM drifts along a flow of its own, which lowers the top eigenvalue
(eq. 7), 1-SAM along the one that lowers the trace (Theorem 5.4). Beyond the theorems: through
ties, at a finite learning rate and radius, and on mini-batches, where the residuals next to Γ are
a Markov chain whose stationary moments make the drift; and beside Γ, or without a Γ.
"""

from samlib.flow.central import CentralPath, central_flow
from samlib.flow.chain import ChainMoments, residual_chain, uncoupled_chain
from samlib.flow.chain_drift import ChainDrift, chain_drift
from samlib.flow.chain_flow import ChainFlow, chain_flow
from samlib.flow.chain_spread import ChainSpread, chain_spread
from samlib.flow.corrections import FlowCorrections, flow_corrections
from samlib.flow.drift import REGULARIZERS, Regularizer
from samlib.flow.integration import Tie
from samlib.flow.limiting import FlowPath, limiting_flow
from samlib.flow.projection import Projection, project_to_minimizers

__all__ = [
    "REGULARIZERS",
    "CentralPath",
    "ChainDrift",
    "ChainFlow",
    "ChainMoments",
    "ChainSpread",
    "FlowCorrections",
    "FlowPath",
    "Projection",
    "Regularizer",
    "Tie",
    "central_flow",
    "chain_drift",
    "chain_flow",
    "chain_spread",
    "flow_corrections",
    "limiting_flow",
    "project_to_minimizers",
    "residual_chain",
    "uncoupled_chain",
]
