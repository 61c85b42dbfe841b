"""Where gradient flow leads, and the limiting flows that SAM follows along Γ.

Φ(x), the limit of gradient flow from x, projects a neighbourhood of the minimizer manifold Γ
onto it (Lemma 3.2). On Γ, SAM drifts along a flow of its own, which lowers the top eigenvalue
(eq. 7), 1-SAM along the one that lowers the trace (Theorem 5.4). What full-batch SAM does beyond
its flow, at a finite learning rate and radius, is calculated here too.
"""

from samlib.flow.corrections import FlowCorrections, flow_corrections
from samlib.flow.drift import REGULARIZERS, Regularizer
from samlib.flow.integration import Tie
from samlib.flow.limiting import FlowPath, limiting_flow
from samlib.flow.projection import Projection, project_to_minimizers

__all__ = [
    "REGULARIZERS",
    "FlowCorrections",
    "FlowPath",
    "Projection",
    "Regularizer",
    "Tie",
    "flow_corrections",
    "limiting_flow",
    "project_to_minimizers",
]
