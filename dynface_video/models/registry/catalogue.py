"""The catalogue: which public files of networks this package can use, where they are, and on what terms.

A digest is declared where at least two independent public sources state the same one. The others are recorded at the
first download, which is said wherever the file is listed.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_args

import yaml

from dynface_video.errors import InputError, ModelError

Kind = Literal["restorer", "prior", "detector", "parser", "identity"]
CATALOGUE_VARIABLE = "DYNFACE_CATALOGUE"
"""Environment variable: a YAML file with further entries, or with other ones of the same names."""


@dataclass(frozen=True)
class ModelFile:
    """A file of the catalogue.

    Attributes:
        name: By which the commands and `resolve` know it.
        filename: Its name on disk, that of the publishing project.
        sources: Where it can be fetched, best first: `https://`, `http://`, `file://`, or on the Hugging Face Hub
            `hf://OWNER/REPO@REVISION/PATH`.
        licence: Identifier of its licence.
        kind: What the network is.
        purpose: What it is for, in a few words.
        size: In bytes; None if not known.
        sha256: Digest in lower-case hexadecimal; None if it is recorded at the first download.
        note: What else to know before it is used, such as the terms of the training data.
    """

    name: str
    filename: str
    sources: tuple[str, ...]
    licence: str
    kind: Kind
    purpose: str
    size: int | None = None
    sha256: str | None = None
    note: str = ""

    def __post_init__(self) -> None:
        """Check what becomes part of a path or decides about trust; raises InputError."""
        for part in (self.name, self.filename):
            if not part or part.startswith(".") or Path(part).name != part or "\\" in part:
                raise InputError(f"catalogue entry {self.name!r}: {part!r} is not a plain file name")
        if self.kind not in get_args(Kind):
            raise InputError(f"catalogue entry {self.name!r}: kind must be one of {', '.join(get_args(Kind))}")
        digest = self.sha256
        if digest is not None and (len(digest) != 64 or set(digest) - set("0123456789abcdef")):
            raise InputError(f"catalogue entry {self.name!r}: sha256 must be 64 lower-case hexadecimal digits")


FFHQ = "trained on FFHQ, whose pictures have licences of their own"
GFPGAN = "https://github.com/TencentARC/GFPGAN/releases/download"
DIFFACE = "https://github.com/zsyOAOA/DifFace/releases/download/V1.0"
FACEXLIB = "https://github.com/xinntao/facexlib/releases/download"
YUNET = "face_detection_yunet_2023mar.onnx"

BUILT_IN = (
    ModelFile(
        name="gfpgan-1.2",
        filename="GFPGANCleanv1-NoCE-C2.pth",
        sources=(f"{GFPGAN}/v0.2.0/GFPGANCleanv1-NoCE-C2.pth", f"{GFPGAN}/v1.3.0/GFPGANv1.2.pth"),
        licence="Apache-2.0",
        kind="restorer",
        purpose="face restorer, 512 pixels",
        sha256="29e25ee90c170f4231163f4c83df6b59c968b73f3ce00cb884015ae005db083c",
        note=FFHQ,
    ),
    ModelFile(
        name="gfpgan-1.3",
        filename="GFPGANv1.3.pth",
        sources=(f"{GFPGAN}/v1.3.0/GFPGANv1.3.pth",),
        licence="Apache-2.0",
        kind="restorer",
        purpose="face restorer, 512 pixels; more natural than 1.2",
        size=348632874,
        sha256="c953a88f2727c85c3d9ae72e2bd4846bbaf59fe6972ad94130e23e7017524a70",
        note=FFHQ,
    ),
    ModelFile(
        name="gfpgan-1.4",
        filename="GFPGANv1.4.pth",
        sources=(f"{GFPGAN}/v1.3.0/GFPGANv1.4.pth",),
        licence="Apache-2.0",
        kind="restorer",
        purpose="face restorer, 512 pixels; more detail than 1.3",
        size=348632874,
        sha256="e2cd4703ab14f4d01fd1383a8a8b266f9a5833dacee8e6a79d3bf21a1b6be5ad",
        note=FFHQ,
    ),
    ModelFile(
        name="restoreformer",
        filename="RestoreFormer.pth",
        sources=(f"{GFPGAN}/v1.3.4/RestoreFormer.pth",),
        licence="Apache-2.0",
        kind="restorer",
        purpose="face restorer, 512 pixels",
        size=290785322,
        sha256="07404d446d62ca3d5ed38b1de09a947a1e77d46dbccec961a74d713a8f24ace0",
        note=FFHQ,
    ),
    ModelFile(
        name="restoreformer++",
        filename="RestoreFormer++.ckpt",
        sources=(
            "https://github.com/wzhouxiff/RestoreFormerPlusPlus/releases/download/v1.0.0/RestoreFormer%2B%2B.ckpt",
        ),
        licence="Apache-2.0",
        kind="restorer",
        purpose="face restorer, 512 pixels",
        note=FFHQ,
    ),
    ModelFile(
        name="codeformer",
        filename="codeformer.pth",
        sources=("https://github.com/sczhou/CodeFormer/releases/download/v0.1.0/codeformer.pth",),
        licence="S-Lab-1.0",
        kind="restorer",
        purpose="face restorer with adjustable fidelity, 512 pixels",
        size=376637898,
        sha256="1009e537e0c2a07d4cabce6355f53cb66767cd4b4297ec7a4a64ca4b8a5684b7",
        note=FFHQ,
    ),
    ModelFile(
        name="difface-prior",
        filename="iddpm_ffhq512_ema500000.pth",
        sources=(f"{DIFFACE}/iddpm_ffhq512_ema500000.pth",),
        licence="S-Lab-1.0",
        kind="prior",
        purpose="diffusion prior of faces, 512 pixels: the paper's",
        note=FFHQ,
    ),
    ModelFile(
        name="difface-swinir",
        filename="swinir_restoration512_L1.pth",
        sources=(f"{DIFFACE}/swinir_restoration512_L1.pth",),
        licence="S-Lab-1.0",
        kind="restorer",
        purpose="restoration model of the paper's prior, SwinIR, 512 pixels",
        note=FFHQ,
    ),
    ModelFile(
        name="difface-swinir-2022",
        filename="General_Face_ffhq512.pth",
        sources=(f"{DIFFACE}/General_Face_ffhq512.pth",),
        licence="S-Lab-1.0",
        kind="restorer",
        purpose="the first release of difface-swinir",
        note=FFHQ,
    ),
    ModelFile(
        name="retinaface-r50",
        filename="detection_Resnet50_Final.pth",
        sources=(f"{FACEXLIB}/v0.1.0/detection_Resnet50_Final.pth",),
        licence="MIT",
        kind="detector",
        purpose="face detector, RetinaFace with a ResNet-50",
        size=109497761,
        sha256="6d1de9c2944f2ccddca5f5e010ea5ae64a39845a86311af6fdf30841b0a5a16d",
        note="trained on WIDER FACE, whose pictures have licences of their own",
    ),
    ModelFile(
        name="parsenet",
        filename="parsing_parsenet.pth",
        sources=(f"{FACEXLIB}/v0.2.2/parsing_parsenet.pth",),
        # facexlib, itself MIT, refers to the original licences; this network is PSFRGAN's.
        licence="CC-BY-NC-SA-4.0",
        kind="parser",
        purpose="parts of a face for the paste mask, ParseNet",
        size=85331193,
        sha256="3d558d8d0e42c20224f13cf5a29c79eba2d59913419f945545d8cf7b72920de2",
        note="published by PSFRGAN; trained on CelebAMask-HQ, which is for non-commercial research",
    ),
    ModelFile(
        name="arcface",
        filename="recognition_arcface_ir_se50.pth",
        sources=(f"{FACEXLIB}/v0.1.0/recognition_arcface_ir_se50.pth",),
        licence="MIT",
        kind="identity",
        purpose="embedding of identity, ArcFace IR-SE50",
        sha256="a035c768259b98ab1ce0e646312f48b9e1e218197a0f80ac6765e88f8b6ddf28",
        note="published by InsightFace_Pytorch; trained on a cleaned MS-Celeb-1M, which was withdrawn",
    ),
    ModelFile(
        name="yunet",
        filename=YUNET,
        sources=(
            f"hf://opencv/face_detection_yunet@3cc26e7f1014a5ee5d74a42acee58bafc9d0a310/{YUNET}",
            f"https://media.githubusercontent.com/media/opencv/opencv_zoo/main/models/face_detection_yunet/{YUNET}",
        ),
        licence="MIT",
        kind="detector",
        purpose="small, fast face detector, YuNet",
        size=232589,
        sha256="8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4",
    ),
)

SETS: Mapping[str, tuple[str, ...]] = {
    "gfpgan": ("gfpgan-1.4",),
    "ffhq512": ("difface-prior", "difface-swinir"),
    "facexlib": ("retinaface-r50", "parsenet", "arcface"),
}
"""Names that stand for one or several files in the commands."""


def catalogue() -> dict[str, ModelFile]:
    """The files by name: the built-in ones, and those of the file that `DYNFACE_CATALOGUE` names.

    Raises:
        InputError: That file cannot be read, or an entry is invalid.
    """
    files = {file.name: file for file in BUILT_IN}
    own = os.environ.get(CATALOGUE_VARIABLE)
    return files | _read(Path(own)) if own else files


def find(name: str) -> ModelFile:
    """The file with a name; raises ModelError if the catalogue has none."""
    files = catalogue()
    if name not in files:
        raise ModelError(f"unknown model {name!r}; the catalogue has {', '.join(files)}")
    return files[name]


def members(name: str) -> tuple[ModelFile, ...]:
    """The files that a name or the name of a set stands for; raises ModelError as `find`."""
    return tuple(find(member) for member in SETS.get(name, (name,)))


def _read(path: Path) -> dict[str, ModelFile]:
    try:
        entries = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: the catalogue cannot be read ({' '.join(str(error).split())})") from error
    if not isinstance(entries, dict):
        raise InputError(f"{path}: a catalogue holds entries as `name: {{filename: ..., sources: [...], ...}}`")
    return {name: _entry(path, str(name), values) for name, values in entries.items()}


def _entry(path: Path, name: str, values: Any) -> ModelFile:
    known = {field.name for field in fields(ModelFile)} - {"name"}
    if not isinstance(values, dict) or not isinstance(values.get("sources", []), list):
        raise InputError(f"{path}: entry {name!r} must be a mapping, with a list of sources")
    unknown = set(values) - known
    if unknown:
        raise InputError(f"{path}: entry {name!r} has the unknown keys {', '.join(sorted(unknown))}")
    try:
        return ModelFile(name=name, **values | {"sources": tuple(map(str, values.get("sources", [])))})
    except TypeError as error:
        raise InputError(f"{path}: entry {name!r} is incomplete: {error}") from error
