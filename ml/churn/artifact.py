"""The churn model as bytes, with its card and golden rows.

Belongs here: the conditions for loading a model from bytes. Does not belong here: folders and file names (the callers'), and
any format that runs code on loading: no pickle, no joblib.
"""

import hashlib
import io
import json
import platform
import warnings
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np

from ml.churn.features import FEATURE_NAMES, FEATURES, in_key_order, matrix

if TYPE_CHECKING:
    import pandas as pd

    from ml.churn.model import ChurnModel
    from ml.churn.slices import Slice
    from ml.churn.training import TrainingResult

# Types in both kinds of this model (scikit-learn 1.9) that skops 0.16 does not trust by default. An artefact with any other
# type is refused.
_TRUSTED = (
    "ml.churn.model.ChurnModel",
    "ml.churn.model.signed_log",
    "numpy.dtype",
    "sklearn.calibration._CalibratedClassifier",
    "sklearn.calibration._SigmoidCalibration",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
)
_LIBRARIES = ("numpy", "pandas", "scikit-learn", "skops")
_GOLDEN_ROWS = 20
_GOLDEN_TOLERANCE = 1e-9
_ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)


class ArtifactError(ValueError):
    """Bytes that cannot be accepted as a model, or a model whose predictions changed; the message says why."""


class OtherSchemaError(ArtifactError):
    """A valid model with features other than the current ones: a new one must be trained."""


def dump(model: "ChurnModel") -> bytes:
    """Write the fitted model as a skops archive; the same training on the same machine and versions gives the same bytes."""
    import skops.io

    return _normalised(skops.io.dumps(model))


def digest(data: bytes) -> str:
    """Compute the SHA-256 of an artefact, 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def model_id(sha256: str) -> str:
    """Name a model by its content: the first 12 digits of its artefact's SHA-256."""
    return sha256[:12]


def load(data: bytes, *, sha256: str) -> "ChurnModel":
    """Read the model of an artefact; the caller knows its SHA-256 from another place.

    Raises ArtifactError when the hash differs, the archive contains a type outside the allow-list, it was written by other
    versions (their warnings are errors here), or it is not a ChurnModel; OtherSchemaError when it has other features.
    """
    import skops.io
    from skops.io.exceptions import UntrustedTypesFoundException

    from ml.churn.model import ChurnModel

    found = digest(data)
    if found != sha256:
        raise ArtifactError(f"churn model: the artefact's SHA-256 is {found}, expected {sha256}")
    foreign = sorted(set(_untrusted(data)) - set(_TRUSTED))
    if foreign:
        raise ArtifactError(f"churn model {model_id(sha256)}: types outside the allow-list: {', '.join(foreign)}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            model = skops.io.loads(data, trusted=list(_TRUSTED))
    except Warning as warning:
        raise ArtifactError(f"churn model {model_id(sha256)}: written by other versions: {warning}") from warning
    except (UntrustedTypesFoundException, TypeError, ValueError, KeyError, AttributeError, ImportError) as error:
        raise ArtifactError(f"churn model {model_id(sha256)}: cannot be read: {error}") from error
    if type(model) is not ChurnModel:
        raise ArtifactError(f"churn model {model_id(sha256)}: holds a {type(model).__name__}, not a ChurnModel")
    if getattr(model, "feature_names_in_", None) != list(FEATURE_NAMES):
        raise OtherSchemaError(f"churn model {model_id(sha256)}: fitted on another feature schema; train it again")
    return model


def card(result: "TrainingResult", *, sha256: str) -> dict[str, Any]:
    """Describe the model, JSON-serialisable, for `report` and `drift` too.

    Identity, label, data window and slices; the candidates' figures where the kind was chosen; the model's own on the test
    slice (with calibration bins and lift) beside its rivals', and the verdict; the rolling origins; feature schema, reference
    distribution and versions.
    """
    slices = _slices(result.slices)
    described: dict[str, Any] = {
        "model_id": model_id(sha256),
        "sha256": sha256,
        "parameters": {
            **result.model.get_params(),
            "minimum_churns": result.minimum_churns,
            "seed": result.seed,
            "intervention": asdict(result.intervention),
        },
        "label": {
            "definition": "churned = 1 when an account that pays on as_of_date stops paying within the label window",
            "window_days": result.label_window_days,
        },
        "data_window": {"from": slices["fit"]["from"], "to": slices["test"]["to"], "open_rows": result.open_rows},
        "slices": slices,
        "choice": {**asdict(result.choice), "slices": _slices(result.choice.slices)},
        "metrics": asdict(result.metrics),
        "baselines": {name: asdict(metrics) for name, metrics in result.baselines.items()},
        "log_loss_gain": {"mean": result.log_loss_gain, "interval_90": result.log_loss_gain_interval},
        "decision": asdict(result.decision),
        "rolling_origin": {
            "origins": [
                {
                    **asdict(origin),
                    "window_from": origin.window_from.isoformat(),
                    "window_to": origin.window_to.isoformat(),
                    "taught": _slices(origin.taught),
                }
                for origin in result.rolling.origins
            ],
            "pooled": None if result.rolling.pooled is None else asdict(result.rolling.pooled),
        },
        "reference": result.reference,
        "features": [asdict(feature) for feature in FEATURES],
        "versions": {"python": platform.python_version(), **{library: version(library) for library in _LIBRARIES}},
    }
    # Converted through JSON, so that it equals a card read back from a file (tuples become lists).
    plain: dict[str, Any] = json.loads(json.dumps(described, allow_nan=False))
    return plain


def golden(model: "ChurnModel", frame: "pd.DataFrame") -> list[dict[str, float | None]]:
    """Choose at most 20 rows of the frame, spread from its lowest to its highest prediction: features and churn_probability.

    No account is named, because the rows are kept as long as the model. JSON keeps every digit.
    """
    frame = in_key_order(frame)
    if frame.empty:
        raise ArtifactError("churn model: golden rows need at least one row of features")
    order = np.argsort(model.predict_proba(frame)[:, 1], kind="stable")
    chosen = frame.iloc[order[np.unique(np.linspace(0, len(order) - 1, _GOLDEN_ROWS).astype(int))]]
    values, predicted = matrix(chosen), model.predict_proba(chosen)[:, 1]
    return [
        {
            **{name: None if np.isnan(value) else float(value) for name, value in zip(FEATURE_NAMES, row, strict=True)},
            "churn_probability": float(probability),
        }
        for row, probability in zip(values, predicted, strict=True)
    ]


def check_golden(model: "ChurnModel", golden: Sequence[Mapping[str, float | None]]) -> None:
    """Predict the golden rows again; ArtifactError when there are none or a prediction differs by more than 1e-9."""
    import pandas as pd

    if not golden:
        raise ArtifactError("churn model: there are no golden rows to check it by")
    frame = pd.DataFrame(list(golden)).astype("float64")
    if "churn_probability" not in frame or frame["churn_probability"].isna().any():
        raise ArtifactError("churn model: a golden row has no churn_probability")
    difference = np.abs(model.predict_proba(frame)[:, 1] - frame["churn_probability"].to_numpy())
    if difference.max() > _GOLDEN_TOLERANCE:
        raise ArtifactError(
            f"churn model: {int((difference > _GOLDEN_TOLERANCE).sum())} of {len(frame)} golden rows are predicted otherwise, "
            f"by up to {difference.max():.3g}; allowed is {_GOLDEN_TOLERANCE:g}"
        )


def _slices(parts: "Sequence[Slice]") -> dict[str, Any]:
    return {
        part.name: {**asdict(part), "dates": len(part.dates), "from": part.dates[0].isoformat(), "to": part.dates[-1].isoformat()}
        for part in parts
    }


def _untrusted(data: bytes) -> list[str]:
    import skops.io

    try:
        names: list[str] = skops.io.get_untrusted_types(data=data)
    except (zipfile.BadZipFile, TypeError, ValueError, KeyError, AttributeError, ImportError) as error:
        raise ArtifactError(f"churn model: the artefact is no skops archive: {error}") from error
    return names


def _normalised(archive: bytes) -> bytes:
    """Remove from a skops archive everything that differs from run to run.

    skops names nodes and array files by memory address and zip entries carry the time of writing. Nodes are numbered here in
    the order of the schema instead, equal numbers where the addresses were equal, since loading shares such nodes.
    """
    with zipfile.ZipFile(io.BytesIO(archive)) as source:
        schema = json.loads(source.read("schema.json"))
        numbers: dict[int, int] = {}
        files: dict[str, str] = {}

        def renumber(node: Any) -> None:
            if isinstance(node, dict):
                if isinstance(node.get("__id__"), int):
                    node["__id__"] = numbers.setdefault(node["__id__"], len(numbers) + 1)
                if node.get("__loader__") == "NdArrayNode" and isinstance(node.get("file"), str):
                    node["file"] = files.setdefault(node["file"], f"{len(files) + 1}.npy")
                for child in node.values():
                    renumber(child)
            elif isinstance(node, list):
                for child in node:
                    renumber(child)

        renumber(schema)
        entries = {"schema.json": json.dumps(schema).encode()} | {files[name]: source.read(name) for name in files}
        left = set(source.namelist()) - {"schema.json", *files}
        if left:
            raise ArtifactError(f"churn model: skops wrote entries of unknown use: {', '.join(sorted(left))}")
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as written:
        for name, content in entries.items():
            written.writestr(zipfile.ZipInfo(name, date_time=_ZIP_EPOCH), content)
    return target.getvalue()
