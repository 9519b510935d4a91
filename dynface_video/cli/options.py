"""The options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Source = Annotated[
    Path, typer.Argument(metavar="INPUT", help="The video, an image, or a folder of images.", show_default=False)
]
Preset = Annotated[str, typer.Option(metavar="NAME", help="Settings and models to start from.")]
Config = Annotated[
    Path | None, typer.Option(metavar="FILE", help="YAML file that changes some of the preset's settings.")
]
Strength = Annotated[
    float | None,
    typer.Option(metavar="0..1", help="0 stays closest to the input, 1 invents most detail. [default: of the preset]"),
]
Steps = Annotated[
    int | None,
    typer.Option("--num-inference-steps", "--steps", metavar="N", help="Network evaluations a face at most."),
]
Faces = Annotated[str | None, typer.Option(metavar="all|largest", help="Which faces; largest: one a shot.")]
Seed = Annotated[int | None, typer.Option(metavar="N", help="Of the noise that detail is made from.")]
Workers = Annotated[int | None, typer.Option(metavar="N", help="Processes that restore; more than one use Ray.")]
Address = Annotated[
    str | None,
    typer.Option(metavar="auto|HOST:PORT", help="Ray cluster to join; without it Ray is started here where needed."),
]
Device = Annotated[str | None, typer.Option(metavar="auto|cpu|cuda[:i]", help="Where the networks run.")]
Codec = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Encoder, e.g. libx264 or libx265. [default: by the source and the container]"),
]
Crf = Annotated[int | None, typer.Option(metavar="N", help="Quality of the encoder; lower is better and larger.")]
EncoderPreset = Annotated[str | None, typer.Option(metavar="NAME", help="Preset of the encoder, e.g. slow.")]
PixelFormat = Annotated[str | None, typer.Option("--pix-fmt", metavar="NAME", help="Pixel format, e.g. yuv420p.")]
Interlaced = Annotated[
    str | None,
    typer.Option(metavar="auto|keep|deinterlace|ignore", help="What to do with interlaced video. [default: auto]"),
]
CopyUntouched = Annotated[
    bool | None,
    typer.Option("--copy-untouched", show_default=False, help="Copy H.264 where no face is, instead of encoding it."),
]
Images = Annotated[
    str | None,
    typer.Option(
        metavar="auto|sequence|stills",
        help="A folder of images: frames of a film, or pictures of their own. [default: auto]",
    ),
]
Fps = Annotated[str | None, typer.Option(metavar="RATE", help="Frames a second of a sequence of images. [default: 25]")]
ImageFormat = Annotated[
    str | None,
    typer.Option(metavar="png|jpg|tif|webp|bmp", help="Of the images in a folder. [default: as the source's, or png]"),
]
Mezzanine = Annotated[
    bool | None,
    typer.Option(
        "--mezzanine", show_default=False, help="Keep segments without loss and encode the whole once at the end."
    ),
]
Grayscale = Annotated[
    str | None, typer.Option(metavar="auto|on|off", help="Whether faces stay without colour. [default: auto]")
]
Grain = Annotated[
    float | None,
    typer.Option(metavar="0..1", help="How much of the surroundings' grain restored faces get. [default: 0]"),
]
Json = Annotated[bool, typer.Option("--json", help="One JSON object on standard output instead of a summary.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Say more, and show where an error came from.")]
