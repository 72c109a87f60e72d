"""The suites' part for PyTorch: what `suites.framework.Framework` asks, on one device.

Imported inside a worker only. Written for any device torch knows; it has been run on a CPU alone.
"""

import random
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from suites.framework import PLAINLY, Batch, Execution, Loss, Model, Trainer
from suites.on_torch_losses import loss_of
from suites.on_torch_training import TorchTrainer

Shape = Sequence[int]

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float64": torch.float64}

# Keras's default. torch's own is 1e-8; both frameworks use one, so that the same training is compared.
ADAM_EPSILON = 1e-7


_FUSED = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
_FUSED_BACKWARD = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward


def _forward_products(query: Shape, key: Shape, value: Shape, *_: object, **__: object) -> int:
    """Operations of Q K^T and of the weights times V, from the shapes `[batch, heads, time, width]`."""
    batch, heads, time, width = query
    return 2 * batch * heads * time * key[2] * (width + value[3])


def _backward_products(_: Shape, query: Shape, key: Shape, value: Shape, *__: object, **___: object) -> int:
    """Those of the four products that the gradients take where the weights are kept."""
    return 2 * _forward_products(query, key, value)


FUSED_ON_CPU = {_FUSED: _forward_products, _FUSED_BACKWARD: _backward_products}


class Torch:
    """PyTorch on `device` (``"cpu"``, ``"cuda"``, ``"cuda:1"``) with `threads` threads within an operation.

    Raises:
        ValueError: for a device that torch does not have here, or fewer than one thread.
    """

    name = "torch"

    def __init__(self, *, device: str, threads: int) -> None:
        if threads < 1:
            raise ValueError(f"torch needs at least 1 thread, got {threads}")
        self.device = _device(device)
        torch.set_num_threads(threads)
        self.tool = f"torch {torch.__version__}"

    def seed(self, seed: int) -> None:
        """Fix Python's, NumPy's and torch's randomness, on every device."""
        random.seed(seed)
        np.random.seed(seed)
        torch.manual_seed(seed)

    def build(
        self,
        architecture: Callable[..., Model],
        attention: object,
        execution: Execution = PLAINLY,
        *,
        dtype: str,
        **settings: object,
    ) -> Model:
        """The model on the device, parameters and buffers in `dtype`; it is run as each call says."""
        model: torch.nn.Module = architecture(attention, **settings)
        return model.to(device=self.device, dtype=_dtype(dtype))

    def arrays(self, values: Sequence[np.ndarray], dtype: str) -> Batch:
        """The arrays on the device, copied; floats become `dtype`, integers become int64, booleans stay."""
        floating = _dtype(dtype)
        return tuple(self._tensor(np.asarray(value), floating) for value in values)

    def _tensor(self, value: np.ndarray, floating: torch.dtype) -> torch.Tensor:
        if value.dtype == np.bool_:
            return torch.tensor(value, device=self.device)
        if np.issubdtype(value.dtype, np.integer):
            # torch indexes and labels with int64 only.
            return torch.tensor(value, device=self.device, dtype=torch.int64)
        if np.issubdtype(value.dtype, np.floating):
            return torch.tensor(value, device=self.device, dtype=floating)
        raise ValueError(f"torch takes arrays of floats, integers or booleans, got {value.dtype}")

    def forward(self, model: Model, inputs: Batch, execution: Execution = PLAINLY) -> Callable[[], Any]:
        """A call of the model in evaluation mode under `inference_mode`."""
        run, context = self._run(model, execution)

        def call() -> Any:
            # Training steps may come between two calls; asking first is cheaper than walking the modules.
            if model.training:
                model.eval()
            with torch.inference_mode(), context():
                return run(*inputs)

        return call

    def _run(
        self, model: Model, execution: Execution
    ) -> tuple[Callable[..., Any], Callable[[], AbstractContextManager[Any]]]:
        """What is called, and the context that it is called in."""
        run: Callable[..., Any] = torch.compile(model) if execution.compiled else model
        if not execution.autocast:
            return run, nullcontext
        dtype = _dtype(execution.autocast)
        return run, lambda: torch.autocast(self.device.type, dtype=dtype)

    def call(self, function: Callable[..., Any], *inputs: Any) -> Any:
        """``function(*inputs)`` under `inference_mode`."""
        with torch.inference_mode():
            return function(*inputs)

    def gradients(
        self,
        model: Model,
        inputs: Sequence[Any],
        cotangent: np.ndarray,
        export: Callable[[Model], dict[str, np.ndarray]],
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Output and gradients of sum(output * cotangent), see `suites.framework.Framework`."""
        floats = {
            f"input {place}": tensor.requires_grad_()
            for place, tensor in enumerate(inputs)
            if isinstance(tensor, torch.Tensor) and tensor.is_floating_point()
        }
        model.zero_grad(set_to_none=True)
        output = model(*inputs)
        torch.autograd.backward((output * torch.as_tensor(cotangent).to(output)).sum())
        trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        found = {name: _gradient(tensor) for name, tensor in floats.items()}
        return self.output(output), _exported(model, trained, export) | found

    def live_bytes(self, state: Any) -> int:
        """Bytes of the tensors in a (nested) tuple."""
        tensors = {id(leaf): leaf for leaf in tree_leaves(state) if isinstance(leaf, torch.Tensor)}
        return sum(tensor.nbytes for tensor in tensors.values())

    def train_step(
        self, model: Model, loss: Loss, learning_rate: float, execution: Execution = PLAINLY
    ) -> Callable[[Batch, Any], Any]:
        """A call that makes one Adam update at torch's own defaults, but for Keras's epsilon."""
        measure = loss_of(loss)
        optimiser = torch.optim.Adam(model.parameters(), lr=learning_rate, eps=ADAM_EPSILON)
        run, context = self._run(model, execution)

        def step(inputs: Batch, target: Any) -> Any:
            if not model.training:
                model.train()
            optimiser.zero_grad(set_to_none=True)
            with context():
                value = measure(run(*inputs), target)
            # `torch.autograd.backward`, because `Tensor.backward` has no typed signature.
            torch.autograd.backward(value)
            optimiser.step()
            return value.detach()

        return step

    def trainer(self, model: Model, loss: Loss, learning_rate: float) -> Trainer:
        """The model in training with the updates of `train_step`."""
        return TorchTrainer(model, loss_of(loss), learning_rate, ADAM_EPSILON)

    def inference(self, function: Callable[..., Any]) -> Callable[[Batch], Any]:
        """A call of the function under `inference_mode`."""

        def call(inputs: Batch) -> Any:
            with torch.inference_mode():
                return function(*inputs)

        return call

    def loss_gradient(self, function: Callable[..., Any]) -> Callable[[Batch, Any], tuple[Any, Any]]:
        """Cross-entropy of each example, and the gradient of their sum by the first input."""

        def call(inputs: Batch, labels: Any) -> tuple[Any, Any]:
            varied = inputs[0].detach().clone().requires_grad_()
            losses = torch.nn.functional.cross_entropy(
                function(varied, *inputs[1:]), labels, reduction="none"
            )
            (gradient,) = torch.autograd.grad(losses.sum(), varied)
            return losses.detach(), gradient

        return call

    def trained(self, model: Model, export: Callable[[Model], dict[str, np.ndarray]]) -> frozenset[str]:
        """The exported names that parameters with a gradient stand under."""
        parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        return frozenset(_exported(model, parameters, export))

    def number(self, value: Any) -> float:
        """A loss as a Python number; waits for the device."""
        return float(value)

    def output(self, value: Any) -> np.ndarray:
        """An output as a NumPy array; bfloat16, which NumPy lacks, as float32."""
        tensor: torch.Tensor = value.detach().cpu()
        if tensor.dtype == torch.bfloat16:
            tensor = tensor.float()
        array: np.ndarray = tensor.numpy()
        return array

    def synchronise(self) -> None:
        """Return when the device is idle; a CPU always is."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def parameters(self, model: Model) -> int:
        """How many trainable numbers the model holds."""
        return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)

    def operations(self, call: Callable[[], Any]) -> int | None:
        """Floating-point operations of one call: the products and convolutions torch knows how to count.

        Counted with attention written out, because the counter sees 0 in the fused CPU kernel; who insists
        on that kernel is counted as if it were written out. None where nothing was counted, which means
        that it could not be, not that there was no work.
        """
        counter = FlopCounterMode(display=False, custom_mapping=FUSED_ON_CPU)
        try:
            with sdpa_kernel(SDPBackend.MATH), counter:
                call()
        except RuntimeError as error:
            # FlexAttention compiles itself, which torch refuses while anything watches its operations.
            if "dispatch mode" not in str(error):
                raise
            return None
        return int(counter.get_total_flops()) or None

    def matrix_product(self, size: int, dtype: str) -> tuple[Callable[[], Any], int]:
        """A product of two square matrices of `size`, and its 2 size^3 operations."""
        generator = torch.Generator().manual_seed(0)
        left, right = (
            torch.randn(size, size, generator=generator).to(self.device, _dtype(dtype)) for _ in range(2)
        )

        def call() -> Any:
            with torch.inference_mode():
                return left @ right

        return call, 2 * size**3


def _gradient(tensor: torch.Tensor) -> np.ndarray:
    gradient = torch.zeros_like(tensor) if tensor.grad is None else tensor.grad
    array: np.ndarray = gradient.float().numpy() if gradient.dtype == torch.bfloat16 else gradient.numpy()
    return array


def _exported(
    model: torch.nn.Module,
    trained: list[torch.nn.Parameter],
    export: Callable[[Model], dict[str, np.ndarray]],
) -> dict[str, np.ndarray]:
    """The gradients under their weights' names: exported in the weights' place, which they then leave."""
    kept = [parameter.detach().clone() for parameter in trained]
    with torch.no_grad():
        for parameter in trained:
            parameter.fill_(torch.nan)
        names = [name for name, array in export(model).items() if np.isnan(array).all()]
        for parameter in trained:
            parameter.copy_(torch.zeros_like(parameter) if parameter.grad is None else parameter.grad)
        found = export(model)
        for parameter, values in zip(trained, kept, strict=True):
            parameter.copy_(values)
    return {name: found[name] for name in names}


def _device(device: str) -> torch.device:
    try:
        found = torch.device(device)
    except RuntimeError as error:
        raise ValueError(f"torch knows no device {device!r}; expected 'cpu', 'cuda' or 'cuda:N'") from error
    if found.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(
            f"device {device!r} was asked for, but this torch ({torch.__version__}) sees no CUDA device"
        )
    return found


def _dtype(name: str) -> torch.dtype:
    if name not in DTYPES:
        raise ValueError(f"torch is measured in {', '.join(DTYPES)}, got dtype {name!r}")
    return DTYPES[name]
