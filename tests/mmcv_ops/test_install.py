"""How `mmcv._ext` gets an answer: absent, broken and working compiled modules; workers; what is asked too early."""

import importlib.util
import multiprocessing
import sys
import textwrap
import warnings

import pytest
import torch

import clipkit.engine  # noqa: F401  (before mmcv.ops)

pytest.importorskip("mmcv")

from clipkit import mmcv_ops
from clipkit.errors import ClipkitError
from clipkit.mmcv_ops import Substitute, served

SERVED = """
    bbox_overlaps box_iou_rotated carafe_backward carafe_forward carafe_naive_backward carafe_naive_forward
    deform_conv_backward_input deform_conv_backward_parameters deform_conv_forward deform_roi_pool_backward
    deform_roi_pool_forward get_compiler_version get_compiling_cuda_version masked_col2im_forward
    masked_im2col_forward modulated_deform_conv_backward modulated_deform_conv_forward ms_deform_attn_backward
    ms_deform_attn_forward nms nms_match nms_rotated psamask_backward psamask_forward roi_align_backward
    roi_align_forward roi_align_rotated_backward roi_align_rotated_forward roi_pool_backward roi_pool_forward
    sigmoid_focal_loss_backward sigmoid_focal_loss_forward softmax_focal_loss_backward softmax_focal_loss_forward
    softnms
"""


def load(folder):
    """What `import mmcv._ext` would load if mmcv lay in `folder`."""
    (finder,) = (finder for finder in sys.meta_path if isinstance(finder, mmcv_ops._Finder))
    return importlib.util.module_from_spec(finder.find_spec("mmcv._ext", [str(folder)]))


def test_mmcv_ops_imports_and_finds_every_operator_that_it_asserts():
    import mmcv.ops  # asserts them

    extension = sys.modules["mmcv._ext"]
    assert isinstance(extension, Substitute) and "without compiled" in extension.clipkit_why
    assert sorted(served()) == SERVED.split()
    assert mmcv.ops.get_compiling_cuda_version() == "not available"
    assert "clipkit" in mmcv.ops.get_compiler_version()


def test_the_extension_has_a_spec():
    spec = importlib.util.find_spec("mmcv._ext")
    assert spec is not None and spec.name == "mmcv._ext" and spec.loader is not None
    with pytest.raises(AttributeError):
        _ = Substitute("mmcv._ext", "")._private


def test_a_missing_operator_says_its_name_and_what_to_do():
    from mmcv.ops import border_align, nms_quadri, upfirdn2d  # noqa: F401

    with pytest.raises(ClipkitError) as error:
        nms_quadri(torch.zeros(1, 8), torch.ones(1), 0.5)
    assert "nms_quadri" in str(error.value) and "install an onedl-mmcv" in str(error.value)
    assert "\n" not in str(error.value)


def test_compiled_operators_win(tmp_path, monkeypatch):
    (tmp_path / "_ext.py").write_text("def nms(): return 'compiled'")
    module = load(tmp_path)
    assert not isinstance(module, Substitute) and module.nms() == "compiled"
    assert module.__spec__.origin == str(tmp_path / "_ext.py")
    monkeypatch.setenv("CLIPKIT_MMCV_OPS", "clipkit")
    assert load(tmp_path).clipkit_why == "CLIPKIT_MMCV_OPS=clipkit"


def test_compiled_operators_that_do_not_load_are_left_out_with_the_reason(tmp_path):
    (tmp_path / "_ext.py").write_text("raise ImportError('undefined symbol: _ZN3c10')")
    with pytest.warns(UserWarning, match="undefined symbol"):
        module = load(tmp_path)
    assert "undefined symbol: _ZN3c10" in module.clipkit_why and module.nms is served()["nms"]


def test_a_shared_object_for_another_torch_is_left_out(tmp_path):
    suffix = importlib.machinery.EXTENSION_SUFFIXES[0]
    (tmp_path / f"_ext{suffix}").write_bytes(b"\x7fELF and nothing that a loader knows")
    with pytest.warns(UserWarning, match="clipkit's are used"):
        assert isinstance(load(tmp_path), Substitute)


@pytest.mark.parametrize("early", ["mmdet.models", "mmseg.models"])
def test_an_import_that_came_too_early_is_told(early, monkeypatch):
    monkeypatch.setattr(sys, "meta_path", [f for f in sys.meta_path if not isinstance(f, mmcv_ops._Finder)])
    for name in (*mmcv_ops._BOUND_AT_IMPORT, "mmcv.ops"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, early, sys)
    with pytest.warns(UserWarning, match=f"{early} was imported before clipkit.*`import clipkit.engine`"):
        mmcv_ops.install()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        mmcv_ops.install()  # once is enough
    assert sum(isinstance(finder, mmcv_ops._Finder) for finder in sys.meta_path) == 1


ASKS = """
import sys

FOUND = any(type(finder).__module__ == "clipkit.mmcv_ops" for finder in sys.meta_path)

def main():
    sys.exit(0 if FOUND else 1)
"""


def test_a_spawned_process_installs_them_before_its_arguments(tmp_path, monkeypatch):
    (tmp_path / "asks_at_import.py").write_text(ASKS)
    monkeypatch.syspath_prepend(str(tmp_path))
    main = importlib.import_module("asks_at_import").main
    process = multiprocessing.get_context("spawn").Process(target=main)
    process.start()
    process.join()
    assert process.exitcode == 0


@pytest.mark.slow
def test_spawned_data_loader_workers_have_the_operators(tmp_path, monkeypatch):
    """The data set, which a worker unpickles first of all, comes from a module that knows nothing of clipkit."""
    (tmp_path / "needs_mmcv_ops.py").write_text(
        textwrap.dedent("""
            import torch
            from mmcv.ops import nms

            class Boxes(torch.utils.data.Dataset):
                def __len__(self):
                    return 1

                def __getitem__(self, index):
                    boxes = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 9], [20, 20, 30, 30]])
                    return nms(boxes, torch.tensor([0.5, 0.9, 0.7]), 0.5)[1]
        """)
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    dataset = importlib.import_module("needs_mmcv_ops").Boxes()
    loader = torch.utils.data.DataLoader(dataset, num_workers=1, multiprocessing_context="spawn")
    assert next(iter(loader)).tolist() == [[1, 2]]
