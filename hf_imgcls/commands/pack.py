"""write a folder's images as shards, for streams and buckets"""

import argparse


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", help="a folder of images, a recipe, or anything else that data.path can be")
    parser.add_argument(
        "overrides", nargs="*", default=(), metavar="section.key=value", help="data.label_column=kind ..."
    )
    parser.add_argument("--output", required=True, help="where to: s3://bucket/photos/, another address, or a folder")
    parser.add_argument("--format", default="parquet", help="parquet, or tar (WebDataset); default: parquet")
    parser.add_argument(
        "--shard-size", type=float, default=256, metavar="MB", help="of images in a shard (default: 256)"
    )


def run(options: argparse.Namespace) -> None:
    from hf_imgcls.api import PackOptions, pack_data

    pack_data(options.source, options.overrides, PackOptions(options.output, options.format, options.shard_size))
