"""Cut the committed slice out of the LLMRouter outcome table: `make_slice.py TABLE OUT`.

The rule: whole families whose questions may be passed on, every other row dropped, no row changed. Rows keep
their order and their split, so that equal input gives equal rows. README.md says why each family is in or out.
"""

import argparse
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

__all__ = ["FAMILIES", "cut"]

FAMILIES = ("commongen", "commonsense_qa", "gsm8k", "human_eval", "mbpp", "openbook_qa", "trivia_qa")


def cut(table: pa.Table) -> pa.Table:
    """The rows of `FAMILIES`, in the order given, without the metadata of the program that wrote them."""
    families = pa.array(FAMILIES, type=table.schema.field("source_task").type)
    return table.filter(pc.is_in(table["source_task"], value_set=families)).replace_schema_metadata(None)


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
