"""Prompts of several lengths, so that some are padded."""

from __future__ import annotations

from posttrain.task import data_source


class Source(data_source.DataSource):
    """data-source-path: a group's question is asked one to three times."""

    def get_samples(self, num_samples):
        groups = super().get_samples(num_samples)
        for group in groups:
            for sample in group:
                sample.prompt = " ".join([sample.prompt] * (1 + sample.group_index % 3))
        return groups
