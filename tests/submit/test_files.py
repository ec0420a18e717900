"""Order files are read whole; each bad line is named, its neighbours pass."""

import gzip
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from app.files import BadLine, FileError, RowFile, parse_time_us
from app.submit.submit import messages_of
from schemas.records import Said

GOOD = '{"account":"A","client_order_id":"%s","symbol":"S","side":"buy","quantity":%s,"limit_price":1}\n'


def read(path: Path) -> tuple[list[Said], list[BadLine]]:
    bad: list[BadLine] = []
    return list(messages_of(RowFile(path), {}, bad.append)), bad


def test_json_numbers_are_taken_by_their_digits(tmp_path: Path) -> None:
    path = tmp_path / "o.jsonl"
    path.write_text(GOOD % ("a", "0.1") + GOOD % ("b", '"0.30"') + GOOD % ("c", "12345678901.12345678"))
    messages, bad = read(path)
    assert [message["quantity"] for _, message in messages] == [
        10_000_000,
        30_000_000,
        1_234_567_890_112_345_678,
    ]
    assert bad == []


def test_bad_json_lines_are_named_and_left_out(tmp_path: Path) -> None:
    path = tmp_path / "o.jsonl.gz"
    lines = [
        GOOD % ("a", "1"),
        "{oops\n",
        "[1]\n",
        "\n",
        GOOD % ("b", '"x"'),
        '{"s": "\udcff"}\n',
        GOOD % ("c", "1"),
    ]
    path.write_bytes(gzip.compress("".join(lines).encode(errors="surrogateescape")))
    messages, bad = read(path)
    assert [message["client_order_id"] for _, message in messages] == ["a", "c"]
    assert [(line.line, line.field) for line in bad] == [(2, ""), (3, ""), (5, "quantity"), (6, "")]
    assert str(bad[2]) == f"{path}:5: quantity: 'x' is not a decimal number"


def test_csv_with_and_without_a_type_column(tmp_path: Path) -> None:
    path = tmp_path / "o.csv"
    path.write_text(
        "type,account,client_order_id,symbol,side,quantity,price,order\n"
        "new_order,A,a,S,buy,1,2.5,\n"
        ",A,b,S,sell,1,2.5,\n"
        "cancel_order,A,,S,,,,a\n"
        "cancel_order,A,,S,,,,\n"
    )
    messages, bad = read(path)
    assert [kind for kind, _ in messages] == ["NewOrder", "NewOrder", "CancelOrder"]
    assert [(line.line, line.field, line.text) for line in bad] == [(5, "order", "is missing")]


def test_parquet_orders(tmp_path: Path) -> None:
    table = pyarrow.table(
        {
            "account": ["A", "A"],
            "client_order_id": ["a", "b"],
            "symbol": ["S", "S"],
            "side": ["buy", "sell"],
            "quantity": [1.5, None],
            "limit_price": [10, 11],
        }
    )
    pyarrow.parquet.write_table(table, tmp_path / "o.parquet")
    messages, bad = read(tmp_path / "o.parquet")
    assert [message["quantity"] for _, message in messages] == [150_000_000]
    assert [(line.line, line.field) for line in bad] == [(2, "quantity")]


@pytest.mark.parametrize("name", ["o.txt", "o.parquet.gz", "o"])
def test_a_file_of_another_kind_says_which_kinds_there_are(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("")
    with pytest.raises(FileError, match=r"name must end in \.csv"):
        RowFile(tmp_path / name)


def test_a_missing_file_and_one_that_is_not_what_its_name_says(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="No such file"):
        RowFile(tmp_path / "none.csv")
    (tmp_path / "o.csv.gz").write_text("plain")
    with pytest.raises(FileError, match="Is it complete"):
        RowFile(tmp_path / "o.csv.gz")
    (tmp_path / "o.parquet").write_text("plain")
    with pytest.raises(FileError, match="is not a Parquet file"):
        RowFile(tmp_path / "o.parquet")


def test_the_share_read_grows_to_one(tmp_path: Path) -> None:
    path = tmp_path / "o.jsonl"
    path.write_text(GOOD % ("a", "1") * 20_000)
    file = RowFile(path)
    shares = [file.share_read() for _ in file]
    assert shares == sorted(shares)
    assert shares[0] < 0.1
    assert file.share_read() == 1.0


def test_times_as_counts_or_in_words() -> None:
    assert parse_time_us("1639350330137145700", 1) == 1_639_350_330_137_145
    assert parse_time_us("1639350330137", 1_000_000) == 1_639_350_330_137_000
    assert parse_time_us("1970-01-01T01:00:00.5+01:00", 1) == 500_000
    assert parse_time_us("1970-01-02", 1) == 86_400_000_000
    with pytest.raises(ValueError, match="neither a whole number nor an ISO 8601 time"):
        parse_time_us("1.5e9", 1)
