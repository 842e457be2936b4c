"""Makes tests/reference/cases/*.safetensors: what the PyTorch package routing_transformer computes.

    python -m venv pt && pt/bin/pip install -r tests/reference/requirements.txt
    pt/bin/python tests/reference/make.py [NAME...]

Run by hand when configs.py changes; nothing in building or testing rtc needs it. A file holds, as
float32, int32 or bool (parameters bfloat16),

    in/NAME      the model's inputs, as rtc names them
    param/NAME   the package's whole state_dict before the step
    out/NAME     logits, embeddings or y; aux_loss; loss
    grad/NAME    the gradient of loss for every parameter (by its first name in the package) and, in
                 grad/in/NAME, for every float input
    state/NAME   the k-means means after one update (training)

and, as metadata, model, set (options for --set) and training. All is computed in float64 from
bfloat16 parameters. A draw is repeated until no routing decision is closer than MARGIN, so that
rounding can't turn one.

Options that the package accepts and ignores are repaired() here, to what their names say.
"""

import importlib.metadata
import json
import pathlib
import sys
import warnings

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import nn

from configs import CONFIGS

warnings.filterwarnings("ignore")
HERE = pathlib.Path(__file__).parent
for line in (HERE / "requirements.txt").read_text().split():
    package, wanted = line.split("==")
    found = importlib.metadata.version(package).split("+")[0]
    if found != wanted:
        sys.exit(f"{package} {wanted} is needed, {found} is installed")

import routing_transformer.routing_transformer as package  # noqa: E402
from routing_transformer import (
    Autopadder,
    RoutingTransformer,
    RoutingTransformerEncDec,
    RoutingTransformerLM,
)  # noqa: E402
from routing_transformer.reversible import ReversibleBlock  # noqa: E402

MARGIN = 3e-5
ACTIVATIONS = {"gelu": nn.GELU, "relu": nn.ReLU, "silu": nn.SiLU, "tanh": nn.Tanh}


# ---- models ----


def arguments(options):
    """rtc's options as the package's arguments; what only rtc has, or the package ignores, goes."""
    out = {}
    for name, value in options.items():
        plain = name.removeprefix("enc_").removeprefix("dec_")
        if plain in (
            "autopad",
            "ff_mult",
            "commitment_factor",
            "context_window_size",
            "rel_pos_emb",
        ):
            continue
        if name == "ignore_index" and "enc_depth" not in options:
            continue
        if plain == "ff_activation":
            value = ACTIVATIONS[value]
        out[name] = tuple(value) if isinstance(value, list) else value
    return out


def repaired(model, options):
    """Gives the options an effect that the package accepts and ignores."""
    for m in model.modules():
        if isinstance(m, package.Kmeans) and "commitment_factor" in options:
            m.commitment = options["commitment_factor"]
        if (
            isinstance(m, package.KmeansAttention)
            and m.receives_context
            and "context_window_size" in options
        ):
            m.context_window_size = options["context_window_size"]
        if isinstance(m, package.LocalAttention) and not options.get("rel_pos_emb", True):
            m.rel_pos = None
        if isinstance(m, package.FeedForward) and "ff_mult" in options:
            dim, inner = m.w2.out_features, m.w2.out_features * options["ff_mult"]
            m.w1 = nn.Linear(dim, inner * (2 if m.glu else 1))
            m.w2 = nn.Linear(inner, dim)
    return model


def build(config):
    options = config["options"]
    own = arguments(options)
    if config["model"] == "routing_encdec":
        model = RoutingTransformerEncDec(**own)
        model._backward_hooks.clear()  # it would update means during the backward pass
        for side, prefix in ((model.enc, "enc_"), (model.dec, "dec_")):
            repaired(
                side,
                {k.removeprefix(prefix): v for k, v in options.items() if k.startswith(prefix)},
            )
        return model
    if config["model"] == "routing_transformer":
        return repaired(RoutingTransformer(**own), options)
    return repaired(RoutingTransformerLM(**own, _register_kmeans_update=False), options)


@torch.no_grad()
def draw_parameters(model, g, config, gating):
    def normal(p, std=1.0):
        return torch.randn(p.shape, generator=g) * std

    for name, p in model.named_parameters():
        if p.numel() == 0:
            continue
        if name.endswith("residual_weight"):
            p.copy_(0.6 + normal(p, 0.2))
        elif "token_emb" in name:
            p.copy_(normal(p, 0.5))
        elif "w_gating" in name:
            p.copy_(normal(p, gating))
        elif p.ndim == 1:
            p.add_(normal(p, 0.2))
        elif "mem_" in name or "keys" in name:
            p.copy_(normal(p))
        else:
            p.copy_(normal(p, 1.4 * p.shape[-1] ** -0.5))
    for m in model.modules():
        if isinstance(m, package.Kmeans):
            m.initted.fill_(True)
            means = torch.randn(m.means.shape, generator=g)
            if config.get("means") == "long":
                means *= 0.5 + torch.rand((*m.means.shape[:2], 1), generator=g)
            else:
                means = F.normalize(means, dim=-1)
            m.means.copy_(means)
    for p in (*model.parameters(), *(b for n, b in model.named_buffers() if n.endswith("means"))):
        p.copy_(p.bfloat16())


# ---- inputs ----


def draw_mask(kind, rows, time, g):
    """Differs from row to row; the first row is whole, but for `empty`."""
    if kind is None:
        return None
    mask = torch.ones(rows, time, dtype=torch.bool)
    for row in range(rows):
        if kind == "holes":
            mask[row] = torch.rand(time, generator=g) < 0.7
        elif kind == "right":
            mask[row, time - row * max(1, time // 5) :] = row == 0
        elif kind == "left":
            mask[row, : row * max(1, time // 4)] = False
        elif kind == "empty":
            mask[row] = torch.rand(time, generator=g) < (0.8, 0, 0.3)[row % 3]
    return mask


def draw_inputs(config, g):
    options, model = config["options"], config["model"]
    rows, time, source = config.get("rows", 2), config.get("time", 32), config.get("source")
    dim, inputs = options["dim"], {}

    def tokens(count, length):
        return torch.randint(0, count, (rows, length), generator=g)

    def floats(length):
        return torch.randn(rows, length, dim, generator=g)

    mask = draw_mask(config.get("mask"), rows, time, g)
    context_mask = draw_mask(config.get("context_mask"), rows, source, g)
    if model == "routing_encdec":
        inputs.update(
            src=tokens(options["enc_num_tokens"], source),
            tgt=tokens(options["dec_num_tokens"], time),
        )
        inputs.update(tgt_mask=mask, src_mask=context_mask)
    elif model == "routing_transformer":
        inputs.update(x=floats(time), dy=floats(time), input_mask=mask)
    else:
        inputs.update(x=tokens(options["num_tokens"], time), input_mask=mask)
        if not options.get("return_embeddings"):
            inputs["targets"] = tokens(options["num_tokens"], time)
            if config.get("ignore"):
                inputs["targets"][torch.rand(rows, time, generator=g) < 0.3] = options.get(
                    "ignore_index", -1
                )
    if model != "routing_encdec" and source:
        inputs.update(context=floats(source), context_mask=context_mask)
    return {k: v for k, v in inputs.items() if v is not None}


# ---- one step ----


def step(config, model, inputs):
    """Outputs, and the gradients of loss where there is one."""
    options = config["options"]
    given = dict(inputs)
    if config["model"] == "routing_encdec":
        return step_encdec(model, given)
    x, dy, targets = given.pop("x"), given.pop("dy", None), given.pop("targets", None)
    if config["model"] == "routing_transformer":
        y, aux = model(x, **given)
        loss = (y * dy).sum() + aux.sum()
        return dict(y=y, aux_loss=aux.sum(), loss=loss)
    net = Autopadder(model) if options.get("autopad", True) else model
    y, aux = net(x, **given)
    if targets is None:
        return dict(embeddings=y, aux_loss=aux.sum())
    loss = (
        F.cross_entropy(y.transpose(1, 2), targets, ignore_index=options.get("ignore_index", -1))
        + aux.sum()
    )
    return dict(logits=y, aux_loss=aux.sum(), loss=loss)


def step_encdec(model, given):
    kept = {}
    hooks = [
        model.dec.base_net.register_forward_hook(
            lambda m, i, o: kept.update(logits=o[0], dec_aux=o[1].sum())
        ),
        model.enc.register_forward_hook(lambda m, i, o: kept.update(enc_aux=o[1].sum())),
    ]
    masks = {
        k: given[n]
        for k, n in (("enc_input_mask", "src_mask"), ("dec_input_mask", "tgt_mask"))
        if n in given
    }
    loss, _ = model(given["src"], given["tgt"], return_loss=True, **masks)
    for h in hooks:
        h.remove()
    if model.dec_reversible:  # the package leaves this part to the user
        loss = loss + kept["enc_aux"]
    logits = kept["logits"][:, : given["tgt"].shape[1] - 1]
    return dict(logits=logits, aux_loss=kept["dec_aux"] + kept["enc_aux"], loss=loss.sum())


class Decisions:
    """While active: the smallest margin of every top-k and nearest-mean decision; uniform draws
    give `draw`."""

    def __init__(self, draw):
        self.margin, self.draw = float("inf"), draw

    def near(self, gap):
        if gap.numel():
            self.margin = min(self.margin, gap.min().item())

    def __enter__(self):
        self.saved = torch.Tensor.topk, torch.Tensor.uniform_, package.dists_and_buckets
        topk, _, nearest = self.saved

        def checked_topk(t, k, dim=-1):
            if k < t.shape[dim]:
                best = topk(t.detach(), k + 1, dim=dim).values
                self.near(best.select(dim, k - 1) - best.select(dim, k))
            return topk(t, k, dim=dim)

        def checked_nearest(x, means):
            if means.shape[1] > 1:
                best = topk(package.similarity(x, means).detach(), 2, dim=-1).values
                self.near(best[..., 0] - best[..., 1])
            return nearest(x, means)

        torch.Tensor.topk, package.dists_and_buckets = checked_topk, checked_nearest
        torch.Tensor.uniform_ = lambda t, low=0, high=1: t.fill_(low + (high - low) * self.draw)
        return self

    def __exit__(self, *_):
        torch.Tensor.topk, torch.Tensor.uniform_, package.dists_and_buckets = self.saved


def run(config, model, inputs, dtype, draw=1 - 2**-24):
    """(outputs, gradients, states, margin) of one step of a model in `dtype`."""
    model.to(dtype).train(config.get("train", False))
    for m in model.modules():
        if isinstance(m, ReversibleBlock):
            m.training = True  # of the block alone: without it there is no backward pass
    inputs = {k: v.to(dtype) if v.is_floating_point() else v for k, v in inputs.items()}
    floats = {k: v.requires_grad_() for k, v in inputs.items() if v.is_floating_point()}
    with Decisions(draw) as decisions:
        out = step(config, model, inputs)
        if "loss" in out:
            out["loss"].backward(retain_graph=config["model"] == "routing_encdec")
    grads = {n: p.grad for n, p in model.named_parameters() if p.grad is not None and p.numel()}
    grads.update({"in/" + k: v.grad for k, v in floats.items() if v.grad is not None})
    for m in model.modules():
        if isinstance(m, package.Kmeans) and m.new_means is not None:
            m.update()
    means = {
        n: b for n, b in model.named_buffers(remove_duplicate=False) if n.endswith("kmeans.means")
    }
    return out, grads, means if config.get("train") else {}, decisions.margin


def close(a, b, tolerance):
    scale = max(b.double().pow(2).mean().sqrt().item(), 1e-7)
    return (a.double() - b.double()).abs().max().item() <= tolerance * scale


# ---- files ----


def set_text(options):
    def text(name, value):
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, list):
            return (
                ",".join(map(str, value))
                if name.endswith("heads")
                else "[" + ",".join(map(str, value)) + "]"
            )
        return str(value)

    return " ".join(f"{k}={text(k, v)}" for k, v in options.items())


def stored(t, dtype=torch.float32):
    t = t.detach()
    return (
        t.clone()
        if t.dtype == torch.bool
        else t.to(dtype if t.is_floating_point() else torch.int32).contiguous().clone()
    )


def smallest(t):
    """bfloat16 where nothing is lost."""
    exact = t.is_floating_point() and torch.equal(t.bfloat16().float(), t)
    return stored(t, torch.bfloat16 if exact else torch.float32)


def write(path, tensors, metadata):
    """The library writes metadata in an order of chance; here equal values give equal bytes."""
    save_file(tensors, path, metadata)
    data = path.read_bytes()
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    header["__metadata__"] = dict(sorted(metadata.items()))
    text = json.dumps(header, separators=(",", ":")).encode().ljust(size)
    path.write_bytes(data[:8] + text + data[8 + size :])


def differing(got, want, tolerance):
    return [k for g, w in zip(got, want) for k in w if not close(g[k], w[k], tolerance)]


def make(config):
    for seed in range(50):
        g = torch.Generator().manual_seed(seed)
        torch.manual_seed(seed)
        model, again, single = build(config), build(config), build(config)
        draw_parameters(model, g, config, 0.08 / (1 + seed / 2))
        inputs = draw_inputs(config, g)
        before = {k: v.clone() for k, v in model.state_dict().items()}
        again.load_state_dict(before)
        single.load_state_dict(before)
        out, grads, means, margin = run(config, model, inputs, torch.float64)
        # with another draw an expert's second choices must be the same: gates above the threshold
        other = run(config, again, inputs, torch.float64, 0.0)
        if margin < MARGIN or differing(other, (out, grads, means), 0.0):
            continue
        noisy = differing(run(config, single, inputs, torch.float32), (out, grads, means), 2e-4)
        if not noisy:
            break
        print(f"{config['name']}: draw {seed}: float32 rounding shows in {len(noisy)} tensors")
    else:
        sys.exit(
            f"{config['name']}: every draw has a decision closer than {MARGIN}, or one left to"
            " chance, or shows rounding"
        )
    tensors = {"in/" + k: stored(v) for k, v in inputs.items()}
    tensors.update({"param/" + k: smallest(v) for k, v in before.items()})
    tensors.update({"out/" + k: stored(v) for k, v in out.items()})
    tensors.update({"grad/" + k: stored(v) for k, v in grads.items()})
    tensors.update({"state/" + k: stored(v) for k, v in means.items()})
    path = HERE / "cases" / f"{config['name']}.safetensors"
    write(
        path,
        tensors,
        {
            "model": config["model"],
            "set": set_text(config["options"]),
            "training": str(config.get("train", False)).lower(),
            "package": "routing_transformer 1.6.1",
        },
    )
    quiet = sorted(k for k, v in grads.items() if v.abs().max() < 1e-9)
    print(
        f"{config['name']:28s} draw {seed:2d}  margin {margin:.1e} ",
        f"{path.stat().st_size / 1024:6.0f} KiB",
        "zero: " + " ".join(quiet) if quiet else "",
        flush=True,
    )
    return path.stat().st_size


if __name__ == "__main__":
    torch.set_num_threads(1)
    (HERE / "cases").mkdir(exist_ok=True)
    wanted = sys.argv[1:]
    total = sum(make(c) for c in CONFIGS if not wanted or c["name"] in wanted)
    print(f"{total / 2 ** 20:.1f} MiB")
