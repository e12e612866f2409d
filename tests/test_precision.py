"""The faster products are taken only when they are as good as they must be, and the setting never stays behind."""

import pytest
import torch

from gdm_core import precision

torch.set_num_threads(1)
SETTING = torch.backends.mkldnn.matmul


def test_products_keep_the_digits_that_were_asked_for():
    a, b = torch.randn(300, 200), torch.randn(200, 100)
    exact = a.double() @ b.double()
    for tolerance in (1e-5, 1e-2):
        with precision.fast_products(tolerance):
            assert (a @ b - exact).norm() / exact.norm() < 2 * tolerance


@pytest.mark.parametrize("error, taken", [(1e-7, True), (3e-3, False), (float("inf"), False)])
def test_the_measured_error_decides(monkeypatch, error, taken):
    monkeypatch.setattr(precision, "_error", lambda: error)
    before = SETTING.fp32_precision
    with precision.fast_products() as answer:
        assert answer is taken
        assert (SETTING.fp32_precision == "bf16") == (taken or before == "bf16")
    assert SETTING.fp32_precision == before


def test_the_setting_is_put_back_after_an_error():
    before = SETTING.fp32_precision
    with pytest.raises(RuntimeError, match="inside"), precision.fast_products(1.0):
        raise RuntimeError("inside")
    assert SETTING.fp32_precision == before
    with pytest.raises(ValueError, match="tolerance"), precision.fast_products(0.0):
        pass


def test_the_probe_sees_rounding_to_bfloat16(monkeypatch):
    """On a processor that really rounds, the probe must say so: products of rounded numbers stand in for it."""
    true = torch.Tensor.__matmul__

    def rounded(a, b):
        return true(a.bfloat16().to(a.dtype), b.bfloat16().to(b.dtype)) if a.dtype == torch.float32 else true(a, b)

    monkeypatch.setattr(torch.Tensor, "__matmul__", rounded)
    assert precision._error.__wrapped__() > 1e-3
