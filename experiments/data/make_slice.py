"""Cut the committed slice out of the LLMRouter outcome table: `make_slice.py TABLE OUT`.

The rule: whole families whose questions may be passed on, every other row dropped. A fifth of the train questions is
set apart as `validation`, which is all that changes in a row; rows keep their order. Equal input gives equal rows, and
a slice is cut into itself. README.md says why each family is in or out.
"""

import argparse
import hashlib
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

__all__ = ["FAMILIES", "cut", "is_validation"]

FAMILIES = ("commongen", "commonsense_qa", "gsm8k", "human_eval", "mbpp", "openbook_qa", "trivia_qa")
_PARTS = 5


def cut(table: pa.Table) -> pa.Table:
    """The rows of `FAMILIES`, in the order given, without the metadata of the program that wrote them."""
    families = pa.array(FAMILIES, type=table.schema.field("source_task").type)
    kept = table.filter(pc.is_in(table["source_task"], value_set=families)).replace_schema_metadata(None)
    return _with_validation(kept)


def is_validation(query_id: str) -> bool:
    """Whether a train question is set apart: one in five, by the SHA-256 of its id and by nothing else."""
    return int.from_bytes(hashlib.sha256(query_id.encode()).digest()) % _PARTS == 0


def _with_validation(table: pa.Table) -> pa.Table:
    """The table with a part of `train` called `validation`."""
    column = table.schema.get_field_index("split")
    apart = [is_validation(query_id) for query_id in table["query_id"].to_pylist()]
    chosen = pc.and_(pc.equal(table["split"], "train"), pa.array(apart, pa.bool_()))
    splits = pc.if_else(chosen, pa.scalar("validation", table["split"].type), table["split"])
    return table.set_column(column, table.schema.field(column), splits)


def main() -> int:
    """Write the slice and say what is in it; 2 when TABLE cannot be read."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", type=Path, help="the whole outcome table, Parquet")
    parser.add_argument("out", type=Path, help="where the slice goes, Parquet")
    arguments = parser.parse_args()
    try:
        table = pq.read_table(arguments.table)
    except (OSError, pa.ArrowInvalid) as exc:
        print(f"{arguments.table}: expected an outcome table in Parquet; name a readable one ({exc})", file=sys.stderr)
        return 2
    kept = cut(table)
    pq.write_table(kept, arguments.out, compression="zstd", compression_level=19)
    queries = pc.count_distinct(kept["query_id"]).as_py()
    print(f"{arguments.out}: {queries} queries, {kept.num_rows} rows, {arguments.out.stat().st_size} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
