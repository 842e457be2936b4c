"""The configurations of make.py. Options have rtc's names; each row says what meets in it.

A row: name, model, options, and what is drawn: rows (batch), time, mask, source (length of the
context), context_mask, train, ignore (some targets are ignored), means ("unit" or "long").
"""

LM = dict(num_tokens=20, dim=16, depth=2, heads=4, dim_head=4, max_seq_len=32, window_size=8)
CORE = dict(dim=16, depth=2, heads=4, max_seq_len=32, window_size=8)
SIDE = dict(num_tokens=20, depth=2, heads=4, dim_head=4, max_seq_len=32, window_size=8)


def lm(name, options=(), **draw):
    return dict(name=name, model="routing_lm", options={**LM, **dict(options)}, **draw)


def core(name, options=(), **draw):
    return dict(name=name, model="routing_transformer", options={**CORE, **dict(options)}, **draw)


def encdec(name, both=(), enc=(), dec=(), options=(), **draw):
    sides = {
        p + k: v
        for p, own in (("enc_", enc), ("dec_", dec))
        for k, v in {**SIDE, **dict(both), **dict(own)}.items()
    }
    return dict(
        name=name, model="routing_encdec", options={"dim": 16, **sides, **dict(options)}, **draw
    )


CONFIGS = [
    # ---- attention ----
    lm("routed"),
    lm("routed_causal", dict(causal=True, depth=3)),
    lm("routed_shared", dict(shared_qk=True), mask="holes"),
    lm("routed_train", dict(causal=True, kmeans_ema_decay=0.9), train=True, means="long"),
    lm("unshared_causal", dict(causal=True, shared_qk=False), mask="left"),
    lm(
        "unshared_causal_train",
        dict(causal=True, shared_qk=False, num_mem_kv=2, n_local_attn_heads=1),
        train=True,
        mask="right",
    ),
    lm("memory", dict(causal=True, num_mem_kv=3)),
    lm("memory_masked", dict(num_mem_kv=2), mask="empty", rows=3),
    lm("one_cluster", dict(window_size=32, n_local_attn_heads=1, local_attn_window_size=8)),
    lm(
        "many_clusters",
        dict(window_size=2, causal=True, n_local_attn_heads=1, local_attn_window_size=8),
        train=True,
    ),
    lm(
        "wide_heads",
        dict(dim=24, heads=3, dim_head=10, n_local_attn_heads=[2, 1], causal=True, depth=2),
    ),
    lm("local_causal", dict(causal=True, n_local_attn_heads=4)),
    lm("local_both_ways", dict(n_local_attn_heads=4, window_size=4)),
    lm("local_masked", dict(n_local_attn_heads=4), mask="empty", rows=3),
    lm(
        "radius_two",
        dict(n_local_attn_heads=[4, 2], local_attn_radius_blocks=2, local_attn_window_size=4),
        mask="right",
    ),
    lm(
        "radius_two_causal",
        dict(
            n_local_attn_heads=2, local_attn_radius_blocks=2, local_attn_window_size=4, causal=True
        ),
        mask="holes",
    ),
    lm("radius_zero", dict(n_local_attn_heads=3, local_attn_radius_blocks=0, causal=True)),
    lm(
        "heads_per_layer",
        dict(n_local_attn_heads=[4, 1, 0], depth=3, causal=True, max_seq_len=64),
        time=48,
    ),
    lm("no_rotary", dict(n_local_attn_heads=2, rel_pos_emb=False, causal=True)),
    lm("no_rotary_masked", dict(n_local_attn_heads=[2, 3], rel_pos_emb=False), mask="left"),
    # ---- masks and lengths ----
    lm("mask_right", dict(n_local_attn_heads=2, causal=True), mask="right", rows=3),
    lm("mask_left", dict(n_local_attn_heads=2, causal=True), mask="left", rows=3),
    lm("mask_train", dict(n_local_attn_heads=1), mask="holes", train=True),
    lm("short", dict(causal=True, window_size=16), time=5),
    lm("short_padded", dict(n_local_attn_heads=2), time=5, mask="right"),
    lm("padded", dict(n_local_attn_heads=[2, 0], causal=True), time=29),
    lm(
        "padded_train",
        dict(n_local_attn_heads=1, local_attn_window_size=4, shared_qk=True),
        time=27,
        mask="left",
        train=True,
    ),
    lm("one_position", dict(causal=True), time=1),
    lm("one_position_padded", dict(causal=True, n_local_attn_heads=2, shared_qk=False), time=1),
    lm("whole_windows", dict(n_local_attn_heads=2, autopad=False), time=24),
    lm("ignored_targets", dict(causal=True), ignore=True),
    lm("ignore_index", dict(causal=True, ignore_index=3), ignore=True, mask="right"),
    # ---- feed-forward ----
    lm("glu_chunks", dict(ff_glu=True, ff_chunks=4, causal=True)),
    lm("glu_relu", dict(ff_glu=True, ff_activation="relu", ff_chunks=3)),
    lm("silu", dict(ff_activation="silu")),
    lm("tanh", dict(ff_activation="tanh", ff_glu=True, ff_mult=2)),
    lm("narrow", dict(ff_mult=1, ff_chunks=2), time=31),
    lm("pkm", dict(dim=8, dim_head=2, depth=2, pkm_layers=[2], pkm_num_keys=36)),
    lm("moe", dict(moe_layers=[1], moe_num_experts=4, moe_loss_coef=0.1, causal=True)),
    lm("moe_train", dict(moe_layers=[1, 2], moe_num_experts=3, moe_loss_coef=0.05), train=True),
    # ---- the stack ----
    lm("deep", dict(depth=4, causal=True, n_local_attn_heads=[1, 2, 0, 4])),
    lm("rezero", dict(use_rezero=True, causal=True)),
    lm(
        "rezero_shift", dict(use_rezero=True, shift_tokens=True, n_local_attn_heads=1), mask="right"
    ),
    lm("scale_norm", dict(use_scale_norm=True)),
    lm(
        "scale_norm_shift",
        dict(use_scale_norm=True, shift_tokens=True, causal=True, ff_chunks=2),
        mask="left",
    ),
    lm("shift_causal", dict(shift_tokens=True, causal=True, n_local_attn_heads=2), time=30),
    lm("shift_both_ways", dict(shift_tokens=True, dim=20), mask="right"),
    lm("emb_dim_tied", dict(emb_dim=12, tie_embedding=True, causal=True)),
    lm("emb_dim_wide", dict(emb_dim=24, n_local_attn_heads=1), time=21),
    lm("tie_embedding", dict(tie_embedding=True, causal=True), ignore=True),
    lm("embeddings", dict(return_embeddings=True)),
    lm("weight_tie", dict(weight_tie=True, causal=True, n_local_attn_heads=1, depth=3)),
    lm("weight_tie_train", dict(weight_tie=True, depth=3), train=True),
    lm(
        "weight_tie_mixed",
        dict(
            dim=8,
            weight_tie=True,
            depth=4,
            pkm_layers=[2],
            pkm_num_keys=32,
            moe_layers=[3],
            moe_num_experts=2,
            use_rezero=True,
            causal=True,
        ),
    ),
    lm("reversible", dict(reversible=True, causal=True, n_local_attn_heads=1), train=True),
    lm(
        "reversible_chunks",
        dict(reversible=True, ff_chunks=4, ff_glu=True, n_local_attn_heads=2, depth=3),
        mask="right",
    ),
    lm(
        "reversible_tied",
        dict(
            reversible=True,
            weight_tie=True,
            depth=3,
            use_scale_norm=True,
            shift_tokens=True,
            causal=True,
        ),
        mask="left",
        train=True,
    ),
    lm(
        "reversible_moe",
        dict(reversible=True, moe_layers=[2], causal=True, use_rezero=True),
        train=True,
    ),
    lm(
        "reversible_pkm",
        dict(dim=8, reversible=True, pkm_layers=[1], pkm_num_keys=33, n_local_attn_heads=2),
        time=16,
    ),
    lm(
        "commitment",
        dict(commitment_factor=0.5, kmeans_ema_decay=0.5, causal=True, n_local_attn_heads=1),
        train=True,
    ),
    lm("layer_dropout", dict(layer_dropout=1.0, depth=3, causal=True), train=True),
    lm(
        "layer_dropout_reversible",
        dict(layer_dropout=1.0, depth=2, reversible=True, shared_qk=True),
        train=True,
    ),
    # ---- context ----
    lm("context", dict(receives_context=True), source=20),
    lm(
        "context_masks",
        dict(receives_context=True, causal=True, n_local_attn_heads=1),
        source=24,
        context_mask="right",
        mask="left",
        rows=3,
    ),
    lm(
        "context_shared",
        dict(receives_context=True, context_shared_qk=True, num_mem_kv=1),
        source=32,
        context_mask="holes",
    ),
    lm(
        "context_window", dict(receives_context=True, context_window_size=3, causal=True), source=17
    ),
    lm(
        "context_short",
        dict(receives_context=True, n_local_attn_heads=2),
        source=3,
        time=13,
        mask="right",
    ),
    lm(
        "context_reversible",
        dict(
            receives_context=True,
            reversible=True,
            causal=True,
            n_local_attn_heads=1,
            ff_chunks=2,
            ff_glu=True,
        ),
        source=20,
        context_mask="right",
        train=True,
    ),
    lm(
        "context_tied",
        dict(
            receives_context=True,
            weight_tie=True,
            context_shared_qk=True,
            use_rezero=True,
            shift_tokens=True,
        ),
        source=12,
        mask="right",
        train=True,
    ),
    lm("context_dropped", dict(receives_context=True, layer_dropout=1.0), source=12, train=True),
    lm(
        "everything",
        dict(
            causal=True,
            n_local_attn_heads=[2, 1],
            reversible=True,
            ff_glu=True,
            shift_tokens=True,
            use_rezero=True,
            num_mem_kv=2,
            emb_dim=12,
            moe_layers=[1],
            ff_chunks=2,
            tie_embedding=True,
            max_seq_len=64,
            receives_context=True,
            commitment_factor=0.1,
        ),
        time=45,
        mask="right",
        source=20,
        context_mask="right",
        ignore=True,
        train=True,
    ),
    # ---- the stack alone ----
    core("core", dict(n_local_attn_heads=2, local_attn_window_size=8)),
    core("core_causal", dict(causal=True, depth=3)),
    core(
        "core_default_window",
        dict(causal=True, max_seq_len=256, window_size=64, n_local_attn_heads=2, dim=8, depth=1),
        time=256,
        rows=1,
    ),
    core("core_dim_head", dict(dim_head=6, shared_qk=True, use_scale_norm=True), mask="holes"),
    core(
        "core_commitment",
        dict(commitment_factor=0.3, kmeans_ema_decay=0.5, num_mem_kv=1),
        train=True,
        mask="right",
    ),
    core(
        "core_context",
        dict(receives_context=True, reversible=True, causal=True),
        source=20,
        context_mask="right",
    ),
    core(
        "core_context_train",
        dict(
            receives_context=True,
            context_window_size=5,
            num_mem_kv=2,
            n_local_attn_heads=1,
            local_attn_window_size=4,
        ),
        source=24,
        mask="left",
        train=True,
    ),
    core(
        "core_tied",
        dict(
            weight_tie=True,
            depth=3,
            shift_tokens=True,
            use_rezero=True,
            ff_mult=2,
            ff_activation="relu",
        ),
    ),
    core(
        "core_masked",
        dict(n_local_attn_heads=3, local_attn_window_size=4, causal=True),
        mask="empty",
        rows=3,
        train=True,
    ),
    core(
        "core_moe",
        dict(moe_layers=[2], moe_num_experts=5, reversible=True, ff_chunks=2, dim=20),
        rows=1,
        train=True,
    ),
    core("core_short", dict(causal=True, shared_qk=False, window_size=16), time=3),
    # ---- encoder and decoder ----
    encdec(
        "encdec",
        dec=dict(n_local_attn_heads=2),
        enc=dict(n_local_attn_heads=1),
        source=24,
        time=30,
        context_mask="right",
    ),
    encdec(
        "encdec_reversible",
        dict(reversible=True, commitment_factor=0.3),
        enc=dict(depth=1),
        source=20,
        time=25,
        mask="right",
        train=True,
    ),
    encdec(
        "encdec_ignore",
        dict(shift_tokens=True),
        dec=dict(weight_tie=True, context_shared_qk=True, ff_glu=True),
        enc=dict(use_rezero=True, causal=True),
        options=dict(ignore_index=4),
        source=16,
        time=33,
        mask="left",
        context_mask="holes",
    ),
    encdec(
        "encdec_pad",
        enc=dict(num_tokens=11, max_seq_len=16, commitment_factor=0.2, ff_mult=2),
        dec=dict(
            emb_dim=12,
            tie_embedding=True,
            num_mem_kv=1,
            n_local_attn_heads=[1, 2],
            use_scale_norm=True,
        ),
        options=dict(pad_value=2),
        source=13,
        time=18,
        train=True,
    ),
]
