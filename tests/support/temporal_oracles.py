"""Temporal heads as their papers say them: one pair, one token, one head at a time, in float64."""

import math

import numpy as np


def arrays(module):
    """The parameters of a module as float64 arrays, by name."""
    return {key: value.detach().double().numpy() for key, value in module.state_dict().items()}


def unit(v):
    return v / math.sqrt(float(v @ v))


def softmax(scores):
    top = max(scores)
    exps = [math.exp(s - top) for s in scores]
    return [e / sum(exps) for e in exps]


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def quick_gelu(v):
    return np.array([x * sigmoid(1.702 * x) for x in v])


def layer_norm(v, weight, bias, eps):
    mean = sum(v) / len(v)
    spread = math.sqrt(sum((x - mean) ** 2 for x in v) / len(v) + eps)
    return np.array([(x - mean) / spread * w + b for x, w, b in zip(v, weight, bias)])


def block(p, tokens, mask, heads, eps=1e-12):
    """A pre-norm CLIP block over a list of tokens; `p` maps CLIP's parameter names to arrays."""
    normed = [layer_norm(t, p["ln_1.weight"], p["ln_1.bias"], eps) for t in tokens]
    width = len(tokens[0])
    weights, biases = p["attn.in_proj_weight"].reshape(3, width, width), p["attn.in_proj_bias"].reshape(3, width)
    q, k, v = ([w @ n + b for n in normed] for w, b in zip(weights, biases))
    size = width // heads
    out = []
    for i in range(len(tokens)):
        mixed = np.zeros(width)
        for head in range(heads):
            part = slice(head * size, (head + 1) * size)
            scores = [q[i][part] @ k[j][part] / math.sqrt(size) + (0 if mask[j] else -1e6) for j in range(len(tokens))]
            mixed[part] = sum(w * v[j][part] for j, w in enumerate(softmax(scores)))
        x = tokens[i] + p["attn.out_proj.weight"] @ mixed + p["attn.out_proj.bias"]
        hidden = p["mlp.c_fc.weight"] @ layer_norm(x, p["ln_2.weight"], p["ln_2.bias"], eps) + p["mlp.c_fc.bias"]
        out.append(x + p["mlp.c_proj.weight"] @ quick_gelu(hidden) + p["mlp.c_proj.bias"])
    return out


def blocks(p, tokens, mask, heads, layers):
    for i in range(layers):
        prefix = f"blocks.{i}."
        own = {key.removeprefix(prefix): value for key, value in p.items() if key.startswith(prefix)}
        tokens = block(own, tokens, mask, heads)
    return tokens


def lstm(p, frames):
    """Gates in torch's order: input, forget, cell, output."""
    width = len(frames[0])
    h, c, out = np.zeros(width), np.zeros(width), []
    for x in frames:
        gates = p["lstm.weight_ih_l0"] @ x + p["lstm.bias_ih_l0"] + p["lstm.weight_hh_l0"] @ h + p["lstm.bias_hh_l0"]
        i, f, g, o = gates.reshape(4, width)
        c = np.array([sigmoid(a) * b + sigmoid(d) * math.tanh(e) for a, b, d, e in zip(f, c, i, g)])
        h = np.array([sigmoid(a) * math.tanh(b) for a, b in zip(o, c)])
        out.append(h)
    return out


def temporal(kind, head, frames, mask):
    """Frames of one video after the temporal module."""
    p, frames = arrays(head), list(frames)
    if kind == "seqLSTM":
        length = sum(bool(m) for m in mask)
        return [f + h for f, h in zip(frames, lstm(p, frames[:length]))] + frames[length:]
    if kind == "seqTransf":
        seen = blocks(
            p, [f + e for f, e in zip(frames, p["positions"])], mask, head.blocks[0].attn.heads, len(head.blocks)
        )
        return [f + x for f, x in zip(frames, seen)]
    return frames


def pooled(kind, head, frames, mask, unit_frames=True):
    """The embedding of one video."""
    kept = [unit(f) if unit_frames else f for f, m in zip(temporal(kind, head, frames, mask), mask) if m]
    return unit(sum(kept) / len(kept)) if kept else np.zeros(len(frames[0]))


def tight(head, text, frames, mask):
    """The logit of one pair."""
    p = arrays(head)
    tokens = [t + e for t, e in zip([text, *frames], p["positions"])]
    first = blocks(p, tokens, [True, *mask], head.blocks[0].attn.heads, len(head.blocks))[0]
    pool = p["pool.weight"] @ layer_norm(first, p["pool_norm.weight"], p["pool_norm.bias"], 1e-12) + p["pool.bias"]
    return float(p["score.weight"][0] @ quick_gelu(pool) + p["score.bias"][0])


def query_scoring(text, frames, mask, temperature):
    kept = [unit(f) for f, m in zip(frames, mask) if m]
    if not kept:
        return 0.0
    weights = softmax([unit(text) @ f / temperature for f in kept])
    return float(unit(text) @ unit(sum(w * f for w, f in zip(weights, kept))))


def token_interaction(head, words, word_mask, frames, mask):
    def importance(name, tokens):
        p = {key.removeprefix(f"{name}."): value for key, value in arrays(head).items()}
        hidden = [np.maximum(p["0.weight"] @ t + p["0.bias"], 0) for t in tokens]
        return softmax([float(p["2.weight"][0] @ h + p["2.bias"][0]) for h in hidden])

    words = [w for w, m in zip(words, word_mask) if m]
    frames = [f for f, m in zip(frames, mask) if m]
    cosines = [[float(unit(w) @ unit(f)) for f in frames] for w in words]
    to_frames = sum(a * max(row) for a, row in zip(importance("text_weight", words), cosines))
    to_words = sum(b * max(column) for b, column in zip(importance("frame_weight", frames), zip(*cosines)))
    return (to_frames + to_words) / 2
