"""ContrastiveLoss against the paper's loops; its chunked and multi-process forms against the plain one."""

import math

import pytest
import torch
import torch.nn.functional as F

from clipkit.adapters import ContrastiveLoss, LogitScale


def unit(*shape, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return F.normalize(torch.randn(*shape, generator=generator, dtype=torch.float64), dim=-1).to(dtype)


def infonce_loops(x, y, scale):
    """Radford et al. 2021, figure 3, one scalar at a time."""
    n = len(x)
    dot = [[scale * sum(a * b for a, b in zip(x[i].tolist(), y[j].tolist())) for j in range(n)] for i in range(n)]
    total = 0.0
    for i in range(n):
        total -= dot[i][i] - math.log(sum(math.exp(dot[i][j]) for j in range(n)))
        total -= dot[i][i] - math.log(sum(math.exp(dot[j][i]) for j in range(n)))
    return total / (2 * n)


def grads(loss, x, y, scale):
    x, y, scale = (t.clone().requires_grad_() for t in (x, y, scale))
    value = loss(x, y, scale)
    value.backward()
    return value.detach(), x.grad, y.grad, scale.grad


@pytest.mark.parametrize("n, dim, scale", [(1, 4, 10.0), (5, 3, 1.0), (12, 8, 100.0)])
@pytest.mark.parametrize("chunk", [None, 4])
def test_equals_the_papers_loops(n, dim, scale, chunk):
    x, y = unit(n, dim), unit(n, dim, seed=1)
    value = ContrastiveLoss(chunk=chunk)(x, y, scale)
    assert value.item() == pytest.approx(infonce_loops(x, y, scale), abs=1e-12)


@pytest.mark.parametrize("chunk", [1, 7, 12, 37, 64])
def test_chunked_equals_plain_with_uneven_tails(chunk):
    args = unit(37, 16), unit(37, 16, seed=1), torch.tensor(30.0, dtype=torch.float64)
    for plain, chunked in zip(grads(ContrastiveLoss(), *args), grads(ContrastiveLoss(chunk=chunk), *args)):
        torch.testing.assert_close(chunked, plain, rtol=0, atol=1e-12)


def test_chunked_gradient_is_the_numerical_one():
    args = [unit(5, 3), unit(5, 3, seed=1), torch.tensor(3.0, dtype=torch.float64)]
    loss = ContrastiveLoss(chunk=2, normalize=False)
    assert torch.autograd.gradcheck(loss, [a.requires_grad_() for a in args])


def test_chunked_survives_extreme_logits_in_float32():
    """One column out of every row's reach: a shared maximum would underflow its exponentials to zero."""
    x = unit(20, 8, dtype=torch.float32)
    y = x.clone()
    y[3] = -x.mean(0)
    args = x, y, torch.tensor(100.0)
    for plain, chunked in zip(grads(ContrastiveLoss(), *args), grads(ContrastiveLoss(chunk=6), *args)):
        assert torch.isfinite(chunked).all()
        torch.testing.assert_close(chunked, plain, rtol=1e-5, atol=1e-5)


def test_never_allocates_the_square_matrix():
    """Every tensor that the chunked form makes has at most chunk x B elements."""
    from torch.utils._python_dispatch import TorchDispatchMode

    largest = 0

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            nonlocal largest
            out = func(*args, **(kwargs or {}))
            for tensor in out if isinstance(out, (tuple, list)) else [out]:
                if isinstance(tensor, torch.Tensor):
                    largest = max(largest, tensor.numel())
            return out

    args = unit(256, 4), unit(256, 4, seed=1), torch.tensor(30.0, dtype=torch.float64)
    with Watch():
        grads(ContrastiveLoss(chunk=16), *args)
    assert largest == 16 * 256
    with Watch():
        grads(ContrastiveLoss(), *args)
    assert largest == 256 * 256


@pytest.mark.parametrize("chunk", [None, 3])
def test_identical_embeddings_give_log_n(chunk):
    x = unit(1, 6).expand(9, 6)
    assert ContrastiveLoss(chunk=chunk)(x, x, 50.0).item() == pytest.approx(math.log(9), abs=1e-12)


@pytest.mark.parametrize("chunk", [None, 3])
def test_one_pair_and_no_pair(chunk):
    loss = ContrastiveLoss(chunk=chunk)
    assert loss(unit(1, 4), unit(1, 4, seed=1), 10.0).item() == pytest.approx(0.0, abs=1e-12)
    empty = torch.zeros(0, 4, requires_grad=True)
    value = loss(empty, empty, 10.0)
    value.backward()
    assert value.item() == 0.0 and empty.grad is not None


def test_normalisation_can_be_left_to_the_caller():
    x, y = 3 * unit(6, 4), 0.2 * unit(6, 4, seed=1)
    expected = ContrastiveLoss(normalize=False)(unit(6, 4), unit(6, 4, seed=1), 10.0)
    assert ContrastiveLoss()(x, y, 10.0).item() == pytest.approx(expected.item(), abs=1e-12)
    assert ContrastiveLoss(normalize=False)(x, y, 10.0).item() != pytest.approx(expected.item(), abs=1e-3)


def videoclip_loops(x, y, windows):
    """Xu et al. 2021, section 3.1: the sum of both directions over dot products, no temperature; one scalar at a time.
    Pairs of one film whose windows' intersection is over half of their union are left out of the other's sums."""
    n, total = len(x), 0.0
    dot = [[sum(a * b for a, b in zip(x[i].tolist(), y[j].tolist())) for j in range(n)] for i in range(n)]

    def counts(i, j):
        if i == j or windows is None or windows[i][0] != windows[j][0]:
            return True
        (_, a, b), (_, c, d) = windows[i], windows[j]
        common = max(min(b, d) - max(a, c), 0)
        union = (b - a) + (d - c) - common
        return union == 0 or common / union <= 0.5

    for i in range(n):
        total -= dot[i][i] - math.log(sum(math.exp(dot[i][j]) for j in range(n) if counts(i, j)))
        total -= dot[i][i] - math.log(sum(math.exp(dot[j][i]) for j in range(n) if counts(i, j)))
    return total / n


WINDOWS = [[0, 2, 10], [0, 3, 10], [0, 6, 14], [1, 2, 10], [1, 2, 10], [0, 30, 33], [2, 0, 0], [2, 0, 0]]


@pytest.mark.parametrize("windows", [None, WINDOWS])
def test_windows_of_one_moment_are_left_out_as_in_the_loops(windows):
    x, y = 2 * unit(8, 5), 3 * unit(8, 5, seed=1)
    loss = ContrastiveLoss(normalize=False, directions="sum", overlap=None if windows is None else 0.5)
    given = () if windows is None else (torch.tensor(windows, dtype=torch.float64),)
    assert loss(x, y, 1.0, *given).item() == pytest.approx(videoclip_loops(x, y, windows), abs=1e-12)


def test_what_is_left_out_has_no_gradient():
    """Two pairs of one moment alone: nothing is a negative, so nothing is learned."""
    x, y = unit(2, 4).requires_grad_(), unit(2, 4, seed=1)
    loss = ContrastiveLoss(overlap=0.5)(x, y, 10.0, torch.tensor([[7.0, 0.0, 9.0], [7.0, 1.0, 9.0]]))
    loss.backward()
    assert loss.item() == 0 and not x.grad.any()


@pytest.mark.parametrize("chunk", [None, 4])
def test_the_sum_of_both_directions_is_twice_their_mean(chunk):
    args = unit(9, 4), unit(9, 4, seed=1), torch.tensor(5.0, dtype=torch.float64)
    for total, mean in zip(grads(ContrastiveLoss(chunk, directions="sum"), *args), grads(ContrastiveLoss(), *args)):
        torch.testing.assert_close(total, 2 * mean)


def test_windows_and_overlap_go_together():
    x = unit(3, 4)
    for loss, windows in ((ContrastiveLoss(), torch.zeros(3, 3)), (ContrastiveLoss(overlap=0.5), None)):
        with pytest.raises(ValueError, match="go with overlap"):
            loss(x, x, 1.0, windows)
    with pytest.raises(ValueError, match="go with overlap"):
        ContrastiveLoss(overlap=0.5)(x, x, 1.0, torch.zeros(3, 2))
    for options in (dict(overlap=1.0), dict(overlap=0.5, chunk=2), dict(directions="max")):
        with pytest.raises(ValueError, match=r"overlap is a share|directions is"):
            ContrastiveLoss(**options)


def test_half_precision_and_autocast_compute_in_float32():
    x, y = unit(16, 8, dtype=torch.bfloat16), unit(16, 8, seed=1, dtype=torch.bfloat16)
    expected = ContrastiveLoss()(x.float(), y.float(), 100.0)
    for chunk in (None, 5):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            value = ContrastiveLoss(chunk=chunk)(x, y, 100.0)
        assert value.dtype == torch.float32
        assert value.item() == pytest.approx(expected.item(), abs=1e-5)


def test_wrong_shapes_and_chunk_are_refused():
    with pytest.raises(ValueError, match="one shape"):
        ContrastiveLoss()(unit(3, 4), unit(2, 4), 1.0)
    with pytest.raises(ValueError, match="chunk"):
        ContrastiveLoss(chunk=0)


def test_logit_scale_keeps_itself_in_its_bounds_and_its_gradient_alive():
    """As the original's loop, which clamps after each step."""
    scale, plain = LogitScale(init=99.0), torch.nn.Parameter(torch.tensor(math.log(99.0)))
    steps, theirs = (torch.optim.AdamW(own, lr=0.01) for own in (scale.parameters(), [plain]))
    for step in range(12):
        sign = 1 if step < 8 else -20  # up and into the bound, then away from it
        for optimizer, value in ((steps, scale()), (theirs, plain.exp())):
            assert value.item() <= 100.001
            optimizer.zero_grad()
            (-sign * value).backward()
            optimizer.step()
        with torch.no_grad():
            plain.clamp_(0, math.log(100))
        assert scale.state_dict()["log_scale"].item() == plain.item()
        assert scale.log_scale.grad.item() == plain.grad.item() != 0
    assert scale().item() < 99


def test_logit_scale_is_clamped_before_each_use_and_by_hand():
    scale = LogitScale()
    for out, bound in ((9.0, 100.0), (-1.0, 1.0)):
        scale.log_scale.data.fill_(out)
        with torch.no_grad():
            assert scale.eval()().item() == pytest.approx(bound, rel=1e-6)
        scale.log_scale.data.fill_(out)
        scale.clamp_()
        assert scale.log_scale.exp().item() == pytest.approx(bound, rel=1e-6)
    assert LogitScale(init=120.0, learned=False)().item() == pytest.approx(120.0)  # nothing can push it there


def test_logit_scale_may_be_used_twice_before_backward_and_compiled():
    scale = LogitScale(init=120.0)
    (scale() * 2 + scale()).backward()
    assert scale.log_scale.grad.item() == pytest.approx(300, rel=1e-5)
    compiled = torch.compile(LogitScale(init=120.0), backend="aot_eager", fullgraph=True)
    compiled().backward()
    assert compiled.log_scale.grad.item() == pytest.approx(100, rel=1e-5)


def test_logit_scale_is_saved_also_when_fixed():
    fixed = LogitScale(init=14.0, learned=False)
    assert list(fixed.parameters()) == []
    other = LogitScale(learned=False)
    other.load_state_dict(fixed.state_dict())
    assert other().item() == pytest.approx(14.0, rel=1e-6)
    with pytest.raises(ValueError, match="LogitScale"):
        LogitScale(init=-1.0)
