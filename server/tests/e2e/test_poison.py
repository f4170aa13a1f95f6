"""One record in ten is bad, in every way there is: the good ones count exactly, the bad ones are all kept."""
from collections import Counter

from broker import Feed
from process import wait_until  # noqa: F401
from oracle import rows_of_json

RECORDS = 20_000
NESTING = 100_000
LARGE_BYTES = 10_000_000
# How much of a bad record is kept at most.
RAW_BYTES_MAX = 4096


def bad_record(kind, number):
    """The bytes of a record that is bad in that way; None for no value at all."""
    start = b'{"id":%d' % number
    return {
        "not json": b"not json %d" % number,
        "cut off": start + b',"small":1',
        "unclosed string": start + b',"name":"abc}',
        "something after the object": start + b"} {}",
        "word after the object": start + b"}x",
        "array": b"[%d]" % number,
        "number": b"%d" % number,
        "string": b'"%d"' % number,
        "null literal": b"null",
        "text for an integer": start + b',"small":"abc"}',
        "truth for an integer": start + b',"small":true}',
        "fraction for an integer": start + b',"small":1.5}',
        "text for a float": start + b',"amount":"abc"}',
        "object for a text": start + b',"name":{"a":1}}',
        "array for a text": start + b',"name":[1]}',
        "integer out of range": start + b',"small":2147483648}',
        "integer below range": start + b',"small":-2147483649}',
        "bigint out of range": b'{"id":9223372036854775808}',
        "float out of range": start + b',"amount":1e999}',
        "not utf-8": start + b',"name":"\xff\xfe"}',
        "half a character": start + b',"name":"\xe2\x82"}',
        "deep nesting": start + b',"other":' + b"[" * NESTING + b"]" * NESTING + b"}",
        "deep and open": b'{"a":' * NESTING,
        "missing not null": b'{"small":1}',
        "null for not null": b'{"id":null}',
        "empty": b"",
        "blanks": b"   ",
        "no value": None,
        "large": b"x" * LARGE_BYTES,
        "large text": start + b',"name":"' + b"x" * LARGE_BYTES + b'"}',
    }[kind]


KINDS = """not json|cut off|unclosed string|something after the object|word after the object|array|number|string|
null literal|text for an integer|truth for an integer|fraction for an integer|text for a float|object for a text|
array for a text|integer out of range|integer below range|bigint out of range|float out of range|not utf-8|
half a character|deep nesting|deep and open|missing not null|null for not null|empty|blanks|no value|
large|large text""".replace("\n", "").split("|")
# Of these a few are enough: each costs the broker megabytes.
RARE = {"large": 3, "large text": 3, "deep nesting": 20, "deep and open": 20}


def good_record(number, rng):
    """A good record, and what it adds: a missing or null field is NULL."""
    small = rng.choice([None, 0, -5, 2_147_483_647, -2_147_483_648, rng.randrange(1000)])
    amount = rng.choice([None, 0.0, 1.25, 1e-7, 12_345.5, 3])
    name = rng.choice([None, "plain", 'with \\"quotes\\"', "snow \\u2603 and 日本", ""])
    fields = [b'"id":%d' % number]
    for key, value in (("small", small), ("amount", amount)):
        if value is not None:
            fields.append(f'"{key}":{value}'.encode())
        elif rng.random() < 0.5:
            fields.append(f'"{key}":null'.encode())
    if name is not None:
        fields.append(f'"name":"{name}"'.encode())
    if rng.random() < 0.2:
        fields.append(b'"unknown":{"a":[1,2,{"b":null}]}')
    rng.shuffle(fields)
    return b"{" + b",".join(fields) + b"}", small, amount, name


def test_good_rows_are_exact_and_every_bad_one_is_kept(siltstone, broker, sql_files, rng, figure):
    broker.create_topic("poison", 3)
    feed = Feed(broker, "poison")
    expected = Counter()
    amounts = 0.0
    bad, used = [], Counter()
    next_offset = [0, 0, 0]
    for number in range(RECORDS):
        partition = rng.choice([0, 0, 0, 1, 1, 2])
        offset = next_offset[partition]
        next_offset[partition] += 1
        if number % 10 == 3:
            kind = rng.choice([kind for kind in KINDS if used[kind] < RARE.get(kind, RECORDS)])
            used[kind] += 1
            value = bad_record(kind, number)
            feed.send(partition, value)
            bad.append((partition, offset, kind, value))
            continue
        value, small, amount, name = good_record(number, rng)
        feed.send(partition, value)
        expected["n"] += 1
        expected["ids"] += number
        expected["smalls"] += small is not None
        expected["small_sum"] += small or 0
        expected["amounts"] += amount is not None
        expected["names"] += name is not None
        amounts += amount or 0.0
    feed.flush()
    assert set(used) == set(KINDS)
    siltstone.replay(sql_files / "records.sql", {"brokers": broker.address, "topic": "poison"})

    good, = rows_of_json(siltstone.sql("SELECT * FROM good"))
    assert abs(float(good.pop("amount_sum")) - amounts) <= 1e-9 * amounts
    assert {name: int(value) for name, value in good.items()} == dict(expected)

    rows = rows_of_json(siltstone.sql(
        'SELECT topic, "partition", "offset", reason, raw FROM siltstone.errors ORDER BY "partition", "offset"'))
    figure(f"{len(rows)} bad rows of {len(KINDS)} kinds among {RECORDS}")
    found = {(int(row["partition"]), int(row["offset"])): row for row in rows}
    missing = [(partition, offset, kind) for partition, offset, kind, _ in bad if (partition, offset) not in found]
    assert not missing, f"{len(missing)} bad rows are not in siltstone.errors: {Counter(kind for *_, kind in missing)}"
    assert len(rows) == len(bad), f"{len(rows)} rows in siltstone.errors for {len(bad)} bad records"
    for partition, offset, kind, value in bad:
        row = found[partition, offset]
        assert row["topic"] == "poison"
        assert row["reason"], f"{kind}: no reason"
        kept = None if row["raw"] is None else bytes.fromhex(row["raw"].removeprefix("\\x"))
        assert kept == (None if value is None else value[:RAW_BYTES_MAX]), f"{kind}: other bytes were kept"


def test_bad_lines_of_a_file(siltstone, tmp_path):
    path = tmp_path / "bad.csv"
    path.write_bytes(b"k,v\n1,10\nx,1\n2,\n3,abc\n4\n5,6,7\n\xff,1\n9223372036854775808,1\n,5\n6,60\n")
    file = tmp_path / "bad.sql"
    file.write_text(
        "CREATE SOURCE pairs (k BIGINT NOT NULL, v BIGINT) "
        f"WITH (connector = 'file', path = '{path}', format = 'csv', header = true);\n"
        "CREATE MATERIALIZED VIEW kept AS SELECT count(*) AS n, sum(k) AS k, sum(v) AS v FROM pairs;\n")
    siltstone.replay(file)
    row, = rows_of_json(siltstone.sql("SELECT * FROM kept"))
    assert {name: int(value) for name, value in row.items()} == {"n": 3, "k": 9, "v": 70}
    reasons = rows_of_json(siltstone.sql("SELECT reason FROM siltstone.errors"))
    assert len(reasons) == 7, reasons
