"""Whether each process gives rows of its own, so that all of them together give each row once."""

from __future__ import annotations

from typing import Any

import torch.distributed as dist
from torch.utils.data import DataLoader, DistributedSampler


def require_own_rows(data: Any, group: dist.ProcessGroup | None) -> None:
    """Refuse a DataLoader that is known to repeat rows, to give each process equally many.

    Those would count twice.

    Raises
    ------
    ValueError
        If it does, or has the share of another process.
    """
    if group is None or not isinstance(data, DataLoader):
        return
    if type(data).__name__ == "DataLoaderDispatcher":  # of Accelerate
        raise ValueError(
            "data sends rows from one process to the others and repeats some at the end, which "
            "count twice then; prepare it with dispatch_batches=False and even_batches=False"
        )
    if type(data.batch_sampler).__name__ == "BatchSamplerShard":  # of Accelerate
        _require_uneven(data.batch_sampler)
    sampler = getattr(data.batch_sampler, "sampler", data.sampler)
    if isinstance(sampler, DistributedSampler):
        _require_share(sampler, group)


def _require_share(sampler: Any, group: dist.ProcessGroup) -> None:
    share = f"process {sampler.rank} of {sampler.num_replicas}"
    this = f"process {dist.get_rank(group)} of {dist.get_world_size(group)}"
    if share != this:
        raise ValueError(
            f"data has a DistributedSampler with the share of {share}, and this is {this} of "
            "process_group"
        )
    rows = len(sampler.dataset)
    repeated = len(sampler) * sampler.num_replicas - rows
    if repeated > 0:
        raise ValueError(
            f"data has a DistributedSampler that repeats {repeated} of {rows} rows, to give each "
            "process equally many, and they would count twice; give each process its own rows "
            "without it: torch.utils.data.Subset(dataset, range(rank, len(dataset), processes))"
        )


def _require_uneven(sampler: Any) -> None:
    batches = sampler.batch_sampler
    if not sampler.even_batches or sampler.drop_last or batches.batch_size is None:
        return
    rows, at_once = len(batches.sampler), batches.batch_size
    at_once *= 1 if sampler.split_batches else sampler.num_processes
    if rows % at_once:
        raise ValueError(
            "data was prepared by Accelerate with even_batches=True, which repeats some of "
            f"{rows} rows to give each process equally many, and they would count twice; make it "
            "with DataLoaderConfiguration(even_batches=False)"
        )
