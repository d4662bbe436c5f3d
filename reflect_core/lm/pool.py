"""Loading models, and giving each player its own weights on a shared or copied base."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from peft.utils import get_peft_model_state_dict, set_peft_model_state_dict
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from reflect_core.errors import CheckpointError, ConfigError, ModelError
from reflect_core.lm.encode import Encoder
from reflect_core.lm.generate import generate
from reflect_core.lm.logits import logit_map
from reflect_core.lm.meter import Meter
from reflect_core.lm.quiet import quiet
from reflect_core.lm.shipped import TINY
from reflect_core.settings import ModelSettings
from reflect_core.streams import stream_seed

FULL_TUNING_BELOW = 50_000_000
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
ADAPTER_WEIGHTS = "adapter_model.safetensors"


def load_model(
    settings: ModelSettings, device: torch.device
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """A causal LM and its tokenizer, by hub name or folder; ``tiny`` ships with the package.

    Only safetensors are read and no code from the hub is run.

    Raises:
        ModelError: It cannot be found, read or quantised.
        ConfigError: The precision is unknown.
    """
    if settings.dtype not in DTYPES:
        raise ConfigError(
            f"model.dtype = {settings.dtype!r} is not a precision",
            why=f"known: {', '.join(DTYPES)}",
        )
    quiet()
    if _names_a_folder(settings.name) and not Path(settings.name).is_dir():
        raise ModelError(
            f"the model {settings.name!r} could not be loaded",
            why="there is no such folder",
            then="give a folder with a causal LM in safetensors, or a hub name",
        )
    source = str(TINY) if settings.name == "tiny" else settings.name
    options: dict[str, Any] = {"revision": settings.revision} if settings.revision else {}
    try:
        tokenizer = AutoTokenizer.from_pretrained(source, **options)
        if settings.quantize != "none":
            options["quantization_config"] = _quantization(settings)
            options["device_map"] = {"": device}
        model = AutoModelForCausalLM.from_pretrained(
            source, dtype=DTYPES[settings.dtype], use_safetensors=True, **options
        )
    except Exception as error:  # each file of a model can be damaged in ways of its own
        if isinstance(error, torch.OutOfMemoryError | MemoryError):
            raise
        reason = str(error).strip().splitlines()
        raise ModelError(
            f"the model {settings.name!r} could not be loaded",
            why=reason[0] if reason else type(error).__name__,
            then="give a folder with a causal LM in safetensors, or a hub name that is "
            "downloaded already or can be reached; --model tiny needs neither",
        ) from error
    if settings.quantize == "none":
        model.to(device=device)  # type: ignore[call-arg]
    return model.eval(), tokenizer


def _names_a_folder(name: str) -> bool:
    """Whether a model's name can only be a path: hub names have at most one slash."""
    return name.startswith((".", "/", "~")) or name.count("/") > 1 or "\\" in name


def _quantization(settings: ModelSettings) -> Any:
    from transformers import BitsAndBytesConfig

    if settings.quantize == "4bit":
        return BitsAndBytesConfig(
            load_in_4bit=True, bnb_4bit_compute_dtype=torch.bfloat16, bnb_4bit_quant_type="nf4"
        )
    if settings.quantize == "8bit":
        return BitsAndBytesConfig(load_in_8bit=True)
    raise ConfigError(
        f"model.quantize = {settings.quantize!r} is unknown", why="known: none, 8bit, 4bit"
    )


def _check_whole(settings: ModelSettings) -> None:
    """Refuse to tune the whole of a model whose weights are too coarse for it."""
    if settings.quantize != "none":
        raise ConfigError(
            f"model.tuning=full does not go with model.quantize={settings.quantize}",
            why="quantised weights cannot be learnt",
            then="model.tuning=lora, or model.quantize=none",
        )
    if settings.dtype != "float32":
        raise ConfigError(
            f"a model that is tuned whole cannot be in {settings.dtype}",
            why="most steps of its weights would be less than half of their last digit, and be "
            "rounded away",
            then="model.tuning=lora, whose adapters are in float32, or model.dtype=float32",
        )


class ModelPool:
    """The run's model, in memory once; players are made from it.

    Args:
        settings: Which model, and how players are tuned.
        device: Where it lives.
        seed: Decides the first weights of adapters.
        processes: How many have it and learn together.

    Raises:
        ModelError: The model cannot be loaded, or how it makes its logits is not known.
        ConfigError: It would be tuned whole, in a precision in which that cannot be learnt.
    """

    def __init__(
        self, settings: ModelSettings, device: torch.device, *, seed: int = 0, processes: int = 1
    ) -> None:
        self.settings = settings
        self.device = device
        self.seed = seed
        self.processes = processes
        self._base, self.tokenizer = load_model(settings, device)
        if self.tuning == "full":
            _check_whole(settings)
        self.logit_map = logit_map(self._base)
        self._peft: PeftModel | None = None
        self.meter = Meter()
        limit = getattr(self._base.config, "max_position_embeddings", None) or settings.context
        self.encoder = Encoder(self.tokenizer, min(settings.context, int(limit)))

    @property
    def tuning(self) -> str:
        """``full`` or ``lora``, with ``auto`` resolved by the number of parameters."""
        if self.settings.tuning in ("full", "lora"):
            return self.settings.tuning
        if self.settings.tuning != "auto":
            raise ConfigError(
                f"model.tuning = {self.settings.tuning!r} is unknown",
                why="known: auto, full, lora",
            )
        small = self._base.num_parameters() < FULL_TUNING_BELOW
        return "full" if small and self.settings.quantize == "none" else "lora"

    @property
    def parameters(self) -> int:
        """Number of parameters of the base."""
        return int(self._base.num_parameters())

    def check_writes(self) -> None:
        """See that the model can write, before anything is taught.

        Raises:
            ModelError: It cannot.
        """
        prompt = np.array([self.encoder.end_id] * 2, np.int32)
        generate(
            self._base, [prompt], None,
            max_new_tokens=2, end_id=-1, pad_id=self.encoder.pad_id,
        )  # fmt: skip

    def player(self, role: str) -> Player:
        """Weights of one player: an adapter on the shared base, or a copy of a small base.

        Raises:
            ModelError: The model cannot have adapters.
        """
        if self.tuning == "full":
            return self._metered(Player(role, copy.deepcopy(self._base), None))
        config = LoraConfig(
            r=self.settings.lora_r,
            lora_alpha=self.settings.lora_alpha,
            target_modules="all-linear",
            task_type="CAUSAL_LM",
            # PEFT notes these for the first adapter only, and readers of a folder need both
            base_model_name_or_path=self._base.name_or_path or None,
            revision=self.settings.revision,
        )
        with torch.random.fork_rng():
            torch.manual_seed(stream_seed(self.seed, "adapter", role))
            try:
                if self._peft is None:
                    self._peft = get_peft_model(self._base, config, adapter_name=role)
                elif role not in self._peft.peft_config:
                    self._peft.add_adapter(role, config)
            except ValueError as error:  # some architectures have layers that take none
                raise ModelError(
                    f"the model {self.settings.name!r} takes no LoRA adapters",
                    why=str(error).splitlines()[0],
                    then="model.tuning=full, or a model of another architecture",
                ) from error
        # the base's own modules now hold the adapters; both players see the same object
        return self._metered(Player(role, self._base, self._peft))

    def _metered(self, player: Player) -> Player:
        self.meter.watch(getattr(player.model, player.model.base_model_prefix))
        return player


class Player:
    """One player's weights: a whole small model, or an adapter on the shared base.

    Args:
        role: ``policy`` or ``reflector``; the adapter's name.
        model: The causal LM to run.
        peft: Its adapters; None when the whole model is tuned.
    """

    def __init__(self, role: str, model: PreTrainedModel, peft: PeftModel | None) -> None:
        self.role = role
        self.model = model
        self.peft = peft
        with self.active(training=True):
            # what is switched on for training is, by definition, this player's weights
            self._trainable = dict(self._own())

    def _own(self) -> Iterator[tuple[str, torch.nn.Parameter]]:
        for name, parameter in self.model.named_parameters():
            if parameter.requires_grad:
                yield name, parameter

    @contextmanager
    def active(self, *, training: bool = False) -> Iterator[PreTrainedModel]:
        """The model with this player's weights switched on; the only place that switches.

        Adapter, ``requires_grad`` and train/eval mode are as before afterwards, also when an
        exception leaves the block. The mode is evaluation, so that dropout is off: RL's old and
        new probabilities must differ by the weights alone.
        """
        before = {name: p.requires_grad for name, p in self.model.named_parameters()}
        mode = self.model.training
        adapter = self.peft.active_adapter if self.peft is not None else None
        try:
            if self.peft is not None:
                self.peft.set_adapter(self.role)
            if not training:
                self.model.requires_grad_(False)
            elif self.peft is None:
                self.model.requires_grad_(True)
            self.model.eval()
            yield self.model
        finally:
            if self.peft is not None and adapter is not None:
                self.peft.set_adapter(adapter)
            for name, parameter in self.model.named_parameters():
                parameter.requires_grad_(before[name])
            self.model.train(mode)

    def trainable(self) -> list[torch.nn.Parameter]:
        """This player's own parameters."""
        return list(self._trainable.values())

    def state_dict(self) -> dict[str, torch.Tensor]:
        """Copies of this player's own parameters, by name."""
        return {name: p.detach().clone() for name, p in self._trainable.items()}

    def load_state_dict(self, state: dict[str, torch.Tensor]) -> None:
        """Overwrite this player's own parameters.

        Raises:
            CheckpointError: Names or shapes are not this player's.
        """
        mine = {name: tuple(p.shape) for name, p in self._trainable.items()}
        theirs = {name: tuple(t.shape) for name, t in state.items()}
        if mine != theirs:
            differ = sorted(set(mine.items()) ^ set(theirs.items()))
            raise CheckpointError(
                f"saved weights do not fit the {self.role}",
                why=f"{len(differ)} tensors differ, first {differ[0][0]}",
                then="resume with the model and tuning that the run began with",
            )
        with torch.no_grad():
            for name, parameter in self._trainable.items():
                parameter.copy_(state[name])

    def save(self, folder: Path, tokenizer: PreTrainedTokenizerBase) -> None:
        """Write what the ecosystem reads: a model folder, or a PEFT adapter folder."""
        folder.mkdir(parents=True, exist_ok=True)
        if self.peft is None:
            # under the names that the weights have here, which some architectures' hubs change
            self.model.save_pretrained(folder, save_original_format=False)
        else:
            weights = get_peft_model_state_dict(self.peft, adapter_name=self.role)
            save_file(
                {k: v.contiguous().cpu() for k, v in weights.items()},
                str(folder / ADAPTER_WEIGHTS),
                metadata={"format": "pt"},
            )
            self.peft.peft_config[self.role].save_pretrained(str(folder))
        tokenizer.save_pretrained(folder)

    def load(self, folder: Path) -> None:
        """Read what :meth:`save` wrote.

        Raises:
            CheckpointError: The folder is missing, corrupt, or another kind of model's.
        """
        try:
            if self.peft is None:
                weights = load_file(str(folder / "model.safetensors"))
                missing, unexpected = self.model.load_state_dict(weights, strict=False)
                tied = set(self.model.state_dict()) - set(self._trainable)
                foreign = [*unexpected, *(name for name in missing if name not in tied)]
            else:
                weights = load_file(str(folder / ADAPTER_WEIGHTS))
                own = get_peft_model_state_dict(self.peft, adapter_name=self.role)
                foreign = sorted(set(own) ^ set(weights))
                if not foreign:
                    set_peft_model_state_dict(self.peft, weights, adapter_name=self.role)
        except Exception as error:  # safetensors and torch raise many kinds for a bad file
            raise CheckpointError(
                f"the {self.role} in {folder} could not be read",
                why=str(error).splitlines()[0],
                then="point to a folder that a run wrote, or make the run anew",
            ) from error
        if foreign:
            raise CheckpointError(
                f"the {self.role} in {folder} belongs to another model",
                why=f"its weights do not match, first {foreign[0]}",
                then="use the model and tuning that wrote it",
            )
