"""Seconds per training step of the PyTorch package (routing_transformer 1.6.1) on one configuration.

    python tests/bench/pytorch_step.py --dim 128 --depth 4 --heads 4 --dim-head 32 --time 256 --batch 8 ...

Prints one line of JSON: {"seconds": {"min": .., "median": ..}, "steps": .., "parameters": .., "rss_mb": ..}.
Run it with MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=100000000000, or page faults are measured. compare.sh does.
"""
import argparse
import json
import resource
import statistics
import time

import torch
from routing_transformer import RoutingTransformerLM

p = argparse.ArgumentParser()
p.add_argument("--vocabulary", type=int, default=256)
p.add_argument("--dim", type=int, default=128)
p.add_argument("--depth", type=int, default=4)
p.add_argument("--heads", type=int, default=4)
p.add_argument("--dim-head", type=int, default=32)
p.add_argument("--local-heads", type=int, default=2)
p.add_argument("--window", type=int, default=32)
p.add_argument("--time", type=int, default=256)
p.add_argument("--batch", type=int, default=8)
p.add_argument("--dropout", type=float, default=0.0)
p.add_argument("--reversible", action="store_true")
p.add_argument("--chunks", type=int, default=1)
p.add_argument("--steps", type=int, default=8)
p.add_argument("--forward", action="store_true", help="no backward pass, no update")
p.add_argument("--threads", type=int, default=0)
a = p.parse_args()

torch.manual_seed(0)
if a.threads:
    torch.set_num_threads(a.threads)
model = RoutingTransformerLM(
    num_tokens=a.vocabulary, dim=a.dim, heads=a.heads, depth=a.depth, max_seq_len=a.time, dim_head=a.dim_head,
    causal=True, window_size=a.window, n_local_attn_heads=a.local_heads, ff_glu=True, attn_dropout=a.dropout,
    ff_dropout=a.dropout, reversible=a.reversible, ff_chunks=a.chunks)
model.train()
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.95), weight_decay=0.1, fused=True)
tokens = torch.randint(0, a.vocabulary, (a.batch, a.time + 1))


def train():
    logits, aux = model(tokens[:, :-1])
    loss = torch.nn.functional.cross_entropy(logits.transpose(1, 2), tokens[:, 1:]) + aux
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad()
    loss.item()


@torch.no_grad()
def forward():
    logits, aux = model(tokens[:, :-1])
    (torch.nn.functional.cross_entropy(logits.transpose(1, 2), tokens[:, 1:]) + aux).item()


if a.forward:
    model.eval()
seconds = []
for step in range(a.steps + 2):
    start = time.perf_counter()
    forward() if a.forward else train()
    if step >= 2:
        seconds.append(time.perf_counter() - start)
print(json.dumps({
    "seconds": {"min": min(seconds), "median": statistics.median(seconds)},
    "steps": a.steps,
    "parameters": sum(q.numel() for q in model.parameters()),
    "rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
}))
