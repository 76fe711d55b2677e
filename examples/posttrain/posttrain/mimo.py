"""MiMo in transformers' words: Qwen2 with layers that predict the token after the next one (MTP).

transformers has no such model. The names of the weights are those of the published checkpoint, XiaomiMiMo/MiMo-7B.
Importing this module registers it with transformers' Auto classes.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM, Qwen2Config, Qwen2ForCausalLM, Qwen2Model
from transformers.models.qwen2.modeling_qwen2 import Qwen2DecoderLayer, Qwen2RMSNorm


class MiMoConfig(Qwen2Config):
    model_type = "mimo"
    num_nextn_predict_layers: int = 1


class MiMoMtpLayer(Qwen2DecoderLayer):
    """A layer of Qwen2 on the projection of a hidden state and of the next token's embedding, each normalised."""

    def __init__(self, config: MiMoConfig):
        super().__init__(config, layer_idx=0)
        self.token_layernorm = Qwen2RMSNorm(config.hidden_size, eps=config.rms_norm_eps)
        self.hidden_layernorm = Qwen2RMSNorm(config.hidden_size, eps=config.rms_norm_eps)
        self.input_proj = torch.nn.Linear(2 * config.hidden_size, config.hidden_size, bias=False)
        self.final_layernorm = Qwen2RMSNorm(config.hidden_size, eps=config.rms_norm_eps)

    def forward(self, embeddings: Tensor, hidden: Tensor, **kwargs: Any) -> Tensor:
        """Embeddings of the tokens one place ahead, and the model's last hidden states, both [B, s, hidden]."""
        hidden = torch.cat([self.hidden_layernorm(hidden), self.token_layernorm(embeddings)], dim=-1)
        return self.final_layernorm(super().forward(self.input_proj(hidden), **kwargs))


class MiMoModel(Qwen2Model):
    config_class = MiMoConfig

    def __init__(self, config: MiMoConfig):
        super().__init__(config)
        self.mtp_layers = torch.nn.ModuleList(MiMoMtpLayer(config) for _ in range(config.num_nextn_predict_layers))
        self.post_init()


class MiMoForCausalLM(Qwen2ForCausalLM):
    """Answers as Qwen2 does; the MTP layers wait beside it for whoever wants to guess further ahead."""

    config_class = MiMoConfig

    def __init__(self, config: MiMoConfig):
        super().__init__(config)
        self.model = MiMoModel(config)
        self.post_init()


AutoConfig.register("mimo", MiMoConfig)
AutoModelForCausalLM.register(MiMoConfig, MiMoForCausalLM)
