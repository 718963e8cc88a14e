"""Post-training quantisation to eight bits by NNCF, on calibration crops (Jacob et al., 2018)."""

from __future__ import annotations

import contextlib
import io
import logging
from importlib import metadata, util
from typing import Any

from streamguard.errors import EngineUnavailable
from streamguard.inference.engine import CalibrationSet
from streamguard.openvino_runtime import nncf

LIBRARY = "nncf"
FIRST = 4
"""Convolutions of the first two resolutions."""


def version() -> str:
    """NNCF's version.

    Raises:
        EngineUnavailable: it is not installed.
    """
    if util.find_spec(LIBRARY) is None:
        raise EngineUnavailable("openvino", "int8 needs nncf, not installed here", "pip install 'streamguard[int8]'")
    return metadata.version(LIBRARY)


def quantised(graph: Any, calibration: CalibrationSet | None) -> Any:
    """The OpenVINO graph with its convolutions in eight bits.

    Args:
        graph: takes uint8 [N, size, size, 3].
        calibration: the crops whose activations give the ranges.

    Raises:
        EngineUnavailable: NNCF is not installed, or there are no crops.
    """
    version()
    if calibration is None or not len(calibration.crops):
        remedy = "run `streamguard compile --precision int8 --calibrate FOLDER`"
        raise EngineUnavailable("openvino", "int8 is compiled from calibration crops", remedy)
    from openvino._offline_transformations import apply_moc_transformations

    library = nncf()
    # Norms are folded into the convolutions first, so that their biases can be corrected.
    apply_moc_transformations(graph, cf=True)
    crops = [crop[None] for crop in calibration.crops]
    # It draws progress bars on standard output.
    with contextlib.redirect_stdout(io.StringIO()):
        library.set_log_level(logging.ERROR)
        return library.quantize(
            graph,
            library.Dataset(crops),
            subset_size=len(crops),
            ignored_scope=library.IgnoredScope(names=in_float(graph)),
            # Correcting biases layer by layer made the answers of unet_v1 worse: the mean error of a pixel rose from
            # 0.010 to 0.017.
            advanced_parameters=library.AdvancedQuantizationParameters(disable_bias_correction=True),
        )


def in_float(graph: Any) -> list[str]:
    """The convolutions that stay in floating point, by name.

    The first ones: faint traces come in through the first two resolutions, whose norms within the picture pass
    rounding on to every pixel (of `unet_v1` they alone put 0.35 on the 99.9th percentile of the errors, as much as
    all layers together). Those of the deepest resolution on the way up, which decide for large parts of the picture
    (0.17 with them, 0.11 without). The last one, which makes the answer.
    """
    nodes = [node for node in graph.get_ordered_ops() if "Convolution" in node.get_type_name()]
    names = [node.get_friendly_name() for node in nodes]
    ups = [place for place, node in enumerate(nodes) if node.get_type_name() == "ConvolutionBackpropData"]
    deepest = names[ups[0] : ups[1]] if len(ups) > 1 else []
    return list(dict.fromkeys([*names[:FIRST], *deepest, names[-1]]))
